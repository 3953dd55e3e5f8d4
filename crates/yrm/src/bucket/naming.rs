//! How people name packages: by a path below `repo/`, or by a pattern on the name, the NEVRA or the path, as dnf takes
//! it. Pure.

use globset::{GlobBuilder, GlobMatcher};

use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// Longer patterns are none.
const MAX_PATTERN_BYTES: usize = 1_000;

/// A package's path below `repo/`.
pub fn path(repository: &str, href: &str) -> String {
    RepositoryDir::new(repository).path_of(href)
}

/// What of a path lies below a folder that ends in a slash; `/` is above all.
pub fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder.trim_start_matches('/')).filter(|rest| !rest.is_empty())
}

/// A path below `repo/` as it was typed, without the name of that folder in front.
pub fn bare<'t>(folders: &Folders, text: &'t str) -> &'t str {
    let text = text.strip_prefix("./").unwrap_or(text).trim_start_matches('/');
    text.strip_prefix(&folders.repo_prefix()).unwrap_or(text)
}

/// A pattern for packages: `foo`, `foo-1.2*`, `*.src`, `el9/x86_64/foo-*`. Large and small letters are the same.
#[derive(Debug, Clone)]
pub struct PackageGlob {
    matcher: GlobMatcher,
}

impl PackageGlob {
    /// From what was typed; a leading `repo/` or `/` of a path is left out.
    pub fn new(text: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(ErrorKind::Config, format!("reading the package pattern {text:?}"))
                .because(why)
                .hint("write a name (foo), a NEVRA (foo-1.2-1.x86_64) or a path, with * and ? for what may be anything")
        };
        if text.len() > MAX_PATTERN_BYTES {
            return Err(wrong(format!("it has more than {MAX_PATTERN_BYTES} bytes")));
        }
        let glob = GlobBuilder::new(text.trim_start_matches('/')).case_insensitive(true).build();
        let matcher = glob.map_err(|source| wrong(source.to_string()))?.compile_matcher();
        Ok(Self { matcher })
    }

    /// Whether a text is a pattern at all, and not part of a name.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }

    /// Whether it means the package of this NEVRA at this path below `repo/`.
    pub fn fits(&self, nevra: &str, path: &str) -> bool {
        let is = |text: &str| self.matcher.is_match(text);
        is(path)
            || is(path.rsplit('/').next().unwrap_or(path))
            || is(nevra)
            || split(nevra).is_some_and(|parts| parts.any(is))
    }
}

/// What a NEVRA consists of.
struct Parts<'n> {
    name: &'n str,
    epoch: Option<&'n str>,
    version: &'n str,
    release: &'n str,
    arch: &'n str,
}

impl Parts<'_> {
    /// Whether a spelling fits that dnf knows, beside the whole.
    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        let Parts { name, epoch, version, release, arch } = self;
        let epoch = epoch.unwrap_or("0");
        is(name)
            || is(&format!("{name}.{arch}"))
            || is(&format!("{name}-{version}"))
            || is(&format!("{name}-{version}-{release}"))
            || is(&format!("{name}-{version}-{release}.{arch}"))
            || is(&format!("{name}-{epoch}:{version}-{release}"))
            || is(&format!("{name}-{epoch}:{version}-{release}.{arch}"))
    }
}

/// `name-[epoch:]version-release.arch`.
fn split(nevra: &str) -> Option<Parts<'_>> {
    let (rest, arch) = nevra.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let (epoch, version) = version.split_once(':').map_or((None, version), |(epoch, version)| (Some(epoch), version));
    Some(Parts { name, epoch, version, release, arch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_meant_by_name_nevra_or_path() {
        let (nevra, path) = ("Foo-Tools-2:1.10-3.el9.x86_64", "el9/x86_64/foo-tools-1.10-3.el9.x86_64.rpm");
        for meant in [
            "foo-tools",
            "FOO-*",
            "foo-tools.x86_64",
            "foo-tools-1.10",
            "foo-tools-1.1*",
            "foo-tools-1.10-3.el9",
            "foo-tools-1.10-3.el9.x86_64",
            "foo-tools-2:1.10-3.el9",
            "foo-tools-2:1.10-3.el9.x86_64",
            "foo-tools-1.10-3.el9.x86_64.rpm",
            "el9/x86_64/foo-tools-1.10-3.el9.x86_64.rpm",
            "/el9/*/foo*",
            "*.x86_64",
        ] {
            assert!(PackageGlob::new(meant).unwrap().fits(nevra, path), "{meant}");
        }
        for other in ["foo", "tools", "foo-tools-1.1", "*.noarch", "el9/foo*", ""] {
            assert!(!PackageGlob::new(other).unwrap().fits(nevra, path), "{other}");
        }
    }

    #[test]
    fn a_broken_pattern_is_told() {
        for broken in ["a[", "{a"] {
            assert_eq!(PackageGlob::new(broken).unwrap_err().kind(), ErrorKind::Config, "{broken}");
        }
    }
}
