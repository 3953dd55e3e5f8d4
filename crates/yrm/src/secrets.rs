//! Secrets that AWS keeps: parameters of Systems Manager and secrets of Secrets Manager. Fetched once,
//! at the start, by who needs them. A secret goes to who asked for it and nowhere else: no error and
//! no log line repeats any of it.

use serde::Deserialize;
use serde_json::json;

use crate::aws::Service;
use crate::aws::named::{SECRETS_MANAGER, SSM};
use crate::aws::refusal::{Failure, GIVE_CREDENTIALS, Refusal};
use crate::config::place::{MAX_SECRET_BYTES, sound_key};
use crate::config::{AwsName, AwsSecret, Config, S3Config, Secret};
use crate::error::{Error, ErrorKind, Result};

/// Fetches what `config` only says the place of, so that everything after it knows its secrets. The
/// passphrase of signing keys is fetched by who reads them.
pub async fn fetch_all(config: &mut Config) -> Result<()> {
    let datadog = config.datadog.iter_mut().flat_map(|datadog| [&mut datadog.api_key, &mut datadog.app_key]);
    let notify = config.notify.iter_mut().flat_map(|notify| [&mut notify.webhook, &mut notify.secret]);
    for secret in datadog.chain(notify).flatten() {
        if let Secret::Kept(place) = secret {
            let key = sound_key(&fetch(place, &config.s3).await?).map_err(|complaint| {
                Error::new(ErrorKind::Config, format!("reading {place}")).because(complaint.message)
            })?;
            *secret = Secret::Known(key);
        }
    }
    Ok(())
}

/// The secret in `place`: one line of text, without the line's end.
pub async fn fetch(place: &AwsSecret, config: &S3Config) -> Result<String> {
    let refuse = |why: &str| Error::new(ErrorKind::Config, format!("reading {place}")).because(why.to_owned());
    let text = match place {
        AwsSecret::Parameter(name) => parameter(name, place, config).await?,
        AwsSecret::Manager { name, field } => {
            let whole = managed(name, place, config).await?;
            let part = match field {
                Some(field) => field_of(&whole, field),
                None => without_fields(whole),
            };
            part.map_err(|why| refuse(why).hint("secretsmanager:NAME#FIELD names a field of a secret that is JSON"))?
        }
    };
    sound(&text).map(str::to_owned).map_err(refuse)
}

/// `text` as one line, or why it is none.
fn sound(text: &str) -> Result<&str, &'static str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err("it is empty"),
        _ if line.len() > MAX_SECRET_BYTES => Err("it is over 4096 bytes, so it is no key and no passphrase"),
        _ if line.contains(char::is_control) => Err("it holds control characters, or more than one line"),
        _ => Ok(line),
    }
}

/// What has fields is not a secret itself.
fn without_fields(text: String) -> Result<String, &'static str> {
    match serde_json::from_str(&text) {
        Ok(serde_json::Value::Object(_)) => Err("it is JSON with fields, and none of them is named"),
        Ok(_) | Err(_) => Ok(text),
    }
}

/// The text of one field. The parser's own words could repeat what it read.
fn field_of(text: &str, field: &str) -> Result<String, &'static str> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return Err("it is no JSON with fields");
    };
    match fields.get(field) {
        Some(serde_json::Value::String(value)) => Ok(value.clone()),
        Some(_) => Err("that field is no text"),
        None => Err("it has no such field"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    parameter: Option<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: Option<String>,
}

async fn parameter(name: &AwsName, place: &AwsSecret, config: &S3Config) -> Result<String> {
    let parameters = Service::of(&SSM, config, name.region()).await?;
    let input = json!({"Name": name.as_str(), "WithDecryption": true});
    let answer: Parameters = parameters.ask("GetParameter", &input).await.map_err(|refusal| {
        let permission = "allow ssm:GetParameter on it, and kms:Decrypt on its key if that is one of your own";
        failure(refusal, place, permission, "ParameterNotFound", "parameter")
    })?;
    answer.parameter.and_then(|parameter| parameter.value).ok_or_else(|| no_text(place))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Managed {
    secret_string: Option<String>,
}

async fn managed(name: &AwsName, place: &AwsSecret, config: &S3Config) -> Result<String> {
    let manager = Service::of(&SECRETS_MANAGER, config, name.region()).await?;
    let answer = manager.ask("GetSecretValue", &json!({"SecretId": name.as_str()}));
    let answer: Managed = answer.await.map_err(|refusal| {
        let permission =
            "allow secretsmanager:GetSecretValue on it, and kms:Decrypt on its key if that is one of your own";
        failure(refusal, place, permission, "ResourceNotFound", "secret")
    })?;
    answer.secret_string.ok_or_else(|| no_text(place))
}

fn no_text(place: &AwsSecret) -> Error {
    Error::new(ErrorKind::Config, format!("reading {place}")).because("it is not text")
}

/// The error of a call. The services' own words name what was asked for, never what is in it.
fn failure(refusal: Refusal, place: &AwsSecret, permission: &str, missing: &str, what: &str) -> Error {
    let (failure, is_missing) = (refusal.failure, refusal.code.contains(missing));
    let told = Error::new(failure.kind(), format!("reading {place}")).because(refusal);
    match failure {
        Failure::Refused if is_missing => told.hint(format!("there is no such {what} in this region and account")),
        Failure::NoCredentials => told.hint(GIVE_CREDENTIALS),
        Failure::Denied => told.hint(permission.to_owned()),
        Failure::Refused | Failure::Away => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_of_bounded_length() {
        assert_eq!(sound("open sesame\n"), Ok("open sesame"));
        assert_eq!(sound("open sesame\r\n"), Ok("open sesame"));
        let long = "x".repeat(MAX_SECRET_BYTES + 1);
        for wrong in ["", "\n", "two\nlines", "a\u{1b}b", "a\0", &long] {
            assert!(sound(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_field_is_named_where_there_are_fields_and_not_where_there_are_none() {
        let object = r#"{"key": "k3y", "port": 5}"#;
        assert_eq!(field_of(object, "key"), Ok("k3y".to_owned()));
        for (text, field) in [(object, "port"), (object, "other"), ("k3y", "key"), ("[\"key\"]", "key")] {
            assert!(!field_of(text, field).unwrap_err().contains("k3y"));
        }
        assert_eq!(without_fields("k3y".to_owned()), Ok("k3y".to_owned()));
        assert_eq!(without_fields("12345".to_owned()), Ok("12345".to_owned()));
        assert!(without_fields(object.to_owned()).is_err());
    }
}
