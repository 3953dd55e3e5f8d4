//! Which packages an operator means by what was typed or pasted: paths below `repo/`, whole folders, names and NEVRAs with
//! `*` and `?`, digests. Whatever a verb prints of a package, another one takes for it.
//!
//! Memory holds a row for each package of the repositories that had to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use rpmmd::checksum::Sha256;
use rpmmd::nevra::Nevra;

use super::Bucket;
use super::contents::{self, Shown};
use super::generations::{repository_named, there};
use super::naming::{PackageGlob, below};
use crate::config::settings::did_you_mean;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// Names that are offered instead of one that means nothing.
const NEAR: usize = 3;
/// Packages that are looked through for such a name.
const LOOKED_THROUGH: usize = 20_000;

/// A package that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// Its repository.
    pub repository: RepositoryDir,
    /// Its path in that.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: Nevra,
    /// SHA-256 of the file.
    pub pkgid: Sha256,
    /// Its path below the folder that was named, or its file's name where none was.
    pub within: String,
}

impl Meant {
    /// Its path below `repo/`.
    pub fn path(&self) -> String {
        self.repository.path_of(&self.href)
    }
}

/// A folder to look in: a repository, and the beginning of the paths in it.
#[derive(Debug, Clone)]
struct Scope {
    repository: RepositoryDir,
    prefix: String,
}

/// What was read so far.
struct Reader<'b> {
    bucket: &'b Bucket,
    known: BTreeMap<RepositoryDir, Vec<Shown>>,
}

impl Reader<'_> {
    async fn packages(&mut self, repository: &RepositoryDir) -> Result<&[Shown]> {
        if !self.known.contains_key(repository) {
            let now = contents::current(self.bucket, repository).await?;
            self.known.insert(repository.clone(), now.map(|now| now.packages).unwrap_or_default());
        }
        Ok(&self.known[repository])
    }
}

/// The packages that `texts` mean, in the order of their paths; in the folders `folders` only, if there are any. One that
/// means nothing is an error that names what is near, and so is a name that packages of several repositories bear where
/// no folder says which.
pub async fn packages(bucket: &Bucket, folders: &[String], texts: &[String]) -> Result<Vec<Meant>> {
    let mut reader = Reader { bucket, known: BTreeMap::new() };
    let mut named = Vec::new();
    for folder in folders {
        named.push(scope(&mut reader, folder).await?);
    }
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for text in texts {
        let found = one(&mut reader, &named, text).await?;
        all.extend(found.into_iter().filter(|one| seen.insert((one.repository.clone(), one.href.clone()))));
    }
    all.sort_by(|a, b| (&a.repository, &a.href).cmp(&(&b.repository, &b.href)));
    Ok(all)
}

/// The newest versions of each name and architecture among these.
pub fn newest(mut packages: Vec<Meant>) -> Vec<Meant> {
    let mut newest: BTreeMap<(String, String), rpmmd::evr::Evr> = BTreeMap::new();
    for Meant { nevra, .. } in &packages {
        let best = newest.entry((nevra.name.clone(), nevra.arch.clone())).or_insert_with(|| nevra.evr.clone());
        if nevra.evr.vercmp(best).is_gt() {
            *best = nevra.evr.clone();
        }
    }
    packages.retain(|one| {
        let best = newest.get(&(one.nevra.name.clone(), one.nevra.arch.clone()));
        best.is_some_and(|best| one.nevra.evr.vercmp(best).is_eq())
    });
    packages
}

/// A repository by its folder, or a folder with packages in one.
async fn scope(reader: &mut Reader<'_>, folder: &str) -> Result<Scope> {
    let bucket = reader.bucket;
    let error = match repository_named(bucket, folder).await {
        Ok(repository) => return Ok(Scope { repository, prefix: String::new() }),
        Err(error) => error,
    };
    for bare in spellings(bucket, folder) {
        let inside = format!("{}/", bare.trim_end_matches('/'));
        let Some((repository, prefix)) = bucket.locator.locate(&inside) else { continue };
        if reader.packages(&repository).await?.iter().any(|shown| shown.href.starts_with(prefix)) {
            return Ok(Scope { repository, prefix: prefix.to_owned() });
        }
    }
    Err(error)
}

