//! The door to S3: where a bucket there is asked for, whether or not this program was built with AWS.

use std::sync::Arc;

use super::Store;
use super::links::Links;
use super::rights::Rights;
use crate::config::S3Config;
use crate::error::Result;

/// The bucket `name` in S3, below `prefix`. It is not contacted yet.
#[cfg(feature = "aws")]
pub async fn s3(name: &str, prefix: &str, config: &S3Config) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::s3::S3Store::connect(name, prefix, config).await?))
}

/// The same, and what the credentials may do in it, tried out.
#[cfg(feature = "aws")]
pub async fn s3_with_rights(name: &str, prefix: &str, config: &S3Config) -> Result<(Arc<dyn Store>, Rights)> {
    let store = super::s3::S3Store::connect(name, prefix, config).await?;
    let rights = store.rights().await?;
    Ok((Arc::new(store), rights))
}

/// Addresses of the objects in the bucket `name`, below `prefix`. Nothing is asked yet.
#[cfg(feature = "aws")]
pub async fn s3_links(name: &str, prefix: &str, config: &S3Config) -> Result<Arc<dyn Links>> {
    Ok(Arc::new(super::s3::S3Links::connect(name, prefix, config).await?))
}

/// There is no S3 without AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS the credentials are looked up")]
pub async fn s3_links(name: &str, _prefix: &str, _config: &S3Config) -> Result<Arc<dyn Links>> {
    Err(crate::aws::missing(&format!("s3://{name}")))
}

/// There is no S3 without AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS the credentials are looked up")]
pub async fn s3(name: &str, _prefix: &str, _config: &S3Config) -> Result<Arc<dyn Store>> {
    Err(crate::aws::missing(&format!("s3://{name}")))
}

/// There is no S3 without AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS the bucket is asked")]
pub async fn s3_with_rights(name: &str, _prefix: &str, _config: &S3Config) -> Result<(Arc<dyn Store>, Rights)> {
    Err(crate::aws::missing(&format!("s3://{name}")))
}
