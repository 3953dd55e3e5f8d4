//! One generation of a repository, as it was read, and what a run may know of it besides.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::block::Layout;
use rpmmd::compress::Compression;
use rpmmd::repomd::{Record, Repomd};
use ulid::Ulid;

use super::catalog::Catalog;
use super::gate::Gate;
use super::keeping::{self, FolderRules};
use super::kept::Kept;
use super::report::{Adoption, Found};
use super::signature::Signature;
use crate::store::ETag;
use crate::store::body::Body;
use crate::store::key::RepositoryDir;

/// What the end of a repomd.xml begins with whose repository has become part of others: the layout is being changed, or
/// was. Clients read past it.
const SEAL: &str = "<!-- yrm: sealed by ";
/// The seal is not longer.
const MAX_SEAL_BYTES: usize = 256;

/// What a repository's repomd.xml calls the document that offers modules.
const MODULES_RECORD: &str = "modules";

/// One generation, as read.
#[derive(Debug, Clone)]
pub struct State {
    /// The repository.
    pub repository: RepositoryDir,
    /// The truth, if there is one yet.
    pub current: Option<Current>,
    /// What it holds.
    pub catalog: Arc<Catalog>,
    /// The packages' XML.
    pub source: Source,
    /// What lies beside repomd.xml as its signature.
    pub signature: Option<Signature>,
    /// What taking it over brought to light, where it was.
    pub taken_over: Option<Arc<TakenOver>>,
    /// What was found in the place of the repomd.xml that yrm wrote last, if it was not that.
    pub noticed: Option<Found>,
    /// A revision that the next one has to be above too: what yrm had published before somebody else did.
    pub above: u64,
    /// The earlier generation that this one holds again, where it is rolled back.
    pub earlier: Option<Box<Earlier>>,
    /// When retention next has something to do, once that was looked up.
    next_retirement: Arc<OnceLock<Option<Timestamp>>>,
    /// Whether the catalog knows more than the one that is stored.
    has_learnt: bool,
}

/// The repomd.xml that was read.
#[derive(Debug, Clone)]
pub struct Current {
    /// What the switch is conditional on; `None` when repomd.xml itself is missing and this is
    /// the last generation's copy, to be put back.
    pub etag: Option<ETag>,
    /// Its bytes.
    pub bytes: Bytes,
    /// What they say.
    pub repomd: Repomd,
    /// Whether its copy is known to lie among the generations.
    pub copied: bool,
}

impl Current {
    /// Whether this repository has become part of others, or is about to.
    pub fn is_sealed(&self) -> bool {
        is_sealed(&self.bytes)
    }
}

/// Whether a repomd.xml says that its repository has become part of others.
pub fn is_sealed(repomd: &[u8]) -> bool {
    let end = &repomd[repomd.len().saturating_sub(MAX_SEAL_BYTES)..];
    end.windows(SEAL.len()).any(|window| window == SEAL.as_bytes())
}

/// What stands at the end of such a repomd.xml: which change of the layout it was.
pub fn seal(change: Ulid) -> String {
    format!(
        "{SEAL}{change}: this repository gets no further changes here, for the layout of the bucket was changed -->\n"
    )
}

/// Where the XML of the packages that stay comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The published files of this generation, cut as the catalog says.
    Published,
    /// The files of the earlier generation to which the repository is rolled back.
    Earlier,
    /// Rendered anew, in files that nobody else sees: the repository was adopted. Primary, filelists
    /// and other, in that order, of the catalog's entries.
    Adopted(Arc<[Rerendered; 3]>),
}

/// An earlier generation.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// Its repomd.xml.
    pub bytes: Bytes,
    /// What that says.
    pub repomd: Repomd,
    /// What the repository holds until it is rolled back.
    pub instead_of: Arc<Catalog>,
}

/// A document of an adopted repository.
#[derive(Debug)]
pub struct Rerendered {
    /// The file.
    pub body: Body,
    /// How it is cut.
    pub layout: Layout,
}

impl State {
    /// A generation that is published.
    pub fn published(repository: RepositoryDir, current: Current, catalog: Catalog) -> Self {
        let mut state = Self::fresh(repository, catalog.compression);
        (state.current, state.catalog) = (Some(current), Arc::new(catalog));
        state
    }

    /// The same, with the signature that lies beside it.
    #[must_use]
    pub fn beside(self, signature: Option<Signature>) -> Self {
        Self { signature, ..self }
    }

    /// The same repository, described anew from its packages.
    #[must_use]
    pub fn adopt(self, catalog: Catalog, files: [Rerendered; 3]) -> Self {
        let (catalog, source) = (Arc::new(catalog), Source::Adopted(Arc::new(files)));
        Self { catalog, source, next_retirement: Arc::default(), ..self }
    }

    /// The same repository, holding what was made for it of others, and these further records.
    #[must_use]
    pub fn made_of_others(self, catalog: Catalog, files: Arc<[Rerendered; 3]>, others: Vec<Record>) -> Self {
        // Counted from what is there: a revision never comes twice.
        let catalog = Catalog { revision: self.catalog.revision, ..catalog };
        let current = match self.current {
            None if others.is_empty() => None,
            // It has no copy to be kept.
            None => {
                let repomd = Repomd { records: others, ..Repomd::default() };
                Some(Current { etag: None, bytes: Bytes::new(), repomd, copied: true })
            }
            Some(current) => Some(Current { repomd: Repomd { records: others, ..current.repomd }, ..current }),
        };
        let source = Source::Adopted(files);
        Self { current, catalog: Arc::new(catalog), source, next_retirement: Arc::default(), ..self }
    }

