//! The SDK's own chain of environment, profiles and instance roles. Whatever is asked, it is asked with the same
//! credentials.

use std::fmt::Debug;
use std::path::PathBuf;

use aws_config::SdkConfig;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::SdkError;
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
