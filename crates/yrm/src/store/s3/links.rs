//! Presigned addresses of objects in S3.
//!
//! Where an object is, the SDK says once for the bucket (partitions, access points, FIPS, path style); from then on an address
//! is a signature of ours by the SDK's own piece for that. The SDK's whole way to one takes ten times as long.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::SignableBody;
use tokio::sync::OnceCell;

use super::S3Store;
use super::spelling::path;
use crate::aws::chain;
use crate::aws::keeper::Keeper;
use crate::aws::presign::{Unsigned, presigned};
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};
use crate::store::links::{Link, Links, Method};

/// An address is good for so long at least, or there is none.
const LEAST: Duration = Duration::from_secs(15);
/// A key that needs no spelling, to learn where keys are.
const SOME_KEY: &str = "yrm";

/// Addresses of one bucket's objects.
pub struct S3Links {
    store: S3Store,
    credentials: Keeper,
    place: OnceCell<Place>,
}

/// Where the objects are, and what signatures name.
struct Place {
    /// Up to the key.
    base: String,
    region: String,
    service: String,
}

impl fmt::Debug for S3Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Links({})", self.store.bucket)
    }
}

impl S3Links {
    /// Of the bucket `name`, below `prefix`, as `config` says. Sends nothing.
    pub async fn connect(name: &str, prefix: &str, config: &S3Config) -> Result<Self> {
        let credentials = Keeper::new(chain::shared(config).await?.credentials_provider());
        let store = S3Store::connect(name, prefix, config).await?;
        Ok(Self { store, credentials, place: OnceCell::new() })
    }

    async fn place(&self) -> Result<&Place> {
        self.place.get_or_try_init(async || self.learn().await).await
    }

    /// What the SDK makes of some key.
    async fn learn(&self) -> Result<Place> {
        let doing = || format!("making an address of an object in {}", self.store.bucket);
        let failed = |why: String| Error::new(ErrorKind::Denied, doing()).because(why);
        let valid = PresigningConfig::expires_in(Duration::from_mins(5)).map_err(|error| failed(error.to_string()))?;
        let presigned = self.store.once.get_object().bucket(&self.store.bucket).key(SOME_KEY).presigned(valid).await;
        let presigned = presigned.map_err(|error| failed(chain::in_words(&error)))?;
        let address = presigned.uri();
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let base =
            path.strip_suffix(SOME_KEY).ok_or_else(|| failed("the SDK has spelt a key in its own way".to_owned()))?;
        let scope = query.split('&').find_map(|field| field.strip_prefix("X-Amz-Credential="));
        let scope: Vec<&str> = scope.unwrap_or_default().rsplit("%2F").collect();
        let [_, service, region, ..] = scope[..] else {
            return Err(failed("the SDK has signed in its own way".to_owned()));
        };
        Ok(Place { base: base.to_owned(), region: region.to_owned(), service: service.to_owned() })
    }
}

#[async_trait]
impl Links for S3Links {
    async fn link(&self, method: Method, key: &str, valid: Duration) -> Result<Link> {
        let now = SystemTime::now();
        let place = self.place().await?;
        let credentials = self.credentials.credentials(now, LEAST).await.map_err(|why| {
            Error::new(ErrorKind::Denied, format!("making an address of {key:?}"))
                .because(why)
                .hint("`yrm doctor` says what the credentials may do")
        })?;
        let left = credentials.expiry().and_then(|expiry| expiry.duration_since(now).ok());
        let valid = left.map_or(valid, |left| left.min(valid));
        let payer = if self.store.payer.is_some() { "?x-amz-request-payer=requester" } else { "" };
        let unsigned = Unsigned {
            method: method.name(),
            address: format!("{}{}{payer}", place.base, path(&self.store.full(key))),
            header: None,
            body: SignableBody::UnsignedPayload,
            region: &place.region,
            service: &place.service,
        };
        let failed =
            |why: String| Error::new(ErrorKind::Internal, format!("making an address of {key:?}")).because(why);
        presigned(unsigned, credentials, now, valid).map(|address| Link::new(address, valid)).map_err(failed)
    }
}
