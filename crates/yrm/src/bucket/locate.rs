//! Which repository a path belongs to. Pure.

use globset::{GlobBuilder, GlobMatcher};

use crate::config::{Folders, Repositories};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// `repositories`, ready to answer.
#[derive(Debug, Clone)]
pub struct Locator {
    rule: Rule,
    folders: Folders,
}

#[derive(Debug, Clone)]
enum Rule {
    /// One repository at `repo/`.
    Single,
    /// Every folder so many levels down.
    Depth(usize),
    /// Every folder a glob matches.
    Globs(Vec<GlobMatcher>),
}

impl Locator {
    /// From the configuration; a glob that does not parse is a configuration error.
    pub fn new(repositories: &Repositories) -> Result<Self> {
        let rule = match repositories {
            Repositories::Single => Rule::Single,
            Repositories::Depth(depth) => Rule::Depth(*depth),
            Repositories::Globs(globs) => Rule::Globs(
                globs
                    .iter()
                    .map(|glob| {
                        let built = GlobBuilder::new(glob.trim_matches('/')).literal_separator(true).build();
                        built.map(|glob| glob.compile_matcher()).map_err(|source| {
                            Error::new(ErrorKind::Config, format!("reading the repository pattern {glob:?}"))
                                .because(source)
                        })
                    })
                    .collect::<Result<_>>()?,
            ),
        };
        Ok(Self { rule, folders: Folders::default() })
    }

    /// The same in a bucket with these folders: where `repo/` is its root, the inbox is in no repository.
    #[must_use]
    pub fn within(self, folders: &Folders) -> Self {
        Self { folders: folders.clone(), ..self }
    }

    /// Whether all is one repository, at `repo/` itself.
    pub fn is_single(&self) -> bool {
        matches!(self.rule, Rule::Single)
    }

    /// Whether this folder is a repository.
    pub fn names(&self, repository: &RepositoryDir) -> bool {
        self.locate(&repository.path_of("any.rpm")).is_some_and(|(found, _)| found == *repository)
    }

    /// The repository that `path` (below `inbox/` or `repo/`) lies in and the path's rest, its
    /// location href; `None` when it lies above every repository or beside them, or in a folder of the bucket that is no
    /// repository's. Of nested
    /// matches the outermost is the repository.
    pub fn locate<'p>(&self, path: &'p str) -> Option<(RepositoryDir, &'p str)> {
        if self.folders.apart(path).is_some() {
            return None;
        }
        let folder_ends = || path.match_indices('/').map(|(at, _)| at);
        let end = match &self.rule {
            Rule::Single | Rule::Depth(0) => return Some((RepositoryDir::new(""), path)),
            Rule::Depth(depth) => folder_ends().nth(depth - 1)?,
            Rule::Globs(globs) => folder_ends().find(|&end| globs.iter().any(|glob| glob.is_match(&path[..end])))?,
        };
        Some((RepositoryDir::new(&path[..end]), &path[end + 1..]))
    }

    /// Whether this folder is a repository: what is uploaded into it is its own.
    pub fn is_repository(&self, dir: &RepositoryDir) -> bool {
        self.locate(&dir.path_of("any.rpm")).is_some_and(|(located, _)| located == *dir)
    }
}

/// The shortest setting that names all these repositories.
pub(crate) fn naming(repositories: &[RepositoryDir]) -> Repositories {
    let depth = |repository: &RepositoryDir| match repository.as_str() {
        "" => 0,
        dir => dir.split('/').count(),
    };
    let (least, most) = (repositories.iter().map(depth).min(), repositories.iter().map(depth).max());
    match least {
        None | Some(0) => Repositories::Single,
        Some(levels) if least == most => Repositories::Depth(levels),
        Some(_) => Repositories::Globs(repositories.iter().map(|dir| dir.as_str().to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape::layout_text;

    fn located(repositories: &Repositories, path: &str) -> Option<(String, String)> {
        let locator = Locator::new(repositories).unwrap();
        locator.locate(path).map(|(dir, href)| (dir.as_str().to_owned(), href.to_owned()))
    }

    #[test]
    fn single_takes_every_path() {
        assert_eq!(located(&Repositories::Single, "d.rpm"), Some((String::new(), "d.rpm".to_owned())));
        assert_eq!(located(&Repositories::Single, "a/b/d.rpm"), Some((String::new(), "a/b/d.rpm".to_owned())));
    }

    #[test]
    fn per_folder_cuts_at_the_first_level_and_keeps_deeper_ones() {
        let per_folder = Repositories::Depth(1);
        assert_eq!(located(&per_folder, "d.rpm"), None);
        assert_eq!(located(&per_folder, "el9/d.rpm"), Some(("el9".to_owned(), "d.rpm".to_owned())));
        assert_eq!(located(&per_folder, "el9/x86_64/d.rpm"), Some(("el9".to_owned(), "x86_64/d.rpm".to_owned())));
        assert_eq!(located(&Repositories::Depth(2), "el9/d.rpm"), None);
        assert_eq!(
            located(&Repositories::Depth(2), "el9/x86_64/d.rpm"),
            Some(("el9/x86_64".to_owned(), "d.rpm".to_owned()))
        );
    }

    #[test]
    fn globs_match_whole_folders_and_a_star_stays_within_one_level() {
        let globs = Repositories::Globs(vec!["el9/*".to_owned(), "tools".to_owned()]);
        assert_eq!(located(&globs, "el9/d.rpm"), None);
        assert_eq!(located(&globs, "el9/x86_64/a/d.rpm"), Some(("el9/x86_64".to_owned(), "a/d.rpm".to_owned())));
        assert_eq!(located(&globs, "tools/d.rpm"), Some(("tools".to_owned(), "d.rpm".to_owned())));
        assert_eq!(located(&globs, "other/d.rpm"), None);
    }

    #[test]
    fn the_setting_that_names_repositories_is_told_from_them() {
        for (dirs, text) in [
            (&[""][..], "single"),
            (&["", "debug"], "single"),
            (&["el9", "el10"], "per-folder"),
            (&["el9/x86_64", "el10/noarch"], "depth=2"),
            (&["el9/x86_64", "tools"], "el9/x86_64,tools"),
        ] {
            let dirs: Vec<_> = dirs.iter().map(|dir| RepositoryDir::new(dir)).collect();
            let naming = naming(&dirs);
            assert_eq!(layout_text(&naming), text);
            let locator = Locator::new(&naming).unwrap();
            assert!(dirs.iter().any(|dir| locator.names(dir)), "{text}");
        }
    }

    #[test]
    fn a_broken_glob_is_a_configuration_error() {
        let error = Locator::new(&Repositories::Globs(vec!["a[".to_owned()])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
