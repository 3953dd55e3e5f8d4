//! Identities that AWS confirms: a client signs the question "who am I?" to STS, as `yrm client identity` does, and hands over
//! the signed address. The gateway asks it, and learns nothing that it could use itself.
//!
//! The signature covers the bucket's name, so that what is shown to one gateway is of no use at another; and the address may
//! only be STS's, so that the gateway asks nobody else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use rpmmd::checksum::Sha256;

use crate::authorities::Authorities;
use crate::error::{Error, ErrorKind, Result};

/// What such a proof begins with.
pub const PROOF: &str = "yrm-aws-";
/// The header that names the bucket; it is signed.
pub const AUDIENCE: &str = "x-yrm-audience";
/// A proof is valid for so long, at most.
pub const LONGEST: Duration = Duration::from_mins(15);
/// STS has so long to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What STS said is kept for so long, at most, of so many.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(5);
const KEPT: usize = 1_000;
/// No answer of STS's is longer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// What the question may be made of; all but the last must be there.
const FIELDS: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Who AWS says that somebody is.
#[derive(Debug)]
pub(crate) struct Identities {
    web: Option<reqwest::Client>,
    /// The bucket, as proofs name it.
    audience: String,
    /// Another STS than AWS's.
    elsewhere: Option<Url>,
    known: Mutex<HashMap<Sha256, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    arns: Option<Vec<String>>,
    until: Timestamp,
}

/// A signed question, as a client has sent it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proof(String);

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

impl Proof {
    /// What somebody has sent, if it could be one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let address = URL_SAFE_NO_PAD.decode(text.strip_prefix(PROOF)?).ok()?;
        String::from_utf8(address).ok().map(Self)
    }
}

/// What is sent for this signed address.
pub fn proof_of(address: &str) -> String {
    format!("{PROOF}{}", URL_SAFE_NO_PAD.encode(address))
}

impl Identities {
    /// For the gateway of a bucket; `elsewhere` is another STS than AWS's.
    pub(crate) fn new(authorities: &Authorities, audience: &str, elsewhere: Option<&str>) -> Result<Self> {
        let web = authorities.web()?.timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        let web = web.map_err(|error| {
            Error::new(ErrorKind::Internal, "preparing the HTTP client for STS").because(error.without_url())
        })?;
        let elsewhere = elsewhere.and_then(|origin| origin.parse().ok());
        Ok(Self { web: Some(web), audience: audience.to_owned(), elsewhere, known: Mutex::default() })
    }

    /// Where nobody is asked.
    pub(crate) fn none() -> Self {
        Self { web: None, audience: String::new(), elsewhere: None, known: Mutex::default() }
    }

    /// The ARNs of whoever signed this, if AWS confirms it.
    pub(super) async fn of(&self, proof: &Proof, now: Timestamp) -> Result<Option<Vec<String>>> {
        let Some((address, until)) = self.question(proof, now) else { return Ok(None) };
        let digest = Sha256::of(proof.0.as_bytes());
        if let Some(known) = self.kept().get(&digest).filter(|known| now < known.until) {
            return Ok(known.arns.clone());
        }
        let arns = self.ask(address).await?;
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.retain(|_, known| now < known.until);
            if kept.len() >= KEPT {
                kept.clear();
            }
        }
        let until = now.checked_add(KEPT_FOR).unwrap_or(until).min(until);
        kept.insert(digest, Known { arns: arns.clone(), until });
        Ok(arns)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address, and until when it counts; `None` for what is not this one question to STS.
    fn question(&self, proof: &Proof, now: Timestamp) -> Option<(Url, Timestamp)> {
        let address: Url = proof.0.parse().ok()?;
        let is_plain = address.username().is_empty() && address.password().is_none() && address.fragment().is_none();
        if !is_plain || address.path() != "/" || !self.is_of_sts(&address) {
            return None;
        }
        let mut fields: HashMap<String, String> = HashMap::new();
        for (name, value) in address.query_pairs() {
            let is_new =
                FIELDS.contains(&name.as_ref()) && fields.insert(name.into_owned(), value.into_owned()).is_none();
            if !is_new {
                return None;
            }
        }
        let field = |name: &str| fields.get(name).map(String::as_str);
        let is_complete = FIELDS[..FIELDS.len() - 1].iter().all(|name| fields.contains_key(*name));
        let is_asked = field("Action") == Some("GetCallerIdentity") && field("Version") == Some("2011-06-15");
        let is_for_us = field("X-Amz-SignedHeaders") == Some(&format!("host;{AUDIENCE}"));
        if !(is_complete && is_asked && is_for_us && field("X-Amz-Algorithm") == Some("AWS4-HMAC-SHA256")) {
            return None;
        }
        let valid: u64 = field("X-Amz-Expires")?.parse().ok().filter(|valid| *valid <= LONGEST.as_secs())?;
        let made = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", field("X-Amz-Date")?).ok()?;
        let made = made.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let until = made.checked_add(SignedDuration::from_secs(i64::try_from(valid).ok()?)).ok()?;
        (now < until).then_some((address, until))
    }

