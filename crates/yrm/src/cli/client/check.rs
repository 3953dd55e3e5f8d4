//! Walks a client's way: repomd.xml, its signature, the package lists, a package; and says at each step what is wrong and what
//! helps.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, header};
use rpmmd::checksum::Sha256;
use rpmmd::repodata::{Document, PackageStream};
use rpmmd::repomd::Repomd;
use rpmmd::xml::ReadError;
use serde::Serialize;

use crate::authorities::Authorities;
use crate::bucket::tokens::TokenText;
use crate::cli::context::{Context, DONE};
use crate::cli::output::{Width, fitted, safe};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::key::PublicKey;

/// An answer may take so long to begin, and to go on.
const PATIENCE: Duration = Duration::from_secs(20);
/// So much of a package list is read to find packages to ask for.
const MAX_LIST_BYTES: usize = 256 << 20;
/// A longer repomd.xml, signature or key is none.
const MAX_SMALL_BYTES: usize = 4 << 20;

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Some clients are hindered.
    Warning,
    /// No client gets on from here.
    Failed,
}

/// A step of a client's way.
#[derive(Debug, Serialize)]
struct ClientStep {
    /// What a client asks for.
    step: String,
    /// What came of it.
    verdict: Verdict,
    /// In words, with what helps.
    says: String,
}

/// A client's way, as far as it leads.
#[derive(Debug, Serialize)]
struct ClientCheck {
    /// The repository's address.
    url: String,
    /// Its steps.
    steps: Vec<ClientStep>,
}

impl ClientCheck {
    fn note(&mut self, step: &'static str, verdict: Verdict, says: impl Into<String>) {
        self.steps.push(ClientStep { step: step.to_owned(), verdict, says: says.into() });
    }

    fn failed(&self) -> Option<&ClientStep> {
        self.steps.iter().find(|step| step.verdict == Verdict::Failed)
    }
}

/// Who walks.
struct Walker<'a> {
    web: Client,
    url: &'a str,
    token: Option<&'a TokenText>,
}

/// Does it; the exit code of a store that does not answer where a step fails.
pub(super) async fn check(url: &str, token: Option<&TokenText>, gpgkey: Option<&str>, context: &Context) -> Result<u8> {
    let authorities = match Config::place(&context.low) {
        Some((_, s3)) => crate::aws::authorities(&s3).await?,
        None => Authorities::default(),
    };
    let web = authorities
        .web()?
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .user_agent(concat!("yrm/", env!("CARGO_PKG_VERSION")))
        .build();
    let web =
        web.map_err(|error| Error::new(ErrorKind::Internal, "preparing an HTTP client").because(error.without_url()))?;
    let client = Walker { web, url, token };
    let mut walked = ClientCheck { url: url.to_owned(), steps: Vec::new() };
    client.walk(gpgkey, &mut walked).await;
    context.output.data(&walked, |walked| told(walked, context.output.width()))?;
    match walked.failed() {
        None => Ok(DONE),
        Some(failed) => Err(Error::new(ErrorKind::Unavailable, format!("installing from {}", walked.url))
            .because(format!("{}: {}", failed.step, failed.says))),
    }
}

