//! The SDK's own chain of environment, profiles and instance roles. Whatever is asked, it is asked with the same
//! credentials.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::path::PathBuf;

use aws_config::SdkConfig;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_types::service_config::ServiceConfigKey;

use super::http::http_client;
use crate::authorities::Authorities;
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};

/// What the chain says, where `config` says nothing.
pub(crate) async fn shared(config: &S3Config) -> Result<SdkConfig> {
    load(config, config.region.as_deref(), config.endpoint.as_deref()).await
}

/// The same for other services than S3. The setting `endpoint` is S3's alone: the bucket may be
/// elsewhere, and the keys with AWS. `region` is what the thing's own name says.
pub(crate) async fn beside(config: &S3Config, region: Option<&str>) -> Result<SdkConfig> {
    let shared = load(config, region.or(config.region.as_deref()), None).await?;
    let region = match (shared.region(), shared.endpoint_url()) {
        (Some(region), _) => region.clone(),
        // Other servers than AWS's have no regions, but signatures want one.
        (None, Some(_)) => Region::from_static("us-east-1"),
        (None, None) => {
            return Err(Error::new(ErrorKind::Config, "finding the AWS region")
                .hint("give --region, AWS_REGION or a profile with a region, or name what is wanted by its ARN"));
        }
    };
    Ok(shared.into_builder().region(region).build())
}

/// Whom HTTPS believes beside the machine's own authorities: those that `config` names, else those that the
/// profile does.
pub(crate) async fn authorities(config: &S3Config) -> Result<Authorities> {
    let named = match &config.ca_bundle {
        Some(path) => Some(path.clone()),
        None => of_profile(config).await,
    };
    named.map_or_else(|| Ok(Authorities::default()), |path| Authorities::read(&path))
}

/// `ca_bundle` of the profile, which the SDK does not look at.
async fn of_profile(config: &S3Config) -> Option<PathBuf> {
    // Files are read, and nobody is asked for a region or for credentials.
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).no_credentials().region(Region::from_static("us-east-1"));
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    let read = loader.load().await;
    let key = ServiceConfigKey::builder().service_id("s3").env("AWS_CA_BUNDLE").profile("ca_bundle").build().ok()?;
    read.service_config()?.load_config(key).filter(|path| !path.is_empty()).map(PathBuf::from)
}

async fn load(config: &S3Config, region: Option<&str>, endpoint: Option<&str>) -> Result<SdkConfig> {
    let http = http_client(&authorities(config).await?)?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    Ok(loader.load().await)
}

/// The SDK has no public type for "no credentials were found" at this level; its Debug form names it.
pub(crate) fn names_credentials<E: Debug>(error: &SdkError<E, HttpResponse>) -> bool {
    let text = format!("{error:?}");
    text.contains("CredentialsNotLoaded")
        || text.contains("CredentialsProviderError")
        || text.contains("ProviderError(")
}

/// What an error of the SDK says, for people. Its own words end in the Debug output of a record.
pub(crate) fn in_words<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::TimeoutError(_) => "there was no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => format!("there is no connection: {}", root_of(error)),
        SdkError::ConstructionFailure(_) => format!("the request cannot be made: {}", root_of(error)),
        SdkError::ResponseError(_) => match status {
            Some(status) => format!("the answer cannot be read (status {status}): {}", root_of(error)),
            None => format!("the answer cannot be read: {}", root_of(error)),
        },
        _ => answered(error.code(), error.message(), status),
    }
}

/// What a service said, before its own code for it.
fn answered(code: Option<&str>, message: Option<&str>, status: Option<u16>) -> String {
    let code = code.filter(|code| !code.is_empty());
    let plain = match code {
        Some("SlowDown" | "ServiceUnavailable" | "Throttling" | "ThrottlingException" | "TooManyRequests") => {
            Some("the store asks for fewer requests")
        }
        Some("NoSuchBucket") => Some("there is no such bucket"),
        Some("AccessDenied") => Some("access is denied"),
        Some("InternalError") => Some("the store has a fault of its own"),
        Some("ExpiredToken") => Some("the credentials have expired"),
        Some(_) | None => None,
    };
    let message = message.map(|message| message.trim().trim_end_matches('.')).filter(|message| !message.is_empty());
    match (plain, code, message) {
        (Some(plain), Some(code), _) => format!("{plain} ({code})"),
        (_, Some(code), Some(message)) => format!("{message} ({code})"),
        (_, Some(code), None) => format!("the store answered {code}"),
        (_, None, Some(message)) => message.to_owned(),
        (_, None, None) => match status {
            Some(status) => format!("the store answered with status {status}"),
            None => "the store's answer says nothing".to_owned(),
        },
    }
}

/// The innermost cause, which says what happened; those around it say only where.
fn root_of(error: &dyn StdError) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_answers_is_told_in_words_with_its_code() {
        for (code, message, status, expected) in [
            (
                Some("SlowDown"),
                Some("Please reduce your request rate."),
                Some(503),
                "the store asks for fewer requests (SlowDown)",
            ),
            (
                Some("NoSuchBucket"),
                Some("The specified bucket does not exist"),
                Some(404),
                "there is no such bucket (NoSuchBucket)",
            ),
            (Some("AccessDenied"), None, Some(403), "access is denied (AccessDenied)"),
            (
                Some("EntityTooSmall"),
                Some("Your proposed upload is too small."),
                Some(400),
                "Your proposed upload is too small (EntityTooSmall)",
            ),
            (Some("Strange"), Some(" "), Some(400), "the store answered Strange"),
            (None, None, Some(500), "the store answered with status 500"),
            (Some(""), None, None, "the store's answer says nothing"),
        ] {
            assert_eq!(answered(code, message, status), expected);
        }
    }
}
