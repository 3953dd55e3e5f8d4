//! What metadata of others calls a file, as the one path that it means in this bucket. Only computes.

use crate::config::Policy;
use crate::store::key::{self, RepositoryDir};

/// The path, relative to `repository`, of what metadata there says to lie at `href` of `base`: see [`normal`]. `None`
/// also for what lies in a folder of the bucket that is no part of the repositories: what is in the inbox is not
/// published by being named.
pub fn place(repository: &RepositoryDir, policy: &Policy, base: Option<&str>, href: &str) -> Option<String> {
    let href = normal(repository, &policy.mirrors.public_urls, base, href)?;
    policy.folders.apart(&repository.path_of(&href)).is_none().then_some(href)
}

/// The path, relative to `repository`, of what metadata there says to lie at `href` of `base` (`xml:base`): plain,
/// but for leading `../` where the file lies beside the repository's folder. `None` when it does not lie below
/// `repo/`, as far as anybody can tell: `public_urls` are the addresses that clients know `repo/` by.
fn normal(repository: &RepositoryDir, public_urls: &[String], base: Option<&str>, href: &str) -> Option<String> {
    let dir = repository.as_str();
    let path = match base {
        _ if is_url(href) => below_repo(public_urls, href)?.to_owned(),
        _ if href.starts_with('/') => return None,
        Some(base) if is_url(base) => format!("{}/{href}", below_repo(public_urls, base)?),
        Some(base) if base.starts_with('/') => return None,
        Some(base) => format!("{dir}/{base}/{href}"),
        None => format!("{dir}/{href}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let own: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    let shared = own.iter().zip(&parts).take_while(|(own, part)| own == part).count();
    let below = parts[shared..].join("/");
    key::is_plain_path(&below).then(|| "../".repeat(own.len() - shared) + &below)
}

/// Whether a path that [`place`] gave lies beside the repository's folder.
pub fn is_outside(href: &str) -> bool {
    href.starts_with("../")
}

/// Whether `path` names its server too.
fn is_url(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn below_repo<'u>(public_urls: &[String], url: &'u str) -> Option<&'u str> {
    let rests = public_urls.iter().filter_map(|own| url.strip_prefix(own.trim_end_matches('/')));
    rests.into_iter().find(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &str, base: Option<&str>, href: &str) -> Option<String> {
        normal(&RepositoryDir::new(dir), &["https://a.example/repo".to_owned()], base, href)
    }

    #[test]
    fn one_file_has_one_name() {
        for href in ["a/x.rpm", "./a/x.rpm", "a//x.rpm", "a/./x.rpm", "b/../a/x.rpm", "../x86_64/a/x.rpm"] {
            assert_eq!(at("el9/x86_64", None, href).as_deref(), Some("a/x.rpm"), "{href}");
        }
        for (base, href) in [
            (None, "../noarch/x.rpm"),
            (Some("../noarch"), "x.rpm"),
            (Some("https://a.example/repo/el9/noarch/"), "x.rpm"),
            (Some("https://a.example/repo/el9/x86_64"), ".././noarch//x.rpm"),
            (None, "https://a.example/repo/el9/noarch/x.rpm"),
        ] {
            assert_eq!(at("el9/x86_64", base, href).as_deref(), Some("../noarch/x.rpm"), "{base:?} {href}");
        }
        assert_eq!(at("", Some("a"), "x.rpm").as_deref(), Some("a/x.rpm"));
        assert_eq!(at("a", None, "../../repo.rpm"), None);
    }

    #[test]
    fn what_does_not_lie_below_repo_has_no_name() {
        for (base, href) in [
            (None, "../../../x.rpm"),
            (None, "/etc/passwd"),
            (None, "http://evil/x.rpm"),
            (None, "https://a.example/repository/x.rpm"),
            (Some("https://a.example/repo"), "../x.rpm"),
            (Some("https://cdn.example/"), "x.rpm"),
            (Some("file:///srv/repo"), "x.rpm"),
            (Some("/srv"), "x.rpm"),
            (None, ""),
            (None, "./"),
            (None, ".."),
            (None, "a\nb.rpm"),
        ] {
            assert_eq!(at("el9/x86_64", base, href), None, "{base:?} {href:?}");
        }
    }
}