impl Walker<'_> {
    async fn walk(&self, gpgkey: Option<&str>, walked: &mut ClientCheck) {
        let Some((repomd_bytes, repomd)) = self.repomd(walked).await else { return };
        self.signature(&repomd_bytes, gpgkey, walked).await;
        let Some(hrefs) = self.lists(&repomd, walked).await else { return };
        self.package(&hrefs, walked).await;
        self.plus(&hrefs, walked).await;
    }

    async fn ask(&self, method: Method, path: &str, range: Option<&str>) -> std::result::Result<Response, String> {
        let mut request = self.web.request(method, format!("{}/{path}", self.url));
        if let Some(token) = self.token {
            request = request.basic_auth("token", Some(token.expose()));
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        request.send().await.map_err(|error| {
            let mut root: &dyn std::error::Error = &error;
            while let Some(cause) = root.source() {
                root = cause;
            }
            format!("there is no answer: {root}")
        })
    }

    async fn small(&self, path: &str) -> std::result::Result<(StatusCode, Vec<u8>), String> {
        let answer = self.ask(Method::GET, path, None).await?;
        let status = answer.status();
        Ok((status, body(answer, MAX_SMALL_BYTES).await?))
    }

    async fn repomd(&self, walked: &mut ClientCheck) -> Option<(Vec<u8>, Repomd)> {
        const STEP: &str = "repomd.xml";
        let answer = match self.ask(Method::GET, "repodata/repomd.xml", None).await {
            Ok(answer) => answer,
            Err(why) => {
                walked.note(STEP, Verdict::Failed, why);
                return None;
            }
        };
        let (status, cache) = (answer.status(), answer.headers().get(header::CACHE_CONTROL).cloned());
        let bytes = body(answer, MAX_SMALL_BYTES).await.unwrap_or_default();
        if !status.is_success() {
            walked.note(STEP, Verdict::Failed, self.refused(status, &bytes));
            return None;
        }
        let Ok(repomd) = Repomd::read(&bytes) else {
            walked.note(
                STEP,
                Verdict::Failed,
                "what lies there is no repomd.xml; the address is not that of a repository",
            );
            return None;
        };
        let is_kept = cache.as_ref().and_then(|value| value.to_str().ok()).is_some_and(|text| {
            let age = text.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse::<u64>().ok());
            age.is_some_and(|age| age > 300) && !text.contains("no-cache")
        });
        let revision = if repomd.revision.is_empty() {
            "without a revision".to_owned()
        } else {
            format!("revision {}", safe(&repomd.revision))
        };
        if is_kept {
            let says = format!(
                "{revision}; caches keep it for minutes or more, so clients see new packages late: serve it with Cache-Control: no-cache"
            );
            walked.note(STEP, Verdict::Warning, says);
        } else {
            walked.note(STEP, Verdict::Ok, revision);
        }
        Some((bytes, repomd))
    }

    /// Why repomd.xml was not given, and what helps.
    fn refused(&self, status: StatusCode, body: &[u8]) -> String {
        let said = String::from_utf8_lossy(&body[..body.len().min(2_000)]);
        let code =
            said.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code.to_owned());
        let message = serde_json::from_slice::<serde_json::Value>(body).ok();
        let message = message.and_then(|value| value.pointer("/error/message")?.as_str().map(safe));
        match (status.as_u16(), code.as_deref(), self.token) {
            (_, Some("RequestTimeTooSkewed"), _) => "the clock of this machine is wrong: S3 takes no request that is signed minutes away".to_owned(),
            (_, Some("ExpiredToken"), _) => "the credentials have expired".to_owned(),
            (_, Some("PermanentRedirect" | "AuthorizationHeaderMalformed"), _) => "the bucket is in another region than the address says".to_owned(),
            (_, Some("NoSuchBucket"), _) => "there is no such bucket".to_owned(),
            (401, _, None) => "it is private: create a token (`yrm token create`) and give it by --token-file".to_owned(),
            (401, _, Some(_)) => message.unwrap_or_else(|| "the token is not taken".to_owned()),
            (403, _, Some(_)) if message.is_some() => message.unwrap_or_default(),
            (403, _, _) => "403: nobody without rights may read here. Either nothing lies there and s3:ListBucket is missing, or s3:GetObject on repo/* is: see docs/tasks/private-repositories.md".to_owned(),
            (404, _, _) => "404: there is no repository at this address; a folder may be missing at its end".to_owned(),
            (429, _, _) => "429: this machine has failed too often to show a token; wait a minute".to_owned(),
            (301 | 302 | 307 | 308, _, _) => format!("{status}: the address leads elsewhere and nowhere in the end"),
            _ => message.map_or_else(|| status.to_string(), |message| format!("{status}: {message}")),
        }
    }

    async fn signature(&self, repomd: &[u8], gpgkey: Option<&str>, walked: &mut ClientCheck) {
        const STEP: &str = "repomd.xml.asc";
        match self.small("repodata/repomd.xml.asc").await {
            Err(why) => walked.note(STEP, Verdict::Warning, why),
            Ok((status, _)) if !status.is_success() => {
                let verdict = if gpgkey.is_some() { Verdict::Failed } else { Verdict::Ok };
                walked.note(STEP, verdict, format!("not signed ({}): clients need repo_gpgcheck=0", status.as_u16()));
            }
            Ok((_, signature)) => match gpgkey {
                None => walked.note(STEP, Verdict::Ok, "signed; --gpgkey says whether by the right key"),
                Some(place) => match self.key(place).await {
                    Err(why) => walked.note(STEP, Verdict::Failed, why),
                    Ok(keys) if keys.iter().any(|key| key.has_signed(repomd, &signature)) => {
                        walked.note(STEP, Verdict::Ok, "signed by this key");
                    }
                    Ok(_) => walked.note(
                        STEP,
                        Verdict::Failed,
                        "this key has not made the signature: clients with repo_gpgcheck=1 refuse it",
                    ),
                },
            },
        }
    }

    /// A public key, from a file or an address.
    async fn key(&self, place: &str) -> std::result::Result<Vec<PublicKey>, String> {
        let bytes = if place.contains("://") {
            // Public keys need no token, and this may be anybody's address.
            let answer = self.web.get(place).send().await;
            let answer = answer.map_err(|error| format!("the key cannot be fetched: {}", error.without_url()))?;
            if !answer.status().is_success() {
                return Err(format!("the key cannot be fetched: {}", answer.status()));
            }
            body(answer, MAX_SMALL_BYTES).await?
        } else {
            std::fs::read(place).map_err(|error| format!("the key cannot be read: {error}"))?
        };
        PublicKey::read_all(&bytes).map_err(|error| format!("this is no public key: {}", error.chain()))
    }

    /// The paths that primary names.
    async fn lists(&self, repomd: &Repomd, walked: &mut ClientCheck) -> Option<Vec<String>> {
        const STEP: &str = "package lists";
        let mut found = None;
        for kind in ["primary", "filelists", "other"] {
            let Some(record) = repomd.record(kind) else {
                let verdict = if kind == "primary" { Verdict::Failed } else { Verdict::Warning };
                walked.note(STEP, verdict, format!("repomd.xml names no {kind}"));
                continue;
            };
            let fetched = async {
                let answer = self.ask(Method::GET, &record.href, None).await?;
                let status = answer.status();
                let bytes = body(answer, MAX_LIST_BYTES).await?;
                if status.is_success() { Ok(bytes) } else { Err(format!("{kind}: {}", self.refused(status, &bytes))) }
            };
            match fetched.await {
                Err(why) => walked.note(STEP, Verdict::Failed, why),
                // Other programs' lists may be named by other checksums, which a client checks.
                Ok(bytes) if record.checksum.as_sha256().is_some_and(|digest| digest != Sha256::of(&bytes)) => walked
                    .note(
                        STEP,
                        Verdict::Failed,
                        format!("{kind} is not what repomd.xml says: a cache on the way keeps or changes files"),
                    ),
                Ok(bytes) if kind == "primary" => found = Some(bytes),
                Ok(_) => {}
            }
        }
        if walked.failed().is_some() {
            return None;
        }
        let hrefs = found.and_then(|bytes| hrefs_in(&bytes).ok());
        match &hrefs {
            Some(hrefs) => walked.note(STEP, Verdict::Ok, format!("{} packages", hrefs.len())),
            None => walked.note(STEP, Verdict::Failed, "primary cannot be read"),
        }
        hrefs
    }

    async fn package(&self, hrefs: &[String], walked: &mut ClientCheck) {
        const STEP: &str = "a package";
        let Some(href) = hrefs.first() else {
            walked.note(STEP, Verdict::Ok, "there is none yet");
            return;
        };
        // As dnf goes on with one that broke off.
        match self.ask(Method::GET, &encoded(href, true), Some("bytes=0-95")).await {
            Err(why) => walked.note(STEP, Verdict::Failed, why),
            Ok(answer) if answer.status() == StatusCode::PARTIAL_CONTENT => {
                let is_there = answer.url().as_str().starts_with(self.url);
                let by = if is_there { "from there" } else { "from where that leads" };
                walked.note(STEP, Verdict::Ok, format!("{} {by}", safe(href)));
            }
            Ok(answer) if answer.status().is_success() => {
                walked.note(STEP, Verdict::Warning, "downloads that break off cannot go on: no ranges are answered");
            }
            Ok(answer) => {
                let status = answer.status();
                let bytes = body(answer, MAX_SMALL_BYTES).await.unwrap_or_default();
                walked.note(STEP, Verdict::Failed, format!("{}: {}", safe(href), self.refused(status, &bytes)));
            }
        }
    }

    /// zypper and early dnf 5 send a plus as it is.
    async fn plus(&self, hrefs: &[String], walked: &mut ClientCheck) {
        const STEP: &str = "names with +";
        let Some(href) = hrefs.iter().find(|href| href.contains('+')) else { return };
        let mut answered = Vec::new();
        for is_spelt in [true, false] {
            let answer = self.ask(Method::GET, &encoded(href, is_spelt), Some("bytes=0-0")).await;
            answered.push(answer.is_ok_and(|answer| answer.status().is_success()));
        }
        match answered[..] {
            [true, true] => walked.note(STEP, Verdict::Ok, "in both spellings"),
            [true, false] => walked.note(
                STEP,
                Verdict::Warning,
                "only as %2B: dnf 4 installs them, zypper and early dnf 5 do not. A gateway, yrm-client or a function in the CDN helps",
            ),
            _ => walked.note(STEP, Verdict::Failed, format!("{} cannot be read", safe(href))),
        }
    }
}

/// The paths that primary names.
fn hrefs_in(primary: &[u8]) -> std::result::Result<Vec<String>, ReadError> {
    let mut packages = PackageStream::open(Document::Primary, &primary)?;
    let mut hrefs = Vec::new();
    while let Some(location) = packages.next_location()? {
        hrefs.push(location.href);
    }
    Ok(hrefs)
}

/// A path as clients write it in an address.
fn encoded(href: &str, is_plus_spelt: bool) -> String {
    let mut text = String::new();
    for byte in href.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) || byte == b'+' && !is_plus_spelt {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes any text");
        }
    }
    text
}

async fn body(mut answer: Response, most: usize) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(piece)) if bytes.len() + piece.len() <= most => bytes.extend_from_slice(&piece),
            Ok(Some(_)) => return Err("it is far too long".to_owned()),
            Err(error) => return Err(format!("the answer breaks off: {}", error.without_url())),
        }
    }
}

fn told(walked: &ClientCheck, width: Width) -> String {
    let row = |step: &ClientStep| {
        let verdict = match step.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        [step.step.clone(), verdict.to_owned(), step.says.clone()]
    };
    fitted(width, ["step", "", ""], walked.steps.iter().map(row))
}