    fn is_of_sts(&self, address: &Url) -> bool {
        if let Some(elsewhere) = &self.elsewhere {
            return address.origin() == elsewhere.origin();
        }
        address.scheme() == "https" && address.port().is_none() && address.host_str().is_some_and(is_sts)
    }

    async fn ask(&self, address: Url) -> Result<Option<Vec<String>>> {
        let Some(web) = &self.web else { return Ok(None) };
        let away = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, "asking STS who somebody is").because(error.without_url())
        };
        let mut answer = web.get(address).header(AUDIENCE, &self.audience).send().await.map_err(away)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(
                    Error::new(ErrorKind::Unavailable, "asking STS who somebody is").because("its answer is too long")
                );
            }
        }
        if status.is_client_error() && status.as_u16() != 429 {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Error::new(ErrorKind::Unavailable, "asking STS who somebody is")
                .because(format!("it answered {status}")));
        }
        let text = String::from_utf8_lossy(&bytes);
        let arn = text.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>")).map(|(arn, _)| arn.trim());
        Ok(arn.filter(|arn| arn.starts_with("arn:")).map(arns_of))
    }
}

/// A session of a role is that role, too.
fn arns_of(arn: &str) -> Vec<String> {
    let mut all = vec![arn.to_owned()];
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if let ["arn", partition, "sts", "", account, session] = parts[..]
        && let Some(role) = session.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next())
    {
        all.push(format!("arn:{partition}:iam::{account}:role/{role}"));
    }
    all
}

/// `sts.amazonaws.com`, `sts.eu-west-1.amazonaws.com`, `sts-fips.us-east-1.amazonaws.com`, and those of other partitions.
fn is_sts(host: &str) -> bool {
    const DOMAINS: [&str; 7] = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "api.aws",
        "amazonaws.eu",
        "c2s.ic.gov",
        "sc2s.sgov.gov",
        "cloud.adc-e.uk",
    ];
    let Some(rest) = host.strip_prefix("sts.").or_else(|| host.strip_prefix("sts-fips.")) else { return false };
    let is_region = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    DOMAINS.iter().any(|domain| {
        rest == *domain || rest.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')).is_some_and(is_region)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn address(host: &str, change: (&str, &str)) -> String {
        let query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential=AKID%2F20261130%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20261130T070000Z\
                     &X-Amz-Expires=900&X-Amz-SignedHeaders=host%3Bx-yrm-audience&X-Amz-Signature=abc";
        format!("https://{host}/?{query}").replace(change.0, change.1)
    }

    #[test]
    fn a_proof_is_one_question_to_sts_for_this_gateway_and_nothing_else() {
        let identities = Identities::new(&Authorities::default(), "s3://my-bucket", None).unwrap();
        let now = at("2026-11-30T07:10:00Z");
        let is_one = |host: &str, change| identities.question(&Proof(address(host, change)), now).is_some();
        let sts = "sts.eu-west-1.amazonaws.com";
        assert!(
            is_one(sts, ("", ""))
                && is_one("sts.amazonaws.com", ("", ""))
                && is_one("sts.cn-north-1.amazonaws.com.cn", ("", ""))
        );
        for host in [
            "169.254.169.254",
            "localhost",
            "sts.evil.org",
            "sts.eu-west-1.amazonaws.com.evil.org",
            "sts.a.b.amazonaws.com",
            "sts.amazonaws.com:444",
            "sts.amazonaws.com@evil.org",
            "evil.org/sts.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
        ] {
            assert!(!is_one(host, ("", "")), "{host}");
        }
        for change in [
            ("https://", "http://"),
            ("GetCallerIdentity", "AssumeRole"),
            ("Version=2011-06-15&", ""),
            ("&X-Amz-Signature", "&RoleArn=x&X-Amz-Signature"),
            ("&X-Amz-Signature", "&Action=GetCallerIdentity&X-Amz-Signature"),
            ("host%3Bx-yrm-audience", "host"),
            ("Expires=900", "Expires=901"),
            ("Expires=900", "Expires=60"),
            ("20261130T070000Z", "20261129T070000Z"),
            ("amazonaws.com/?", "amazonaws.com/x?"),
        ] {
            assert!(!is_one(sts, change), "{change:?}");
        }
    }

    #[test]
    fn a_session_is_its_role_too() {
        assert_eq!(
            arns_of("arn:aws:sts::123456789012:assumed-role/builder/i-0abc"),
            ["arn:aws:sts::123456789012:assumed-role/builder/i-0abc", "arn:aws:iam::123456789012:role/builder"]
        );
        assert_eq!(arns_of("arn:aws:iam::123456789012:user/ada").len(), 1);
    }
}