/// A path as it may have been meant: with the name of `repo/` in front, or without.
fn spellings(bucket: &Bucket, path: &str) -> Vec<String> {
    let path = path.strip_prefix("./").unwrap_or(path).trim_start_matches('/');
    let repo = bucket.policy.folders.repo_prefix();
    std::iter::once(path).chain(path.strip_prefix(&repo)).map(str::to_owned).collect()
}

/// What one text means.
async fn one(reader: &mut Reader<'_>, named: &[Scope], text: &str) -> Result<Vec<Meant>> {
    let bucket = reader.bucket;
    for path in spellings(bucket, text) {
        let at = match named {
            [] => bucket.locator.locate(&path).map(|(repository, href)| (repository, href.to_owned(), None)),
            _ => at_path(reader, named, &path).await?,
        };
        let Some((repository, href, within)) = at else { continue };
        if let Some(shown) = reader.packages(&repository).await?.iter().find(|shown| shown.href == href) {
            let within = within.unwrap_or_else(|| file_name(&href).to_owned());
            return Ok(vec![meant(&repository, shown, within)]);
        }
    }
    let scopes = if named.is_empty() { everywhere(bucket).await? } else { named.to_vec() };
    let mut found = Vec::new();
    let wanted = Wanted::of(bucket, text)?;
    for scope in &scopes {
        let packages = reader.packages(&scope.repository).await?.iter();
        let in_scope = packages.filter_map(|shown| Some((shown, shown.href.strip_prefix(scope.prefix.as_str())?)));
        for (shown, rest) in in_scope {
            let path = scope.repository.path_of(&shown.href);
            let Some(below) = wanted.fits(shown, &path, rest) else { continue };
            let within = match below {
                Some(below) => below,
                None if named.is_empty() => file_name(&shown.href).to_owned(),
                None => rest.to_owned(),
            };
            found.push(meant(&scope.repository, shown, within));
        }
    }
    if found.is_empty() {
        return Err(nothing(reader, &scopes, text));
    }
    if named.is_empty() && !wanted.is_a_place() {
        refuse_several(text, &found)?;
    }
    Ok(found)
}

/// Where a path may point in the folders that were named: below one of them, or below `repo/`.
async fn at_path(
    reader: &mut Reader<'_>,
    named: &[Scope],
    path: &str,
) -> Result<Option<(RepositoryDir, String, Option<String>)>> {
    for Scope { repository, prefix } in named {
        let below_repo = path.strip_prefix(repository.as_str()).map(|rest| rest.trim_start_matches('/').to_owned());
        let below_repo = below_repo.filter(|href| href.starts_with(prefix.as_str()));
        for href in [Some(format!("{prefix}{path}")), below_repo].into_iter().flatten() {
            if reader.packages(repository).await?.iter().any(|shown| shown.href == href) {
                let within = href[prefix.len()..].to_owned();
                return Ok(Some((repository.clone(), href, Some(within))));
            }
        }
    }
    Ok(None)
}

async fn everywhere(bucket: &Bucket) -> Result<Vec<Scope>> {
    let scope = |repository| Scope { repository, prefix: String::new() };
    Ok(there(bucket).await?.into_iter().map(scope).collect())
}

