//! Access points: other doors to a bucket in S3, with rights of their own. One is named by its ARN, or by
//! the alias that S3 gave it, which looks like a bucket's name.

use super::complaint::{Complaint, Parsed};

/// What aliases of access points end in; no bucket may be called so.
const ALIAS_SUFFIX: &str = "-s3alias";
/// How the name of an access point is written.
const HINT: &str = "write s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME, and /prefix if there is one";

/// The ARN of an access point, in the parts that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPoint<'a> {
    /// Its region, which is the bucket's.
    pub region: &'a str,
    /// Its own name.
    pub name: &'a str,
}

impl<'a> AccessPoint<'a> {
    /// The access point that is named instead of a bucket, if that is its ARN.
    pub fn of(bucket: &'a str) -> Option<Self> {
        let mut parts = bucket.strip_prefix("arn:")?.splitn(5, ':');
        let (region, resource) = (parts.nth(2)?, parts.nth(1)?);
        Some(Self { region, name: resource.strip_prefix("accesspoint/")? })
    }
}

/// Whether a bucket's name is an access point's: then the bucket's own name is not known.
pub fn is_access_point(bucket: &str) -> bool {
    AccessPoint::of(bucket).is_some() || bucket.ends_with(ALIAS_SUFFIX)
}

/// An access point's ARN and the prefix after it, if `text` begins like an ARN.
pub(super) fn split(text: &str) -> Option<Parsed<(String, &str)>> {
    text.strip_prefix("arn:").map(parts)
}

fn parts(rest: &str) -> Parsed<(String, &str)> {
    let wrong = |message: &str| Complaint::new(message).hint(HINT);
    let [partition, service, region, account, resource] = rest.splitn(5, ':').collect::<Vec<_>>()[..] else {
        return Err(wrong("this is no ARN of an access point"));
    };
    let Some(named) = resource.strip_prefix("accesspoint").and_then(|named| named.strip_prefix(['/', ':'])) else {
        return Err(wrong("this ARN names no access point"));
    };
    let (name, prefix) = named.split_once('/').unwrap_or((named, ""));
    if service != "s3" {
        return Err(wrong(&format!("access points of {service} do not keep what yrm needs of S3")));
    }
    if region.is_empty() {
        return Err(wrong("a multi-region access point leads to several buckets, and a switch is in one"));
    }
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if ![partition, region, name].into_iter().all(word) || !is_account {
        return Err(wrong("this is no ARN of an access point"));
    }
    Ok((format!("arn:{partition}:s3:{region}:{account}:accesspoint/{name}"), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_point_says_its_region_and_its_name() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/rpms";
        assert_eq!(AccessPoint::of(arn), Some(AccessPoint { region: "eu-west-1", name: "rpms" }));
        assert!(is_access_point(arn) && is_access_point("rpms-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"));
        assert!(!is_access_point("rpms") && AccessPoint::of("rpms").is_none());
    }
}
