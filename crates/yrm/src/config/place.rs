//! Where keys and secrets are kept: on this machine, or with AWS.

use std::fmt;
use std::path::PathBuf;

use super::complaint::{Complaint, Parsed};
use crate::error::{Error, ErrorKind, Result};

/// A key file over this size holds no key, and no passphrase is as long.
pub const MAX_SECRET_BYTES: usize = 4096;
/// AWS's own limit is 2048.
const MAX_NAME_BYTES: usize = 2048;

const KMS: &str = "awskms:";
const PARAMETER: &str = "ssm:";
const MANAGER: &str = "secretsmanager:";

/// What AWS calls something: an ARN, which names its region too, or a name in our own region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsName(String);

impl AwsName {
    /// `text`, if it is an ARN of `service` or made of letters, digits and `plain`.
    fn new(text: &str, service: &str, plain: &[u8]) -> Option<Self> {
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || plain.contains(&byte));
        let sound = match text.strip_prefix("arn:") {
            None => fits(text),
            Some(rest) => match rest.splitn(5, ':').collect::<Vec<_>>()[..] {
                [partition, of, region, account, resource] => {
                    of == service
                        && [partition, region, account, resource].into_iter().all(|part| !part.is_empty())
                        && fits(&rest.replace(':', ""))
                }
                _ => false,
            },
        };
        (sound && !text.is_empty() && text.len() <= MAX_NAME_BYTES).then(|| Self(text.to_owned()))
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region that an ARN names.
    pub fn region(&self) -> Option<&str> {
        self.0.strip_prefix("arn:")?.split(':').nth(2)
    }
}

impl fmt::Display for AwsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a signing key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file with the armored secret key.
    File(PathBuf),
    /// AWS KMS, which signs with it and never gives it away.
    Kms(AwsName),
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Kms(key) => write!(f, "{KMS}{key}"),
        }
    }
}

/// Where a secret is that is not in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A file that holds it and nothing else.
    File(PathBuf),
    /// With AWS.
    Aws(AwsSecret),
}

/// A secret that AWS keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsSecret {
    /// A parameter of Systems Manager.
    Parameter(AwsName),
    /// A secret of Secrets Manager, or a field of one that is JSON.
    Manager {
        /// Its name or ARN.
        name: AwsName,
        /// Which of its fields; the whole when there is none.
        field: Option<String>,
    },
}

impl fmt::Display for AwsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "{PARAMETER}{name}"),
            Self::Manager { name, field: None } => write!(f, "{MANAGER}{name}"),
            Self::Manager { name, field: Some(field) } => write!(f, "{MANAGER}{name}#{field}"),
        }
    }
}

/// A secret. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It was in the configuration, or has been fetched.
    Known(String),
    /// AWS still has it.
    Kept(AwsSecret),
}

impl Secret {
    /// The secret itself, which must have been fetched by now.
    pub fn known(&self) -> Result<&str> {
        match self {
            Self::Known(secret) => Ok(secret),
            Self::Kept(place) => {
                Err(Error::new(ErrorKind::Internal, format!("using the secret in {place} before it was fetched")))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_) => f.write_str("Known(not shown)"),
            Self::Kept(place) => write!(f, "Kept({place})"),
        }
    }
}

/// Files and keys in KMS, with commas between them.
pub fn keys(text: &str) -> Parsed<Vec<KeyPlace>> {
    text.split(',').map(str::trim).map(key).collect()
}

/// A file's name, or `awskms:` and a key in KMS.
pub fn key(text: &str) -> Parsed<KeyPlace> {
    let Some(id) = text.strip_prefix(KMS) else {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(Complaint::new(format!("{text:?} is no signing key"))
                .hint("write a file's name or awskms:KEY, or several with commas between them"));
        }
        return Ok(KeyPlace::File(PathBuf::from(text)));
    };
    let is_key = |id: &str| match id.split_once('/') {
        None => !id.starts_with("arn:"),
        Some((kind, name)) => {
            let kind = if id.starts_with("arn:") { kind.rsplit(':').next().unwrap_or_default() } else { kind };
            (kind == "alias" || (kind == "key" && id.starts_with("arn:"))) && !name.is_empty()
        }
    };
    match AwsName::new(id, "kms", b"-_/").filter(|_| is_key(id)) {
        Some(name) => Ok(KeyPlace::Kms(name)),
        None => Err(Complaint::new(format!("{id:?} is no key in KMS"))
            .hint("write awskms: and the key's id, its ARN, or alias/NAME")),
    }
}

