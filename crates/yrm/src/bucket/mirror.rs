//! Where generations have folders of their own, by the configuration, and what a list of mirrors says.

use std::fmt::Write as _;

use bytes::Bytes;
use globset::GlobMatcher;

use crate::config::{self, Policy, globs};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{MirrorFolder, RepositoryDir};

/// Where the mode is on, and how clients reach what is published.
#[derive(Debug, Clone, Default)]
pub struct MirrorRules {
    on: bool,
    rules: Vec<(Vec<GlobMatcher>, Option<bool>)>,
    public_urls: Vec<String>,
}

impl MirrorRules {
    /// From the configuration; a glob that does not parse is a configuration error.
    pub fn new(policy: &Policy) -> Result<Self> {
        let wrong = |what| Error::new(ErrorKind::Config, "reading a rule").because(what);
        let globs = |rule: &config::Rule| {
            let globs = rule.folders.iter().map(|text| globs::folder_globs(text)).collect::<Result<Vec<_>, String>>();
            globs.map(|globs| (globs.concat(), rule.mirrorlist)).map_err(wrong)
        };
        let rules = policy.trust.rules.iter().map(globs).collect::<Result<_>>()?;
        Ok(Self { on: policy.mirrors.on, rules, public_urls: policy.mirrors.public_urls.clone() })
    }

    /// Whether the mode is on in a repository: the first rule for its folder, or for one above it, says so.
    pub fn is_on(&self, repository: &RepositoryDir) -> bool {
        let dir = repository.as_str();
        let above = dir.match_indices('/').map(|(at, _)| &dir[..at]);
        let folders: Vec<&str> = std::iter::once("").chain(above).chain([dir]).collect();
        let fits = |globs: &[GlobMatcher]| globs.iter().any(|glob| folders.iter().any(|folder| glob.is_match(folder)));
        let rule = self.rules.iter().find(|(globs, _)| fits(globs));
        rule.and_then(|(_, on)| *on).unwrap_or(self.on)
    }

    /// Whether it is on in any.
    pub fn is_on_anywhere(&self) -> bool {
        self.on || self.rules.iter().any(|(_, on)| *on == Some(true))
    }

    /// The address of a repository, with a slash at its end, if the configuration says how clients reach the bucket.
    pub(crate) fn address_of(&self, repository: &RepositoryDir) -> Option<String> {
        let dir = in_url(repository.as_str());
        let dir = if dir.is_empty() { dir } else { format!("{dir}/") };
        // Whatever markup escapes is spelt out in an address.
        let url = self.public_urls.first().filter(|url| !url.contains(['&', '<', '>', '"', '\'']))?;
        Some(format!("{}/{dir}", url.trim_end_matches('/')))
    }

    /// The list of mirrors that names `folder`: a line for each address of ours.
    pub(crate) fn list(&self, repository: &RepositoryDir, folder: &MirrorFolder) -> Bytes {
        let dir = match repository.as_str() {
            "" => String::new(),
            dir => format!("{}/", in_url(dir)),
        };
        let lines = self.public_urls.iter().map(|url| format!("{url}/{dir}repodata/{folder}/\n"));
        lines.collect::<String>().into()
    }
}

/// A path as it stands in a URL.
pub(crate) fn in_url(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a String takes any text");
        }
    }
    url
}

#[cfg(test)]
mod tests;
