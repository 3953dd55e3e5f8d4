//! Making an adopted repository's own metadata: package by package in the order of their hrefs, a
//! batch rendered while the next one is looked at. Holds batches and the catalog.

use futures::{Stream, StreamExt as _};
use rayon::prelude::*;
use rpmmd::compress::Compression;
use rpmmd::repodata::{Build, Document, Fragments, RenderError, RenderOptions};
use zstd::bulk::Decompressor;

use super::batch::batch_packages;
use super::described::Described;
use crate::bucket::catalog::{Catalog, Entries, Entry};
use crate::bucket::state::Rerendered;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::body::Spool;

/// XML of a batch: it ends with the package that fills it.
const BATCH_BYTES: usize = 8 << 20;

/// A package that is there.
pub(super) enum Found {
    /// The metadata describes it, at this index.
    Explained(usize, Object),
    /// Only its own header does.
    Examined(Box<(Entry<'static>, Fragments)>),
}

/// The next packages to take in; none at the end.
pub(super) async fn batch(
    found: &mut (impl Stream<Item = Result<Option<Found>>> + Unpin),
    described: &Described,
) -> Result<Vec<Found>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < batch_packages() && bytes < BATCH_BYTES {
        let Some(next) = found.next().await.transpose()? else { break };
        bytes += match &next {
            None => 0,
            Some(Found::Explained(at, _)) => described.fragments_bytes(*at),
            Some(Found::Examined(examined)) => examined.1.as_parts().0.len(),
        };
        batch.extend(next);
    }
    Ok(batch)
}

/// The repository as far as it has been taken over.
pub(super) struct Taking {
    build: Build<Spool>,
    entries: Entries,
}

impl Taking {
    /// Nothing yet of some `packages`.
    pub(super) fn begin(compression: Compression, packages: usize, spools: [Spool; 3]) -> Result<Self> {
        let build = Build::begin(RenderOptions::new(compression), packages, spools).map_err(unwritten)?;
        Ok(Self { build, entries: Entries::default() })
    }

    /// Takes in packages, over all cores.
    pub(super) fn take_in(&mut self, batch: Vec<Found>, described: &Described) -> Result<()> {
        let unread = |source| Error::new(ErrorKind::Unavailable, "reading what was put aside").because(source);
        let open = |unpack: &mut std::io::Result<Decompressor<'_>>, found| match found {
            Found::Examined(examined) => Ok(*examined),
            Found::Explained(at, object) => {
                let unpack = unpack.as_mut().map_err(|error| unread(error.kind().into()))?;
                let (said, fragments) = described.package(at, unpack).map_err(unread)?;
                Ok((explained(said, &object), fragments))
            }
        };
        let opened: Vec<(Entry<'_>, Fragments)> =
            batch.into_par_iter().map_init(Decompressor::new, open).collect::<Result<_>>()?;
        let fragments: Vec<Fragments> = opened
            .into_iter()
            .map(|(mut entry, fragments)| {
                entry.fragment_bytes = Document::ALL.map(|document| length(fragments.get(document).len()));
                self.entries.push(&entry);
                fragments
            })
            .collect();
        self.build.append(&fragments).map_err(unwritten)
    }

    /// The catalog of all packages, and their metadata.
    pub(super) fn finish(self, compression: Compression, revision: u64) -> Result<(Catalog, [Rerendered; 3])> {
        let files = self.build.finish_with_files().map_err(unwritten)?;
        let files = files.map(|(made, spool)| Rerendered { body: spool.finish(), layout: made.layout });
        Ok((Catalog { revision, entries: self.entries, ..Catalog::empty(compression) }, files))
    }
}

/// The entry of a package that the metadata describes and the listing bears out.
fn explained<'a>(said: Entry<'a>, object: &Object) -> Entry<'a> {
    Entry {
        size_bytes: object.size_bytes,
        first_published: object.since.as_second(),
        etag: object.etag.as_str().to_owned().into(),
        ..said
    }
}

fn unwritten(source: RenderError) -> Error {
    let kind = match &source {
        RenderError::Read(_) | RenderError::Write(_) => ErrorKind::Unavailable,
        RenderError::PreviousDamaged | RenderError::PreviousMismatch | RenderError::BadSlot { .. } => {
            ErrorKind::Internal
        }
    };
    Error::new(kind, "rendering an adopted repository").because(source)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a fragment is shorter than MAX_FRAGMENTS_BYTES")
}