/// A file's name, `ssm:` and a parameter, or `secretsmanager:` and a secret.
pub fn secret(text: &str) -> Parsed<SecretPlace> {
    if let Some(name) = text.strip_prefix(PARAMETER) {
        // A version or a label may follow.
        let place = AwsName::new(name, "ssm", b"-_./:").map(|name| SecretPlace::Aws(AwsSecret::Parameter(name)));
        return place.ok_or_else(|| {
            Complaint::new(format!("{name:?} is no parameter's name")).hint("such as ssm:/yrm/datadog-api-key")
        });
    }
    if let Some(rest) = text.strip_prefix(MANAGER) {
        let (name, field) = rest.split_once('#').map_or((rest, None), |(name, field)| (name, Some(field.to_owned())));
        let is_field = field.as_ref().is_none_or(|field| !field.is_empty() && !field.contains(char::is_control));
        let name = AwsName::new(name, "secretsmanager", b"-_./+=@").filter(|_| is_field);
        return name.map(|name| SecretPlace::Aws(AwsSecret::Manager { name, field })).ok_or_else(|| {
            Complaint::new(format!("{rest:?} is no secret's name"))
                .hint("such as secretsmanager:yrm/datadog, or secretsmanager:yrm/datadog#api-key for a field of it")
        });
    }
    if text.is_empty() || text.contains(char::is_control) {
        return Err(Complaint::new(format!("{text:?} is no file's name")));
    }
    Ok(SecretPlace::File(PathBuf::from(text)))
}

/// A key that can stand in an HTTP header. The message never repeats it.
pub fn sound_key(text: &str) -> Parsed<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_SECRET_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Complaint::new("this is not a key: one word of ASCII"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_keys_are_files_or_in_kms() {
        for text in [
            "signing.key",
            "/etc/yrm/signing key",
            "./awskms:x",
            "awskms:1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:mrk-1234abcd12ab34cd56ef1234567890ab",
            "awskms:alias/yrm/signing_key",
            "awskms:arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:arn:aws-cn:kms:cn-north-1:123456789012:alias/yrm",
        ] {
            let place = key(text).unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(matches!(place, KeyPlace::Kms(_)), text.starts_with("awskms:"), "{text}");
        }
        for wrong in [
            "",
            "a\nb",
            "awskms:",
            "awskms:alias/",
            "awskms:key/1234",
            "awskms:alias:x",
            "awskms:my key",
            "awskms:arn:aws:s3:eu-west-1:123456789012:key/1234",
            "awskms:arn:aws:kms::123456789012:key/1234",
            "awskms:arn:aws:kms:eu-west-1:123456789012:1234",
            "awskms:arn:aws:kms:eu-west-1:123456789012:grant/1234",
            "awskms:arn:aws:kms",
        ] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
        assert_eq!(keys("a.key, awskms:alias/b").unwrap().len(), 2);
        assert!(keys("a.key,").is_err());
    }

    #[test]
    fn secrets_are_in_files_parameters_or_secrets_managers_secrets() {
        for text in [
            "/etc/yrm/datadog",
            "ssm:/yrm/datadog.key-1_a",
            "ssm:plain:3",
            "ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/yrm/datadog",
            "secretsmanager:yrm/data+dog=@x",
            "secretsmanager:yrm/datadog#api key",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:yrm/datadog-AbCdEf#api.key",
        ] {
            let shown = match secret(text).unwrap() {
                SecretPlace::File(path) => path.display().to_string(),
                SecretPlace::Aws(secret) => secret.to_string(),
            };
            assert_eq!(shown, text);
            assert_eq!(matches!(secret(text), Ok(SecretPlace::File(_))), text.starts_with('/'), "{text}");
        }
        for wrong in [
            "",
            "ssm:",
            "ssm:a b",
            "ssm:/x?",
            "ssm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
            "secretsmanager:",
            "secretsmanager:#field",
            "secretsmanager:name#",
            "secretsmanager:name#a\nb",
            "secretsmanager:arn:aws:ssm:eu-west-1:123456789012:parameter/x",
        ] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }

    fn parameter(text: &str) -> AwsSecret {
        match secret(text) {
            Ok(SecretPlace::Aws(secret)) => secret,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_arn_names_its_region() {
        let region = |text: &str| match parameter(text) {
            AwsSecret::Parameter(name) | AwsSecret::Manager { name, .. } => name.region().map(str::to_owned),
        };
        assert_eq!(region("ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/x").as_deref(), Some("eu-west-1"));
        assert_eq!(region("ssm:/x"), None);
    }

    #[test]
    fn a_secret_is_not_shown_and_not_used_before_it_is_fetched() {
        let known = Secret::Known("hunter2".to_owned());
        assert!(!format!("{known:?}").contains("hunter2"));
        assert_eq!(known.known().unwrap(), "hunter2");
        assert_eq!(Secret::Kept(parameter("ssm:/x")).known().unwrap_err().kind(), ErrorKind::Internal);
    }
}