    /// The same, with what taking it over brought to light.
    #[must_use]
    pub fn telling(self, taken_over: TakenOver) -> Self {
        Self { taken_over: Some(Arc::new(taken_over)), ..self }
    }

    /// The same, as it was found.
    #[must_use]
    pub fn noticing(self, noticed: Found) -> Self {
        Self { noticed: Some(noticed), ..self }
    }

    /// The same repository, holding again what an earlier generation held, by this repomd.xml.
    #[must_use]
    pub fn roll_back(self, (bytes, repomd): (Bytes, Repomd), catalog: Catalog) -> Self {
        self.going_back((bytes, repomd), Source::Earlier, catalog)
    }

    /// The same repository, holding again what another program's metadata said, as it was taken over now.
    #[must_use]
    pub fn roll_back_before(self, before: Self) -> Self {
        let Self { current, catalog, source, .. } = before;
        let Some(Current { bytes, repomd, .. }) = current else { return self };
        self.going_back((bytes, repomd), source, Arc::unwrap_or_clone(catalog))
    }

    fn going_back(self, (bytes, repomd): (Bytes, Repomd), source: Source, catalog: Catalog) -> Self {
        // Counted from the present: a revision never comes twice.
        let catalog = Arc::new(Catalog { revision: self.catalog.revision, ..catalog });
        let earlier = Some(Box::new(Earlier { bytes, repomd, instead_of: self.catalog }));
        Self { catalog, source, earlier, next_retirement: Arc::default(), ..self }
    }

    /// The same generation, with what was learnt of its packages' modules.
    #[must_use]
    pub fn labelled(self, labels: &[(usize, String)]) -> Self {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.entries = catalog.entries.labelled(labels);
        Self { catalog: Arc::new(catalog), next_retirement: Arc::default(), has_learnt: true, ..self }
    }

    /// The repomd.xml that names the files of the catalog, if there is one.
    pub fn described_by(&self) -> Option<(&Bytes, &Repomd)> {
        match &self.earlier {
            Some(earlier) => Some((&earlier.bytes, &earlier.repomd)),
            None => self.current.as_ref().map(|current| (&current.bytes, &current.repomd)),
        }
    }

    /// The repository as retention looks at it.
    pub(crate) fn kept<'a>(&'a self, gate: &'a Gate, pruned: &'a keeping::Pruned) -> keeping::Kept<'a> {
        let repomd = self.described_by().map(|(_, repomd)| repomd);
        keeping::Kept {
            catalog: &self.catalog,
            rules: FolderRules { gate, repository: &self.repository },
            offers_modules: repomd.is_some_and(|repomd| repomd.record(MODULES_RECORD).is_some()),
            pruned,
        }
    }

    /// When retention next has something to do. Every package is looked at once a generation.
    pub fn next_retirement(&self, kept: keeping::Kept<'_>) -> Option<Timestamp> {
        *self.next_retirement.get_or_init(|| kept.next_retirement())
    }

    /// A repository that does not exist yet.
    pub fn fresh(repository: RepositoryDir, compression: Compression) -> Self {
        let catalog = Arc::new(Catalog::empty(compression));
        Self {
            repository,
            current: None,
            catalog,
            source: Source::Published,
            signature: None,
            taken_over: None,
            noticed: None,
            above: 0,
            earlier: None,
            next_retirement: Arc::default(),
            has_learnt: false,
        }
    }

    /// The revision found.
    pub fn revision(&self) -> Option<u64> {
        self.current.as_ref().map(|_| self.catalog.revision)
    }

    /// Whether there was ever a generation here, or something that was taken over for one.
    pub fn has_ever_published(&self) -> bool {
        self.current.is_some() || self.adopted()
    }

    /// Whether it has become part of others, or is about to.
    pub fn is_sealed(&self) -> bool {
        self.current.as_ref().is_some_and(Current::is_sealed)
    }

    /// Whether these are its packages, and no others.
    pub fn holds(&self, others: &Catalog) -> bool {
        let (own, others) = (&self.catalog.entries, &others.entries);
        let same = |at: usize| own.href(at) == others.href(at) && own.get(at).pkgid == others.get(at).pkgid;
        self.current.as_ref().is_some_and(|current| current.etag.is_some())
            && own.len() == others.len()
            && (0..own.len()).all(same)
    }

    /// Whether metadata made by something else was taken over.
    pub fn adopted(&self) -> bool {
        matches!(self.source, Source::Adopted(_))
    }

    /// Whether this is not what clients see: the next generation differs although nothing comes or
    /// goes, or what was learnt would have to be learnt again.
    pub fn is_news(&self) -> bool {
        !matches!(self.source, Source::Published) || self.has_learnt
    }
}

/// What was taken over, told with the generation that comes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// For the report.
    pub told: Adoption,
    /// What no sweep may take.
    pub kept: Kept,
}
