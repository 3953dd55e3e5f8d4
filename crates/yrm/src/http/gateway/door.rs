//! Who asks, and whether they may: nobody, or whoever has a token, a certificate, or an identity that AWS knows.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::identity::{Identities, Proof};
use super::lockout::{LOCKED, Lockout};
use super::tokens::{NoteUse, Tokens};
use crate::bucket::Bucket;
use crate::bucket::tokens::{Holder, Token, TokenText, Verb};
use crate::config::GatewayAuth;
use crate::error::{Error, Result};
use crate::http::answers::problem;

/// Longer credentials are none of ours.
const MAX_CREDENTIALS_BYTES: usize = 8 << 10;

/// The way in.
#[derive(Debug)]
pub(super) struct Door {
    /// What is asked for; nothing lets everybody in.
    auth: Vec<GatewayAuth>,
    tokens: Arc<Tokens>,
    identities: Identities,
    lockout: Lockout,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) from: IpAddr,
    pub(super) headers: &'a HeaderMap,
    /// The names in the certificate that the client showed, where its authority is believed.
    pub(super) certificate: Option<&'a [String]>,
}

/// Who was let in: by the token of this name, or by none where everybody is.
#[derive(Debug)]
pub(super) struct Admitted(pub(super) Option<Arc<str>>);

/// Why somebody is not let in.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nobody knows who they are; the text says why.
    Unknown(&'static str),
    /// It is known, and they may not.
    Forbidden(String),
    /// They failed too often.
    LockedOut,
    /// It cannot be found out now.
    Away(Error),
}

impl Door {
    pub(super) fn new(auth: Vec<GatewayAuth>, identities: Identities, note: NoteUse) -> Self {
        Self { auth, tokens: Arc::new(Tokens::new(note)), identities, lockout: Lockout::default() }
    }

    /// Lets somebody do something to a path below `repo/`: by which of their tokens, or by none where everybody is let in.
    pub(super) async fn admit(
        &self,
        bucket: &Bucket,
        caller: Caller<'_>,
        (verb, path): (Verb, &str),
        now: Timestamp,
    ) -> Result<Option<Token>, Refused> {
        if self.auth.is_empty() {
            return Ok(None);
        }
        if self.lockout.is_locked(caller.from) {
            return Err(Refused::LockedOut);
        }
        let held = match self.known(bucket, caller, now).await.map_err(Refused::Away)? {
            Ok(held) => held,
            Err(why) => {
                // Who shows nothing has guessed nothing: clients ask once without, to learn what is wanted.
                if caller.headers.contains_key(AUTHORIZATION) {
                    self.lockout.failed(caller.from);
                }
                return Err(Refused::Unknown(why));
            }
        };
        let allowing = held.iter().find(|token| token.allows(verb, path));
        let Some(token) = allowing.or(held.first()) else {
            return Err(Refused::Unknown("nobody has let this client in"));
        };
        self.tokens.used(bucket, &token.name, caller.from, now);
        if allowing.is_some() {
            return Ok(Some(token.clone()));
        }
        let may: Vec<String> = held.iter().map(|token| format!("{} may {}", token.name, token.told_scopes())).collect();
        Err(Refused::Forbidden(format!("{}, and this is not among that", may.join(", "))))
    }

    /// The same, where it is known without a wait that they may.
    pub(super) fn admit_at_once(
        &self,
        bucket: &Bucket,
        (from, headers): (IpAddr, &HeaderMap),
        (verb, path): (Verb, &str),
        now: Timestamp,
    ) -> Option<Admitted> {
        if self.auth.is_empty() {
            return Some(Admitted(None));
        }
        if !self.auth.contains(&GatewayAuth::Token) || self.lockout.is_locked(from) {
            return None;
        }
        let texts = credentials(headers.get(AUTHORIZATION)?);
        let text = texts.iter().find_map(|text| TokenText::read(text))?;
        let name = self.tokens.allowing_at_once(bucket, &text, (verb, path), (from, now))?;
        Some(Admitted(Some(name)))
    }

