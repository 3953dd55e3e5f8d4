//! The buckets that are signed for, as people name them: `s3://NAME[/PREFIX][?region=REGION]`.
//!
//! A name, a prefix and a region become parts of addresses. So each has one way in, which lets through only what can
//! stand there.

use std::fmt;
use std::str::FromStr;

use crate::key::Key;

/// The name of a bucket, or the alias of an access point.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BucketName(String);

impl BucketName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name may stand in a host's name: a certificate `*.s3.…` covers no dots, and names from before
    /// 2018 may have capitals and underscores.
    pub(crate) fn fits_into_a_host(&self) -> bool {
        self.0.len() <= 63 && self.0.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

impl FromStr for BucketName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let is_named = (3..=255).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
            && is_end(bytes.first())
            && is_end(bytes.last())
            && !text.contains("..");
        if !is_named {
            return Err(format!("\"{}\" is no name of a bucket", text.escape_default()));
        }
        if text.ends_with("--x-s3") {
            return Err(format!("{text} is a directory bucket: it takes no presigned requests"));
        }
        if text.ends_with("--ol-s3") || text.ends_with("--op-s3") {
            return Err(format!(
                "{text} is an access point of Object Lambda or Outposts: name one of the bucket itself"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region of AWS, or what another store calls so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    /// Where nobody says anything.
    pub(crate) fn usual() -> Self {
        Self("us-east-1".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_region = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if is_region { Ok(Self(text.to_owned())) } else { Err(format!("\"{}\" is no region", text.escape_default())) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bucket that is signed for, or what is below a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: BucketName,
    /// Empty, or it ends in a slash.
    pub(crate) prefix: String,
    /// Where the bucket is, if that was said.
    pub(crate) region: Option<Region>,
}

impl Bucket {
    /// Whether the key is one of those that are signed for.
    pub(crate) fn covers(&self, key: &Key) -> bool {
        key.as_str().strip_prefix(self.prefix.as_str()).is_some_and(|rest| !rest.is_empty())
    }

    /// A folder of the bucket, below the prefix; without a slash at its end.
    pub(crate) fn folder(&self, folder: &str) -> String {
        let folder = folder.trim_matches('/');
        let folder = if folder == "." { "" } else { folder };
        format!("{}{folder}", self.prefix).trim_end_matches('/').to_owned()
    }
}

impl FromStr for Bucket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err(format!("write s3://NAME or s3://NAME/PREFIX, not \"{}\"", text.escape_default()));
        };
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let region = match query {
            None => None,
            Some(query) => match query.strip_prefix("region=") {
                Some(region) => Some(region.parse()?),
                None => return Err(format!("after ? write region=REGION, not \"{}\"", query.escape_default())),
            },
        };
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{}/", Key::new(prefix)?.as_str()) };
        Ok(Self { name: name.parse()?, prefix, region })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.name)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix.trim_end_matches('/')) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> Bucket {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_has_a_name_and_may_have_a_prefix_and_a_region() {
        let plain = bucket("s3://my-bucket");
        assert_eq!((plain.name.as_str(), plain.prefix.as_str(), plain.region.clone()), ("my-bucket", "", None));
        assert_eq!(bucket("s3://my-bucket/"), plain);
        let whole = bucket("s3://my.bucket/team a/x/?region=eu-west-1");
        assert_eq!((whole.prefix.as_str(), whole.region.unwrap().as_str()), ("team a/x/", "eu-west-1"));
        assert_eq!(bucket("s3://my-bucket/a").to_string(), "s3://my-bucket/a");
    }

    #[test]
    fn what_could_become_another_host_or_path_is_refused() {
        for text in [
            "my-bucket",
            "s3://",
            "s3://ab",
            "s3://-ab",
            "s3://a..b",
            "s3://evil.com#",
            "s3://a@b",
            "s3://a:80",
            "s3://bucket/../x",
            "s3://bucket/a//b",
            "s3://bucket?acl",
            "s3://bucket?region=evil.com/",
            "s3://bucket?region=",
            "s3://fast--use1-az4--x-s3",
            "s3://lambda-x--ol-s3",
            "s3://b\u{e9}b\u{e9}",
        ] {
            assert!(text.parse::<Bucket>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_covers_what_is_below_it_and_not_what_begins_alike() {
        let team = bucket("s3://bucket/team");
        for (key, covered) in [("team/a", true), ("team-b/a", false), ("team", false), ("teamwork", false)] {
            assert_eq!(team.covers(&Key::new(key).unwrap()), covered, "{key}");
        }
        assert_eq!(team.folder("repo"), "team/repo");
        assert_eq!(team.folder("."), "team");
        assert_eq!(bucket("s3://bucket").folder("/repo/el9/"), "repo/el9");
        assert_eq!(bucket("s3://bucket").folder("."), "");
    }
}