fn meant(repository: &RepositoryDir, shown: &Shown, within: String) -> Meant {
    let Shown { href, nevra, pkgid, .. } = shown.clone();
    Meant { repository: repository.clone(), href, nevra, pkgid, within }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a text that is no path of a package can mean.
enum Wanted {
    /// All below one of these folders.
    Folders(Vec<String>),
    /// These bytes.
    Digest(Sha256),
    /// What one of these fits; whether they are about paths.
    Globs(Vec<PackageGlob>, bool),
}

impl Wanted {
    fn of(bucket: &Bucket, text: &str) -> Result<Self> {
        let spelt = spellings(bucket, text);
        if text.ends_with('/') {
            return Ok(Self::Folders(spelt));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        let globs = spelt.iter().map(|text| PackageGlob::new(text)).collect::<Result<_>>()?;
        Ok(Self::Globs(globs, spelt.iter().any(|text| text.contains('/'))))
    }

    /// Whether a package is meant; inside, its path below the folder by which it is.
    #[expect(clippy::option_option, reason = "whether it is meant, and whether a folder says so")]
    fn fits(&self, shown: &Shown, path: &str, rest: &str) -> Option<Option<String>> {
        match self {
            Self::Folders(folders) => {
                let below = folders.iter().flat_map(|folder| [below(path, folder), below(rest, folder)]);
                below.flatten().next().map(|below| Some(below.to_owned()))
            }
            Self::Digest(digest) => (shown.pkgid == *digest).then_some(None),
            Self::Globs(globs, _) => {
                let nevra = shown.nevra.to_string();
                globs.iter().any(|glob| glob.fits(&nevra, path) || glob.fits(&nevra, rest)).then_some(None)
            }
        }
    }

    /// Whether it says itself in which folder.
    fn is_a_place(&self) -> bool {
        matches!(self, Self::Folders(_) | Self::Globs(_, true))
    }
}

/// A name alone does not say whether dev's package is meant, or prod's.
fn refuse_several(text: &str, found: &[Meant]) -> Result<()> {
    let repositories: BTreeSet<String> = found.iter().map(|one| one.repository.to_string()).collect();
    if repositories.len() < 2 {
        return Ok(());
    }
    let repositories: Vec<String> = repositories.into_iter().collect();
    Err(Error::new(ErrorKind::Conflict, format!("looking for the packages {text:?}"))
        .because(format!("several repositories have such packages: {}", repositories.join(", ")))
        .hint("nothing was changed; say which with --in FOLDER, once for each, or write a path"))
}

/// The error of a text that means nothing, with what is near.
fn nothing(reader: &Reader<'_>, scopes: &[Scope], text: &str) -> Error {
    let looked = scopes.iter().filter_map(|scope| reader.known.get(&scope.repository).map(|known| (scope, known)));
    let packages: Vec<(String, &Shown)> = looked
        .flat_map(|(scope, known)| known.iter().map(|shown| (scope.repository.path_of(&shown.href), shown)))
        .take(LOOKED_THROUGH)
        .collect();
    let near = near(text, &packages);
    let is_folder = packages.iter().any(|(path, _)| below(path, &format!("{text}/")).is_some());
    let hint = match (is_folder, near.is_empty()) {
        (true, _) => format!("for all that is in the folder write {text}/"),
        (false, false) => format!("did you mean {}?", near.join(", or ")),
        (false, true) => "`yrm package search TEXT` finds packages by parts of their names and paths".to_owned(),
    };
    Error::new(ErrorKind::Conflict, format!("looking for the package {text:?}"))
        .because("no package has that path, name or NEVRA, and no folder that name")
        .hint(format!("nothing was changed; {hint}"))
}

/// Paths that have the text in them, or else a name that is spelt nearly so.
fn near(text: &str, packages: &[(String, &Shown)]) -> Vec<String> {
    let plain = text.trim_matches(['*', '?', '/']).to_lowercase();
    let has = |(path, shown): &&(String, &Shown)| {
        !plain.is_empty()
            && (path.to_lowercase().contains(&plain) || shown.nevra.to_string().to_lowercase().contains(&plain))
    };
    let near: Vec<String> = packages.iter().filter(has).take(NEAR).map(|(path, _)| path.clone()).collect();
    if !near.is_empty() {
        return near;
    }
    let names: BTreeSet<&str> = packages.iter().map(|(_, shown)| shown.nevra.name.as_str()).collect();
    if let Some(name) = did_you_mean(&plain, names) {
        return vec![name.to_owned()];
    }
    let files = packages.iter().map(|(path, _)| if text.contains('/') { path.as_str() } else { file_name(path) });
    did_you_mean(text, files).map(str::to_owned).into_iter().collect()
}