    async fn known(
        &self,
        bucket: &Bucket,
        caller: Caller<'_>,
        now: Timestamp,
    ) -> Result<std::result::Result<Vec<Token>, &'static str>> {
        if let Some(names) = caller.certificate
            && self.auth.contains(&GatewayAuth::Certificate)
        {
            let is_held = |holder: &Holder| match holder {
                Holder::Certificate { subject } => names.iter().any(|name| fits(subject, name)),
                Holder::Token { .. } | Holder::Aws { .. } => false,
            };
            let held = self.tokens.held(bucket, is_held, now).await?;
            if !held.is_empty() {
                return Ok(Ok(held));
            }
        }
        let Some(shown) = caller.headers.get(AUTHORIZATION) else {
            return Ok(Err(match caller.certificate {
                Some(_) => "nobody has let this certificate in",
                None => "this repository is private: give a token as user name or password",
            }));
        };
        let texts = credentials(shown);
        if self.auth.contains(&GatewayAuth::Token)
            && let Some(text) = texts.iter().find_map(|text| TokenText::read(text))
        {
            let token = self.tokens.with_text(bucket, &text, now).await?;
            return Ok(token.map(|token| vec![token]).ok_or("this token is not valid here, or not any more"));
        }
        if self.auth.contains(&GatewayAuth::Aws)
            && let Some(proof) = texts.iter().find_map(|text| Proof::read(text))
        {
            let Some(arns) = self.identities.of(&proof, now).await? else {
                return Ok(Err("AWS does not confirm this identity, or not any more"));
            };
            let is_held = |holder: &Holder| match holder {
                Holder::Aws { arn: pattern } => arns.iter().any(|arn| fits(pattern, arn)),
                Holder::Token { .. } | Holder::Certificate { .. } => false,
            };
            let held = self.tokens.held(bucket, is_held, now).await?;
            return Ok(if held.is_empty() { Err("nobody has let this AWS identity in") } else { Ok(held) });
        }
        Ok(Err("the user name and the password are no token"))
    }
}

/// What somebody shows: a password before a user name, or what a bearer has.
fn credentials(shown: &HeaderValue) -> Vec<String> {
    let Some((scheme, rest)) =
        shown.to_str().ok().filter(|text| text.len() <= MAX_CREDENTIALS_BYTES).and_then(|text| text.split_once(' '))
    else {
        return Vec::new();
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return vec![rest.to_owned()];
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Vec::new();
    }
    let Some(pair) = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Vec::new();
    };
    match pair.split_once(':') {
        Some((user, password)) => vec![password.to_owned(), user.to_owned()],
        None => vec![pair],
    }
}

/// Whether a name is what a pattern says, with * for what may be anything, slashes too.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for piece in pieces {
        // Each but the last may stand anywhere; the first place leaves most for those after it.
        if let Some(before) = last.replace(piece) {
            let Some(at) = rest.find(before) else { return false };
            rest = &rest[at + str::len(before)..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

impl Refused {
    /// What is answered.
    pub(super) fn answer(&self) -> Response {
        match self {
            Self::Unknown(why) => {
                let mut answer = problem(StatusCode::UNAUTHORIZED, why);
                let wanted = HeaderValue::from_static("Basic realm=\"yrm\", charset=\"UTF-8\"");
                answer.headers_mut().insert(WWW_AUTHENTICATE, wanted);
                answer
            }
            Self::Forbidden(why) => problem(StatusCode::FORBIDDEN, why),
            Self::LockedOut => {
                let mut answer =
                    problem(StatusCode::TOO_MANY_REQUESTS, "this address has failed too often; try again later");
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(LOCKED.as_secs()));
                answer
            }
            Self::Away(error) => {
                tracing::warn!(kind = error.kind().name(), "who asks could not be found out: {}", error.chain());
                problem(StatusCode::SERVICE_UNAVAILABLE, "who asks cannot be found out now; try again")
            }
        }
    }

    /// For the counters.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Forbidden(_) => "forbidden",
            Self::LockedOut => "locked-out",
            Self::Away(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_password_a_user_name_or_what_a_bearer_has() {
        let shown = |text: &str| credentials(&HeaderValue::from_str(text).unwrap());
        let basic = |pair: &str| shown(&format!("Basic {}", STANDARD.encode(pair)));
        assert_eq!(basic("me:yrm_x"), ["yrm_x", "me"]);
        assert_eq!(basic("yrm_x:"), ["", "yrm_x"]);
        assert_eq!(basic("yrm_x"), ["yrm_x"]);
        assert_eq!(basic("a:b:c"), ["b:c", "a"]);
        assert_eq!(shown("bearer  yrm_x "), ["yrm_x"]);
        assert!(shown("Basic %%%").is_empty() && shown("Digest a").is_empty() && shown("Basic").is_empty());
        assert!(shown(&format!("Bearer {}", "x".repeat(9_000))).is_empty());
    }

    #[test]
    fn a_pattern_s_star_is_the_only_thing_that_stands_for_others() {
        assert!(fits("arn:aws:sts::123456789012:assumed-role/ci-*", "arn:aws:sts::123456789012:assumed-role/ci-a/b"));
        assert!(!fits("arn:aws:sts::123456789012:assumed-role/ci-*", "arn:aws:sts::123456789013:assumed-role/ci-a/b"));
        assert!(!fits("host-?.example.org", "host-1.example.org") && fits("host-?.example.org", "host-?.example.org"));
        assert!(!fits("[ab]", "a") && !fits("{a,b}", "a") && fits("*.example.org", "a.b.example.org"));
    }
}
