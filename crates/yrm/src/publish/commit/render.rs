//! Making the next generation's files and its catalog. Works on bodies, never on the store: run it
//! aside.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::block::Layout;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use rpmmd::repodata::{
    Document, Mark, Previous, RenderError, RenderOptions, Rendered, Slot, render as render_document,
};
use rpmmd::repomd::{Record, Repomd};
use ulid::Ulid;

use super::admit::Placed;
use crate::bucket::catalog::{Catalog, Entries, Entry, FileLayout};
use crate::bucket::observe::PublishedFiles;
use crate::bucket::state::{self, Source, State};
use crate::bucket::verdict::Candidate;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::pass::RunId;
use crate::publish::plan::Origin;
use crate::store::body::{Body, Spool};
use crate::store::key::{self, MirrorFolder};

/// A candidate that is in place.
pub type Admitted = (Candidate, Placed);

/// The next generation, complete: nothing after this adds to it.
#[derive(Debug, Clone)]
pub struct Generation {
    /// What it holds.
    pub catalog: Catalog,
    /// The catalog's bytes.
    pub catalog_bytes: Bytes,
    /// repomd.xml.
    pub repomd: Repomd,
    /// repomd.xml's bytes: what the switch writes.
    pub repomd_bytes: Bytes,
    /// primary, filelists and other, in that order; hrefs are in the catalog.
    pub files: [NewFile; 3],
    /// primary as it stands in the generation's own folder, in mirrorlist mode.
    pub mirror: Option<NewFile>,
}

/// One of primary, filelists and other.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The file.
    pub body: Body,
    /// Its digest: what it is named by.
    pub sha256: Sha256,
    /// Which ranges of it are which ranges of the file that it replaces.
    pub reused: Vec<(Range<u64>, Range<u64>)>,
}

/// A file that was rendered, and what is known of it.
type Made = (Rendered, Body);

/// How to render.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Compression of the files.
    pub compression: Compression,
    /// Whether primary is made for the generation's own folder too.
    pub mirrored: bool,
    /// Whose generation it is, and its time.
    pub run: RunId,
    /// The change of the layout by which it is sealed.
    pub seal: Option<Ulid>,
    /// Gives an empty file to be written.
    pub spool: &'a dyn Fn() -> Spool,
}

/// Renders `origins` (indexes into the state's entries and into `admitted`) as the generation
/// after `state`. `published` are the state's files, if there are any.
pub fn render(
    state: &State,
    published: Option<&PublishedFiles>,
    origins: &[Origin],
    admitted: &[Admitted],
    rules: Rules<'_>,
) -> Result<Generation> {
    let Rules { compression, mirrored, run, seal, spool } = rules;
    let now = run.started;
    let fresh: Vec<_> = admitted.iter().map(|(candidate, _)| &candidate.fragments).collect();
    let slots: Vec<Slot<'_>> = origins
        .iter()
        .map(|origin| match origin {
            Origin::Admitted(at) => Slot::Fresh(fresh[*at]),
            Origin::Kept(entries) => Slot::Kept(entries.clone()),
        })
        .collect();
    // Equal bytes, and so equal ETags, must never come back.
    let revision =
        u64::try_from(now.as_second()).unwrap_or(0).max(state.catalog.revision.max(state.above).saturating_add(1));
    let options = RenderOptions { mark: Some(Mark { revision, writer: run.id.0 }), ..RenderOptions::new(compression) };
    let make = |document, options, previous: Option<Previous<'_>>| {
        let mut file = spool();
        let made = render_document(document, options, &slots, previous, &mut file).map_err(|source| {
            let kind = match &source {
                RenderError::Read(_) | RenderError::Write(_) => ErrorKind::Unavailable,
                RenderError::PreviousDamaged | RenderError::PreviousMismatch | RenderError::BadSlot { .. } => {
                    ErrorKind::Corrupt
                }
            };
            Error::new(kind, format!("splicing {}", document.name())).because(source)
        })?;
        Ok::<_, Error>((made, file.finish()))
    };
    let mut rendered = Vec::with_capacity(3);
    for (at, document) in Document::ALL.into_iter().enumerate() {
        let lengths = state.catalog.entries.fragment_bytes(at);
        rendered.push(make(document, options, previous(state, published, at, lengths))?);
    }
    let rendered: [Made; 3] = rendered.try_into().map_err(|_| Error::new(ErrorKind::Internal, "rendering"))?;
    let mut mirror = None;
    if mirrored {
        let mut lengths = state.catalog.entries.fragment_bytes(0).to_vec();
        let own = mirror_before(state, published);
        if own.is_some() {
            for length in &mut lengths {
                *length += HREF_PREFIX_BYTES;
            }
        }
        let own =
            own.map(|(layout, file)| Previous { href_prefix: MirrorFolder::UP, ..previous_of(layout, file, &lengths) });
        // Where there is none yet it is made of the repository's own primary.
        let before = own.or_else(|| previous(state, published, 0, &lengths));
        let options = RenderOptions { href_prefix: MirrorFolder::UP, ..options };
        mirror = Some(make(Document::Primary, options, before)?);
    }
    let generation = assemble(state, origins, admitted, (rendered, mirror), revision, now)?;
    Ok(match seal {
        Some(change) => generation.sealed(change),
        None => generation,
    })
}

