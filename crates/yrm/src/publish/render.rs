//! Making the next generation's files and its catalog. Works on bodies, never on the store: run it
//! aside.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use rpmmd::repodata::{
    Document, Mark, Previous, RenderError, RenderOptions, Rendered, Slot, render as render_document,
};
use rpmmd::repomd::Repomd;

use super::RunId;
use super::admit::Placed;
use super::catalog::{Catalog, Entries, Entry, FileLayout};
use super::observe::{Source, State};
use super::plan::Origin;
use super::verdict::Candidate;
use crate::error::{Error, ErrorKind, Result};
use crate::store::body::{Body, Spool};

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

/// How to render.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Compression of the files.
    pub compression: Compression,
    /// Whose generation it is, and its time.
    pub run: RunId,
    /// Gives an empty file to be written.
    pub spool: &'a dyn Fn() -> Spool,
}

/// Renders `origins` (indexes into the state's entries and into `admitted`) as the generation
/// after `state`. `published` are the state's files, if there are any.
pub fn render(
    state: &State,
    published: Option<&[Body; 3]>,
    origins: &[Origin],
    admitted: &[Admitted],
    rules: Rules<'_>,
) -> Result<Generation> {
    let Rules { compression, run, spool } = rules;
    let now = run.started;
    let fresh: Vec<_> = admitted.iter().map(|(candidate, _)| &candidate.fragments).collect();
    let slots: Vec<Slot<'_>> = origins
        .iter()
        .map(|origin| match *origin {
            Origin::Admitted(at) => Slot::Fresh(fresh[at]),
            Origin::Kept(at) => Slot::Kept(at),
        })
        .collect();
    // Equal bytes, and so equal ETags, must never come back.
    let revision = u64::try_from(now.as_second()).unwrap_or(0).max(state.catalog.revision.saturating_add(1));
    let options = RenderOptions { mark: Some(Mark { revision, writer: run.id.0 }), ..RenderOptions::new(compression) };
    let mut rendered = Vec::with_capacity(3);
    for (at, document) in Document::ALL.into_iter().enumerate() {
        let lengths = state.catalog.entries.fragment_bytes(at);
        let before = match &state.source {
            Source::Adopted(files) => Some((&files[at].layout, &files[at].body)),
            Source::Published | Source::Earlier(_) => {
                published.zip(state.catalog.files.as_ref()).map(|(files, layouts)| (&layouts[at].layout, &files[at]))
            }
        };
        // The cache has verified the file, or this process has written it.
        let previous = before.map(|(layout, file)| Previous { layout, fragment_bytes: &lengths, file, verify: None });
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
        rendered.push((made, file.finish()));
    }
    let rendered: [(Rendered, Body); 3] =
        rendered.try_into().map_err(|_| Error::new(ErrorKind::Internal, "rendering"))?;
    assemble(state, origins, admitted, rendered, revision, now)
}

fn assemble(
    state: &State,
    origins: &[Origin],
    admitted: &[Admitted],
    rendered: [(Rendered, Body); 3],
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
    for (slot, origin) in origins.iter().enumerate() {
        let fragment_bytes = [0, 1, 2].map(|document: usize| rendered[document].0.fragment_bytes[slot]);
        match *origin {
            Origin::Kept(at) => entries.push_kept(&state.catalog.entries, at, fragment_bytes),
            Origin::Admitted(at) => entries.push(&entry(&admitted[at], fragment_bytes)),
        }
    }
    let compression = rendered[0].0.layout.compression;
    let mut repomd = Repomd { revision: revision.to_string(), ..before.cloned().unwrap_or_default() };
    let mut records = Vec::with_capacity(3);
    let mut files = Vec::with_capacity(3);
    let mut layouts = Vec::with_capacity(3);
    for (document, (file, body)) in Document::ALL.into_iter().zip(rendered) {
        let record = file.record(document, timestamp);
        let href = record.href.clone();
        records.push(record);
        layouts.push(FileLayout { href, layout: file.layout });
        // Files of an adopted repository's XML are in no store that could copy from them.
        let reused = if state.adopted() { Vec::new() } else { file.reused };
        files.push(NewFile { body, sha256: file.sha256, reused });
    }
    // What others put into repomd.xml (comps, updateinfo, modules) stays; the databases made
    // from the replaced files would now be lies.
    let ours = |kind: &str| Document::ALL.iter().any(|document| document.name() == kind);
    let derived = |kind: &str| {
        let base = kind.trim_end_matches("_db").trim_end_matches("_zck").trim_end_matches("-ext");
        base != kind && ours(base)
    };
    records.extend(repomd.records.into_iter().filter(|record| !ours(&record.kind) && !derived(&record.kind)));
    repomd.records = records;

    let three = || Error::new(ErrorKind::Internal, "rendering three documents");
    let layouts = layouts.try_into().map_err(|_| three())?;
    // Only a catalog that lies in the store can be a base.
    let base = state.described_by().filter(|_| !state.adopted());
    let base = base.and_then(|(bytes, _)| state.catalog.base_of_next(Sha256::of(bytes)));
    let mut catalog = Catalog { revision, compression, entries, files: Some(layouts), base };
    Ok(Generation {
        catalog_bytes: Bytes::from(catalog.encode()?),
        catalog,
        repomd_bytes: Bytes::from(repomd.write()),
        repomd,
        files: files.try_into().map_err(|_| three())?,
    })
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
    }
}

impl Generation {
    /// The hash of its repomd.xml: where its catalog lives.
    pub fn repomd_sha256(&self) -> Sha256 {
        Sha256::of(&self.repomd_bytes)
    }
}
