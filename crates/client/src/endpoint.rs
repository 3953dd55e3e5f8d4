//! Where a bucket answers: the address of S3 in every partition, or another store's. It only computes.
//!
//! The host of an answer is made here from a bucket's name, a region and the configuration, and from nothing that a
//! request says. So nobody is sent anywhere else.

use std::net::IpAddr;
use std::str::FromStr;

use crate::bucket::{BucketName, Region};

/// The origin of a store that is not AWS's own: `http://127.0.0.1:9000` or `https://s3.example.com/base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: &'static str,
    /// Host and port.
    authority: String,
    /// Empty, or a path that begins with a slash and does not end in one.
    base: String,
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is no address of a store: write http(s)://HOST[:PORT]", text.escape_default());
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            _ => return Err(wrong()),
        };
        let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
        let is_authority = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        let base = base.trim_end_matches('/');
        let is_base = base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte))
            && (base.is_empty() || !base.split('/').any(|segment| matches!(segment, "" | "." | "..")));
        if !is_authority || !is_base {
            return Err(wrong());
        }
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        Ok(Self { scheme, authority: authority.to_owned(), base })
    }
}

impl Origin {
    /// Its host, without the port.
    fn host(&self) -> &str {
        host_of(&self.authority)
    }
}

/// The host of `host:port`, with the brackets of an IPv6 address left out.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Which of the addresses that S3 has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Store {
    /// Another store than AWS's, or S3 under another name.
    pub(crate) origin: Option<Origin>,
    /// The bucket stands in the path and not in the host's name.
    pub(crate) path_style: bool,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
}

impl Store {
    /// The address of a bucket; an object's key follows after a slash.
    pub(crate) fn address(&self, bucket: &BucketName, region: &Region) -> String {
        let (scheme, authority, base) = match &self.origin {
            Some(origin) => (origin.scheme, origin.authority.clone(), origin.base.as_str()),
            None => ("https", self.host(region), ""),
        };
        // An address of digits has no names below it.
        let has_names_below = self.origin.as_ref().is_none_or(|origin| origin.host().parse::<IpAddr>().is_err());
        if self.path_style || !has_names_below || !bucket.fits_into_a_host() {
            format!("{scheme}://{authority}{base}/{bucket}")
        } else {
            format!("{scheme}://{bucket}.{authority}{base}")
        }
    }

    fn host(&self, region: &Region) -> String {
        let fips = if self.fips { "-fips" } else { "" };
        let dual_stack = if self.dual_stack { ".dualstack" } else { "" };
        format!("s3{fips}{dual_stack}.{region}.{}", domain_of(region))
    }

    /// The address of AWS's STS in a region, which says who is asking.
    pub(crate) fn security_tokens(&self, region: &Region) -> String {
        let fips = if self.fips { "-fips" } else { "" };
        format!("https://sts{fips}.{region}.{}/", domain_of(region))
    }
}

/// How a region's name begins, its partition as ARNs name it, and the partition's domain (the SDKs' own table,
/// `partitions.json`). S3 keeps the domain for dual-stack addresses, other services do not.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
];

fn partition(region: &Region) -> (&'static str, &'static str) {
    let found = PARTITIONS.iter().find(|(begins, ..)| region.as_str().starts_with(begins));
    found.map_or(("aws", "amazonaws.com"), |(_, name, domain)| (name, domain))
}

fn domain_of(region: &Region) -> &'static str {
    partition(region).1
}

/// The ARN of a bucket.
pub(crate) fn arn(bucket: &BucketName, region: &Region) -> String {
    format!("arn:{}:s3:::{bucket}", partition(region).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(store: &Store, bucket: &str, region: &str) -> String {
        store.address(&bucket.parse().unwrap(), &region.parse().unwrap())
    }

    fn at(origin: &str) -> Store {
        Store { origin: Some(origin.parse().unwrap()), ..Store::default() }
    }

    #[test]
    fn every_partition_has_its_domain() {
        for (region, host) in [
            ("eu-west-1", "s3.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "s3.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "s3.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "s3.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "s3.us-isof-south-1.csp.hci.ic.gov"),
            ("eusc-de-east-1", "s3.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(address(&Store::default(), "bucket", region), format!("https://bucket.{host}"));
        }
    }

    #[test]
    fn fips_dual_stack_and_path_style_change_the_address() {
        let store = |fips, dual_stack, path_style| Store { origin: None, path_style, fips, dual_stack };
        let in_ohio = |store: &Store| address(store, "bucket", "us-east-2");
        assert_eq!(in_ohio(&store(true, false, false)), "https://bucket.s3-fips.us-east-2.amazonaws.com");
        assert_eq!(in_ohio(&store(false, true, false)), "https://bucket.s3.dualstack.us-east-2.amazonaws.com");
        assert_eq!(in_ohio(&store(true, true, false)), "https://bucket.s3-fips.dualstack.us-east-2.amazonaws.com");
        assert_eq!(in_ohio(&store(false, false, true)), "https://s3.us-east-2.amazonaws.com/bucket");
        let sts = store(true, false, false).security_tokens(&"us-east-2".parse().unwrap());
        assert_eq!(sts, "https://sts-fips.us-east-2.amazonaws.com/");
    }

    #[test]
    fn names_that_no_certificate_covers_stand_in_the_path_and_aliases_are_names() {
        let usual = Store::default();
        assert_eq!(address(&usual, "my.bucket", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.bucket");
        assert_eq!(address(&usual, "My_Bucket", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/My_Bucket");
        assert_eq!(
            address(&usual, "team-1a2b3c-s3alias", "eu-west-1"),
            "https://team-1a2b3c-s3alias.s3.eu-west-1.amazonaws.com"
        );
    }

    #[test]
    fn another_store_is_reached_at_its_own_address() {
        assert_eq!(address(&at("http://127.0.0.1:9000"), "bucket", "x"), "http://127.0.0.1:9000/bucket");
        assert_eq!(address(&at("http://[::1]:9000/"), "bucket", "x"), "http://[::1]:9000/bucket");
        assert_eq!(address(&at("https://s3.example.com"), "bucket", "x"), "https://bucket.s3.example.com");
        let by_path = Store { path_style: true, ..at("https://s3.example.com/base/") };
        assert_eq!(address(&by_path, "bucket", "x"), "https://s3.example.com/base/bucket");
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for text in
            ["", "s3.example.com", "ftp://x", "http://", "http://a@b", "http://a/?x", "http://a/../b", "http://a b"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
