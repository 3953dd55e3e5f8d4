//! `bench generate`: a folder of packages shaped like a real distribution's.
//!
//! A package depends on the seed and its family's number alone, so a smaller set is a part of a
//! larger one, and families from another number on are other packages. Never overwrites: a set
//! that is there is used again.

mod package;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fault::{Doing as _, Result};

pub(crate) use package::MAX_VERSIONS;

/// What is generated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// The same seed gives the same bytes.
    pub(crate) seed: u64,
    /// Packages.
    pub(crate) count: usize,
    /// Mean bytes of the payload, which comes on top of the headers.
    pub(crate) payload_bytes: usize,
    /// The first family's number.
    pub(crate) first_family: u64,
    /// Every package is a version of one name, instead of a few each.
    pub(crate) one_family: bool,
}

/// What was generated; beside the packages, so that it is not one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Set {
    /// How.
    pub(crate) recipe: Recipe,
    /// The packages' paths below the folder, in the order of their making, which is none of their
    /// names.
    pub(crate) paths: Vec<String>,
    /// The bytes of all of them.
    pub(crate) bytes: u64,
}

/// The set in `folder`, made now unless it is there.
pub(crate) fn set(folder: &Path, recipe: &Recipe) -> Result<Set> {
    let list = list_of(folder);
    if let Ok(text) = fs::read(&list) {
        let set: Set = serde_json::from_slice(&text).doing(|| format!("reading {}", list.display()))?;
        if set.recipe == *recipe {
            return Ok(set);
        }
        return Err(format!("{} holds another set: {:?}", folder.display(), set.recipe).into());
    }
    let families = families(recipe);
    for folder in families.iter().map(|family| folder.join(family.folder())) {
        fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
    }
    let made: Vec<Vec<(String, u64)>> =
        families.par_iter().map(|family| write(family, folder)).collect::<Result<_>>()?;
    let (paths, sizes): (Vec<_>, Vec<u64>) = made.into_iter().flatten().unzip();
    let set = Set { recipe: recipe.clone(), paths, bytes: sizes.iter().sum() };
    let text = serde_json::to_vec(&set).expect("a set is plain data");
    fs::write(&list, text).doing(|| format!("writing {}", list.display()))?;
    Ok(set)
}

fn list_of(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    folder.with_file_name(name)
}

/// Families until there are enough packages; the last one may be cut.
fn families(recipe: &Recipe) -> Vec<package::Family> {
    let mut families = Vec::new();
    let mut left = recipe.count;
    for number in recipe.first_family.. {
        if left == 0 {
            break;
        }
        let mut family = package::Family::new(recipe.seed, number, recipe.payload_bytes);
        family.versions = if recipe.one_family { left } else { family.versions.min(left) };
        left -= family.versions;
        families.push(family);
    }
    families
}

fn write(family: &package::Family, folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut written = Vec::with_capacity(family.versions);
    for rpm in family.packages() {
        let path = format!("{}/{}", family.folder(), rpm.file_name());
        let bytes = rpm.build();
        let file = folder.join(&path);
        fs::write(&file, &bytes).doing(|| format!("writing {}", file.display()))?;
        written.push((path, bytes.len() as u64));
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpmmd::header::{HeaderFile, Parsed};

    fn recipe(count: usize) -> Recipe {
        Recipe { seed: 7, count, payload_bytes: 5_000, first_family: 0, one_family: false }
    }

    #[test]
    fn a_smaller_set_is_the_beginning_of_a_larger_one() {
        let folder = tempfile::tempdir().unwrap();
        let small = set(&folder.path().join("small"), &recipe(20)).unwrap();
        let large = set(&folder.path().join("large"), &recipe(40)).unwrap();
        assert_eq!(large.paths.len(), 40);
        for path in &small.paths {
            let read = |set: &str| fs::read(folder.path().join(set).join(path)).unwrap();
            assert_eq!(read("small"), read("large"), "{path}");
        }
        assert_eq!(small.paths, large.paths[..20]);
    }

    #[test]
    fn every_package_has_sound_headers_and_a_path_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let set = set(folder.path(), &recipe(60)).unwrap();
        let mut paths = set.paths.clone();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), 60);
        for path in &paths {
            let bytes = fs::read(folder.path().join(path)).unwrap();
            let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(&bytes) else { panic!("{path}") };
            assert_eq!(file.expected_file_bytes(), Some(bytes.len() as u64), "{path}");
        }
    }
}
