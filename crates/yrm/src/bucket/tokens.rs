//! Who may read through the gateway, and who may do more: tokens, AWS identities and client certificates, each with a
//! name, scopes and an end. A token's text is shown once and kept nowhere; the bucket has its SHA-256.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use globset::GlobMatcher;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::listing::list_all;
use super::{Bucket, document};
use crate::config::globs::folder_globs;
use crate::config::settings::did_you_mean;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, TOKEN_SUFFIX, TOKENS_PREFIX};

/// What every token begins with, so that scanners for secrets know one.
const MARK: &str = "yrm_";
/// Random bytes of the part that names a token, which may be told, and of the part that may not.
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 24;
/// Characters of the part that names it.
const ID_CHARS: usize = ID_BYTES * 4 / 3;
/// Characters of both.
const CHARS: usize = (ID_BYTES + SECRET_BYTES) * 4 / 3;
/// Bytes of a name, at most.
const MAX_NAME_BYTES: usize = 64;

/// A token's text: whoever has it is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// Of so many random bytes.
    pub fn new(random: [u8; ID_BYTES + SECRET_BYTES]) -> Self {
        Self(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// What somebody has sent, if it could be one.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MARK)?;
        let is_one =
            rest.len() == CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The part that names it.
    pub fn id(&self) -> &str {
        &self.0[MARK.len()..MARK.len() + ID_CHARS]
    }

    /// What the bucket keeps of it.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.0.as_bytes())
    }

    /// To be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({}…)", self.id())
    }
}

/// Who is let in, by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Holder {
    /// Whoever has the token.
    Token {
        /// The part of it that names it.
        id: String,
        /// SHA-256 of the whole.
        sha256: String,
    },
    /// Whoever AWS knows under this ARN.
    Aws {
        /// The ARN, with * for what may be anything.
        arn: String,
    },
    /// Whoever has a certificate of the client authority with this subject.
    Certificate {
        /// The subject's common name or a name of the certificate, with * for what may be anything.
        subject: String,
    },
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Read packages and metadata.
    Read,
    /// Upload packages.
    Upload,
    /// Change what is published: remove, promote, roll back, release.
    Operate,
    /// Change settings and tokens, too.
    Admin,
}

impl Verb {
    const ALL: [(Self, &str); 4] =
        [(Self::Read, "read"), (Self::Upload, "upload"), (Self::Operate, "operate"), (Self::Admin, "admin")];

    /// As scopes spell it.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(verb, _)| *verb == self).map_or("", |(_, name)| name)
    }

    /// Whether who may do this may do the other, too.
    fn covers(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operate => other != Self::Admin,
            Self::Read | Self::Upload => self == other,
        }
    }
}

/// What somebody may do, and where: `read:el9/*`, `upload:team-a/**`, `operate`, `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    /// What.
    pub verb: Verb,
    /// Below which folders of `repo/`; `None` everywhere.
    folders: Option<Below>,
}

/// Folders, by a pattern that is compiled once: each request asks.
#[derive(Debug, Clone)]
struct Below {
    text: String,
    globs: Vec<GlobMatcher>,
}

impl PartialEq for Below {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Below {}

impl Scope {
    /// Whether it lets somebody do that to a path below `repo/`.
    pub fn allows(&self, verb: Verb, path: &str) -> bool {
        if !self.verb.covers(verb) {
            return false;
        }
        let Some(folders) = &self.folders else { return true };
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut above = ends.map(|end| &path[..end]);
        above.any(|folder| folders.globs.iter().any(|glob| glob.is_match(folder)))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.name())?;
        self.folders.as_ref().map_or(Ok(()), |folders| write!(f, ":{}", folders.text))
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: String| {
            Error::new(ErrorKind::Config, format!("reading the scope {text:?}"))
                .because(why)
                .hint("a scope is read, upload, operate or admin, and may name folders below repo/: read:el9/**, upload:team-a/*")
        };
        let (verb, folders) = text.split_once(':').map_or((text, None), |(verb, folders)| (verb, Some(folders)));
        let known = Verb::ALL.into_iter().find(|(_, name)| *name == verb.trim());
        let (verb, _) = known.ok_or_else(|| refuse(format!("{verb:?} is nothing that somebody may do")))?;
        let folders = folders.map(|folders| folders.trim().trim_matches('/')).filter(|folders| !folders.is_empty());
        let mut below = None;
        if let Some(folders) = folders {
            let globs = folder_globs(folders).map_err(refuse)?;
            let is_odd = |part: &str| part.is_empty() || part == "." || part == "..";
            if folders.split('/').any(is_odd) || folders.chars().any(char::is_control) {
                return Err(refuse(format!("{folders:?} is no folder")));
            }
            if verb == Verb::Admin {
                return Err(refuse("an administrator is one of the whole bucket".to_owned()));
            }
            below = (folders != "**").then(|| Below { text: folders.to_owned(), globs });
        }
        Ok(Self { verb, folders: below })
    }
}

/// Somebody who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name; no two have the same.
    pub name: String,
    /// Who is let in.
    pub holder: Holder,
    /// What they may do.
    pub scopes: Vec<Scope>,
    /// Since when.
    pub since: Timestamp,
    /// Who made it; `null` where nobody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// When it ends; `null` for never.
    pub expires: Option<Timestamp>,
    /// When it was revoked. What is left of it then is in the way of a request to make it that arrives late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

/// When something that lets somebody in was last used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// When, to the hour or so.
    pub at: Timestamp,
    /// From which address.
    pub from: String,
}

