//! The folders a campaign works in, below one data folder. Packages are made once and used again;
//! everything else is hard links to them, so that a tree of 100,000 costs seconds and no space.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fault::{Doing as _, Result};
use crate::generate::{self, Recipe, Set};

/// What sets differ from.
const RECIPE: Recipe =
    Recipe { seed: 20_240_101, count: 0, payload_bytes: LIGHT_PAYLOAD_BYTES, first_family: 0, one_family: false };
/// Headers of about 8 KB come on top, as with every payload.
const LIGHT_PAYLOAD_BYTES: usize = 7_000;
/// Far from any base set's families.
const EXTRA_FAMILY: u64 = 10_000_000;
const RETIRING_FAMILY: u64 = 20_000_000;
/// Packages to be added, enough for every repetition.
const EXTRAS: usize = 1_000;

/// A size of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Weight {
    /// About 15 KB.
    Light,
    /// About 140 KB.
    Heavy,
}

impl Weight {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "15 KB",
            Self::Heavy => "140 KB",
        }
    }

    fn payload_bytes(self) -> usize {
        match self {
            Self::Light => LIGHT_PAYLOAD_BYTES,
            Self::Heavy => 132_000,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Heavy => "heavy",
        }
    }
}

/// Packages in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    pub(crate) folder: PathBuf,
    pub(crate) set: Set,
}

/// The data folder.
#[derive(Debug, Clone)]
pub(crate) struct World {
    data: PathBuf,
}

impl World {
    pub(crate) fn new(data: &Path) -> Result<Self> {
        fs::create_dir_all(data).doing(|| format!("creating {}", data.display()))?;
        let data = data.canonicalize().doing(|| format!("finding {}", data.display()))?;
        Ok(Self { data })
    }

    /// A base set; a smaller one has the first packages of a larger one.
    pub(crate) fn packages(&self, weight: Weight, count: usize) -> Result<Packages> {
        let recipe = Recipe { count, payload_bytes: weight.payload_bytes(), ..RECIPE };
        self.made(&format!("packages-{}-{count}", weight.folder()), &recipe)
    }

    /// Packages that are in no base set, to be added.
    pub(crate) fn extras(&self) -> Result<Packages> {
        let recipe = Recipe { count: EXTRAS, first_family: EXTRA_FAMILY, ..RECIPE };
        self.made("packages-extra", &recipe)
    }

    /// One version more of one name than any other name has: retention at one less removes
    /// exactly one package.
    pub(crate) fn retiring(&self) -> Result<Packages> {
        let count = generate::MAX_VERSIONS + 1;
        let recipe = Recipe { count, first_family: RETIRING_FAMILY, one_family: true, ..RECIPE };
        self.made("packages-retiring", &recipe)
    }

    fn made(&self, name: &str, recipe: &Recipe) -> Result<Packages> {
        let folder = self.data.join(name);
        let set = generate::set(&folder, recipe)?;
        Ok(Packages { folder, set })
    }

    /// An empty folder of that name.
    pub(crate) fn empty(&self, name: &str) -> Result<PathBuf> {
        let folder = self.data.join(name);
        match fs::remove_dir_all(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing(|| format!("emptying {}", folder.display())),
        }
        fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// Removes what `empty` made.
    pub(crate) fn discard(folder: &Path) -> Result<()> {
        fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))
    }
}

impl Packages {
    /// Hard links to all of them below `to`.
    pub(crate) fn link_all(&self, to: &Path) -> Result<()> {
        let mut made = HashSet::new();
        for path in &self.set.paths {
            let target = to.join(path);
            let folder = target.parent().unwrap_or(to).to_owned();
            if made.insert(folder.clone()) {
                fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
            }
            link(&self.folder.join(path), &target)?;
        }
        Ok(())
    }

    /// Adds some of them to a repository's folder.
    pub(crate) fn link(&self, paths: &[String], to: &Path) -> Result<()> {
        for path in paths {
            let target = to.join(path);
            let folder = target.parent().unwrap_or(to);
            fs::create_dir_all(folder).doing(|| format!("creating {}", folder.display()))?;
            link(&self.folder.join(path), &target)?;
        }
        Ok(())
    }
}

fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).doing(|| format!("linking {} to {}", from.display(), to.display()))
}