/// Primary of a generation that is published, as it stands in a folder of that generation's own: its packages lie below
/// `base`, or two folders above where nobody knows the address. Made again from the same `writer`, it has the same bytes.
pub fn primary_in_a_folder(
    catalog: &Catalog,
    primary: &Body,
    (writer, base): (u128, Option<String>),
    mut file: Spool,
) -> Result<(FileLayout, Body)> {
    let damaged = |why: &dyn fmt::Display| Error::new(ErrorKind::Corrupt, "splicing primary").because(why.to_string());
    let [layout, ..] = catalog.files.as_ref().ok_or_else(|| damaged(&"its catalog names no files"))?;
    let mark = Some(Mark { revision: catalog.revision, writer });
    // It lives as long as the process, which makes a tag and ends.
    let location_base: &'static str = base.map_or("", |base| Box::leak(base.into_boxed_str()));
    let href_prefix = if location_base.is_empty() { MirrorFolder::UP } else { "" };
    let options = RenderOptions { mark, href_prefix, location_base, ..RenderOptions::new(catalog.compression) };
    let previous = previous_of(&layout.layout, primary, catalog.entries.fragment_bytes(0));
    let slots = [Slot::Kept(0..catalog.entries.len())];
    let made = render_document(Document::Primary, options, &slots, Some(previous), &mut file);
    let made = made.map_err(|source| damaged(&source))?;
    let href = made.record(Document::Primary, 0).href;
    Ok((FileLayout { href, layout: made.layout }, file.finish()))
}

/// What the way to the packages takes in a package's primary XML.
const HREF_PREFIX_BYTES: u32 = 6;
const _: () = assert!(MirrorFolder::UP.len() == 6);

/// The file that the document at this place is spliced from, if there is one.
fn previous<'a>(
    state: &'a State,
    published: Option<&'a PublishedFiles>,
    at: usize,
    lengths: &'a [u32],
) -> Option<Previous<'a>> {
    let (layout, file) = match &state.source {
        Source::Adopted(files) => (&files[at].layout, &files[at].body),
        Source::Published | Source::Earlier => {
            let (published, layouts) = published.zip(state.catalog.files.as_ref())?;
            (&layouts[at].layout, &published.files[at])
        }
    };
    Some(previous_of(layout, file, lengths))
}

/// Primary as it stands in the folder of the generation before, and how it is cut.
fn mirror_before<'a>(state: &'a State, published: Option<&'a PublishedFiles>) -> Option<(&'a Layout, &'a Body)> {
    let layout = state.catalog.mirror.as_ref().filter(|_| !state.adopted())?;
    Some((&layout.layout, published?.mirror.as_ref()?))
}

/// The cache has verified the file, or this process has written it.
fn previous_of<'a>(layout: &'a Layout, file: &'a Body, lengths: &'a [u32]) -> Previous<'a> {
    Previous { layout, fragment_bytes: lengths, file, verify: None, href_prefix: "" }
}