impl Token {
    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether this text is it, in a time that tells nothing of how much of it fits.
    pub fn is(&self, text: &TokenText) -> bool {
        let Holder::Token { sha256, .. } = &self.holder else { return false };
        sha256.as_bytes().ct_eq(text.digest().to_string().as_bytes()).into()
    }

    /// Whether it lets somebody do that to a path below `repo/`.
    pub fn allows(&self, verb: Verb, path: &str) -> bool {
        self.scopes.iter().any(|scope| scope.allows(verb, path))
    }

    /// Its scopes in a row.
    pub fn told_scopes(&self) -> String {
        let scopes: Vec<String> = self.scopes.iter().map(ToString::to_string).collect();
        scopes.join(", ")
    }
}

/// Refuses what is no name: it is a part of a key and of log lines.
pub fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("reading the name {name:?}"))
        .because("it is no name for a token")
        .hint("a name has up to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit"))
}

/// The name of the token whose document has this key.
pub(crate) fn name_in(key: &str) -> Option<&str> {
    key.strip_prefix(TOKENS_PREFIX)?.strip_suffix(TOKEN_SUFFIX).filter(|name| check_name(name).is_ok())
}

/// The token of that name, if there is one.
pub async fn named(bucket: &Bucket, name: &str) -> Result<Option<Token>> {
    check_name(name)?;
    let (token, _) = document::load::<Option<Token>>(bucket, Key::Token { name }).await?;
    Ok(token.filter(|token| token.revoked.is_none()))
}

/// All tokens, by their names.
pub async fn all(bucket: &Bucket) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    for object in list_all(bucket.store.as_ref(), TOKENS_PREFIX).await? {
        let Some(name) = name_in(&object.key) else { continue };
        tokens.extend(named(bucket, name).await?);
    }
    Ok(tokens)
}

/// The error where there is no token of a name.
pub async fn unknown(bucket: &Bucket, name: &str, doing: &str) -> Error {
    let live = all(bucket).await.unwrap_or_default();
    let near = did_you_mean(name, live.iter().map(|token| token.name.as_str()));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    Error::new(ErrorKind::Config, format!("{doing} {name:?}"))
        .because("there is no token of that name")
        .hint(format!("{near}nothing was changed; `yrm token list` shows the names"))
}

/// When a token was last used, if that is known.
pub async fn last_use(bucket: &Bucket, name: &str) -> Result<Option<TokenUse>> {
    let (used, _) = document::load::<Option<TokenUse>>(bucket, Key::TokenUse { name }).await?;
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_holds_below_its_folders_and_nowhere_else() {
        for (text, path, is_in) in [
            ("read", "a.rpm", true),
            ("read:**", "repodata/repomd.xml", true),
            ("read:el9/*", "el9/x86_64/repodata/repomd.xml", true),
            ("read:el9/*", "el9/a.rpm", true),
            ("read:el9", "el9/repodata/repomd.xml", true),
            ("read:el9", "el90/repodata/repomd.xml", false),
            ("read:el9/*", "el8/x86_64/repodata/repomd.xml", false),
            ("read:el9/*", "repodata/repomd.xml", false),
            ("read:*/x86_64", "el9/x86_64/a.rpm", true),
            ("read:*/x86_64", "el9/noarch/a.rpm", false),
            ("read:team-a/**", "team-a/el9/b/c.rpm", true),
            ("upload", "a.rpm", false),
            ("operate:el9", "el9/a.rpm", true),
            ("admin", "el9/a.rpm", true),
        ] {
            assert_eq!(scope(text).allows(Verb::Read, path), is_in, "{text} {path}");
        }
        assert!(!scope("operate").allows(Verb::Admin, "a") && scope("operate").allows(Verb::Upload, "a"));
        assert!(!scope("read").allows(Verb::Upload, "a") && scope("admin").allows(Verb::Operate, "a"));
    }

    #[test]
    fn scopes_are_spelt_one_way() {
        for (text, spelt) in [
            ("read", "read"),
            ("read:", "read"),
            ("read:/el9/*/", "read:el9/*"),
            ("read:**", "read"),
            ("operate", "operate"),
            ("upload: team-a/* ", "upload:team-a/*"),
        ] {
            assert_eq!(scope(text).to_string(), spelt);
        }
        for bad in ["", "write", "read:../x", "read:a//b", "read:[", "admin:el9", "Read"] {
            assert!(bad.parse::<Scope>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_known_by_its_text_alone() {
        let text = TokenText::new([7; 30]);
        assert_eq!((text.expose().len(), text.expose().starts_with("yrm_")), (44, true));
        let read = TokenText::read(text.expose()).unwrap();
        let holder = Holder::Token { id: read.id().to_owned(), sha256: read.digest().to_string() };
        let token = Token {
            name: "ci".to_owned(),
            holder,
            scopes: vec![scope("read:el9")],
            since: Timestamp::UNIX_EPOCH,
            by: None,
            reason: None,
            expires: Some(Timestamp::from_second(60).unwrap()),
            revoked: None,
        };
        assert!(token.is(&text) && !token.is(&TokenText::new([8; 30])));
        assert!(
            !token.is_over(Timestamp::from_second(59).unwrap()) && token.is_over(Timestamp::from_second(60).unwrap())
        );
        assert!(!format!("{text:?}").contains(&text.expose()[12..]), "its secret is never printed");
        for bad in ["", "yrm_", "yrm_short", &format!("{}x", text.expose()), &text.expose().replace('B', "/")] {
            assert!(TokenText::read(bad).is_none(), "{bad}");
        }
    }
}