fn assemble(
    state: &State,
    origins: &[Origin],
    admitted: &[Admitted],
    (rendered, mirror): ([Made; 3], Option<Made>),
    revision: u64,
    now: Timestamp,
) -> Result<Generation> {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let before = state.described_by().map(|(_, repomd)| repomd);
    let current = state.current.as_ref().map(|current| &current.repomd);
    // yum 3 wants times that never fall.
    let records = before.into_iter().chain(current).flat_map(|repomd| &repomd.records);
    let newest = records.filter_map(|record| record.timestamp).max();
    let timestamp = seconds.max(newest.unwrap_or(0));

    let mut entries = Entries::with_room(&state.catalog.entries, admitted.len());
    for origin in origins {
        let here = entries.len()..entries.len() + origin.packages();
        let fragment_bytes = rendered.each_ref().map(|(rendered, _)| &rendered.fragment_bytes[here.clone()]);
        match origin {
            Origin::Kept(kept) => entries.push_kept(&state.catalog.entries, kept.clone(), fragment_bytes),
            Origin::Admitted(at) => entries.push(&entry(&admitted[*at], fragment_bytes.map(|bytes| bytes[0]))),
        }
    }
    let compression = rendered[0].0.layout.compression;
    let mut repomd = Repomd { revision: revision.to_string(), ..before.cloned().unwrap_or_default() };
    let mut records = Vec::with_capacity(3);
    let mut files = Vec::with_capacity(3);
    let mut layouts = Vec::with_capacity(3);
    let take = |(file, body): (Rendered, Body), href| {
        // Files of an adopted repository's XML are in no store that could copy from them.
        let reused = if state.adopted() { Vec::new() } else { file.reused };
        (FileLayout { href, layout: file.layout }, NewFile { body, sha256: file.sha256, reused })
    };
    for (document, made) in Document::ALL.into_iter().zip(rendered) {
        let record = made.0.record(document, timestamp);
        let (layout, file) = take(made, record.href.clone());
        records.push(record);
        layouts.push(layout);
        files.push(file);
    }
    let mirror = mirror.map(|made| {
        let href = made.0.record(Document::Primary, timestamp).href;
        take(made, href)
    });
    let (mirror_layout, mirror) = mirror.unzip();
    records.extend(repomd.records.into_iter().filter(|record| is_others(&record.kind) && is_below(record)));
    repomd.records = records;

    let three = || Error::new(ErrorKind::Internal, "rendering three documents");
    let layouts = layouts.try_into().map_err(|_| three())?;
    // Only a catalog that lies in the store can be a base.
    let base = state.described_by().filter(|_| !state.adopted());
    let base = base.and_then(|(bytes, _)| state.catalog.base_of_next(Sha256::of(bytes)));
    let mut catalog = Catalog { revision, compression, entries, files: Some(layouts), mirror: mirror_layout, base };
    Ok(Generation {
        catalog_bytes: Bytes::from(catalog.encode()?),
        catalog,
        repomd_bytes: Bytes::from(repomd.write()),
        repomd,
        files: files.try_into().map_err(|_| three())?,
        mirror,
    })
}

/// What others put into repomd.xml (comps, updateinfo, modules) stays; the databases made from the
/// replaced files would now be lies.
pub(crate) fn is_others(kind: &str) -> bool {
    let ours = |kind: &str| Document::ALL.iter().any(|document| document.name() == kind);
    let base = kind.trim_end_matches("_db").trim_end_matches("_zck").trim_end_matches("-ext");
    !ours(kind) && !ours(base)
}

/// Whether a record names a file below the repository. One that does not, which an older version took over, is
/// not signed again.
fn is_below(record: &Record) -> bool {
    let sound = record.base.is_none() && key::is_plain_path(&record.href) && !record.href.contains("://");
    if !sound {
        tracing::warn!(
            kind = record.kind,
            href = record.href,
            "repomd.xml named a file outside of the repository; left out"
        );
    }
    sound
}

fn entry((candidate, placed): &Admitted, fragment_bytes: [u32; 3]) -> Entry<'_> {
    Entry {
        href: candidate.href.as_str().into(),
        name: candidate.nevra.name.as_str().into(),
        epoch: candidate.nevra.evr.epoch,
        version: candidate.nevra.evr.version.as_str().into(),
        release: candidate.nevra.evr.release.as_str().into(),
        arch: candidate.nevra.arch.as_str().into(),
        pkgid: *placed.pkgid.as_bytes(),
        size_bytes: candidate.size_bytes(),
        build_time: candidate.build_time,
        first_published: placed.since.as_second(),
        etag: placed.etag.as_str().into(),
        fragment_bytes,
        module: Some(candidate.module.as_str().into()),
    }
}

impl Generation {
    /// The same, of a repository that becomes part of others.
    fn sealed(mut self, change: Ulid) -> Self {
        self.repomd_bytes = [&self.repomd_bytes[..], state::seal(change).as_bytes()].concat().into();
        self
    }

    /// The hash of its repomd.xml: where its catalog lives.
    pub fn repomd_sha256(&self) -> Sha256 {
        Sha256::of(&self.repomd_bytes)
    }
}
