//! Presigned addresses of objects in S3.
//!
//! Where an object is, the SDK says once for the bucket (partitions, access points, FIPS, path style); from then on an address
//! is a signature of ours by the SDK's own piece for that. The SDK's whole way to one takes ten times as long.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use tokio::sync::{Mutex, OnceCell, RwLock};

use super::S3Store;
use super::spelling::path;
use crate::aws::chain;
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};
use crate::store::links::{Link, Links, Method};

/// Credentials are asked for anew so long before they end, and after so long where they do not say.
const RENEW_BEFORE: Duration = Duration::from_mins(10);
const RENEW_AFTER: Duration = Duration::from_mins(1);
/// An address is good for so long at least, or there is none.
const LEAST: Duration = Duration::from_secs(15);
/// A key that needs no spelling, to learn where keys are.
const SOME_KEY: &str = "yrm";

/// Addresses of one bucket's objects.
pub struct S3Links {
    store: S3Store,
    provider: Option<SharedCredentialsProvider>,
    place: OnceCell<Place>,
    known: RwLock<Option<Known>>,
    /// One asks for new credentials at a time.
    asking: Mutex<()>,
}

/// Where the objects are, and what signatures name.
struct Place {
    /// Up to the key.
    base: String,
    region: String,
    service: String,
}

#[derive(Clone)]
struct Known {
    credentials: Credentials,
    renew_at: SystemTime,
}

impl fmt::Debug for S3Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Links({})", self.store.bucket)
    }
}

impl S3Links {
    /// Of the bucket `name`, below `prefix`, as `config` says. Sends nothing.
    pub async fn connect(name: &str, prefix: &str, config: &S3Config) -> Result<Self> {
        let provider = chain::shared(config).await?.credentials_provider();
        let store = S3Store::connect(name, prefix, config).await?;
        let (place, known, asking) = (OnceCell::new(), RwLock::default(), Mutex::default());
        Ok(Self { store, provider, place, known, asking })
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

    /// Credentials that are good for a while.
    async fn credentials(&self, now: SystemTime) -> Result<Credentials> {
        if let Some(known) = self.fresh(now).await {
            return Ok(known);
        }
        let _asking = self.asking.lock().await;
        if let Some(known) = self.fresh(now).await {
            return Ok(known);
        }
        let failed = |why: String| {
            Error::new(ErrorKind::Denied, "finding out who is asking")
                .because(why)
                .hint("`yrm doctor` says what the credentials may do")
        };
        let provider = self.provider.as_ref().ok_or_else(|| failed("there are no credentials".to_owned()))?;
        match provider.provide_credentials().await {
            Ok(credentials) => {
                let renew_at = match credentials.expiry() {
                    Some(expiry) => expiry.checked_sub(RENEW_BEFORE).unwrap_or(now).max(now + LEAST),
                    None => now + RENEW_AFTER,
                };
                *self.known.write().await = Some(Known { credentials: credentials.clone(), renew_at });
                Ok(credentials)
            }
            // Those that are there may be good for some minutes still.
            Err(error) => {
                let known = self.known.read().await.clone();
                let left = known.map(|known| known.credentials).filter(|known| outlive(known, now + LEAST));
                left.ok_or_else(|| failed(Error::new(ErrorKind::Denied, "asking").because(error).chain()))
            }
        }
    }

    async fn fresh(&self, now: SystemTime) -> Option<Credentials> {
        let known = self.known.read().await;
        let known = known.as_ref().filter(|known| now < known.renew_at && outlive(&known.credentials, now + LEAST))?;
        Some(known.credentials.clone())
    }
}

fn outlive(credentials: &Credentials, until: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| until < expiry)
}

#[async_trait]
impl Links for S3Links {
    async fn link(&self, method: Method, key: &str, valid: Duration) -> Result<Link> {
        let now = SystemTime::now();
        let (place, credentials) = (self.place().await?, self.credentials(now).await?);
        let left = credentials.expiry().and_then(|expiry| expiry.duration_since(now).ok());
        let valid = left.map_or(valid, |left| left.min(valid));
        let failed =
            |why: String| Error::new(ErrorKind::Internal, format!("making an address of {key:?}")).because(why);
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(valid);
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&place.region)
            .name(&place.service)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| failed(error.to_string()))?
            .into();
        let mut address = format!("{}{}", place.base, path(&self.store.full(key)));
        let mut first = '?';
        if self.store.payer.is_some() {
            address.push_str("?x-amz-request-payer=requester");
            first = '&';
        }
        let request = SignableRequest::new(method.name(), &address, std::iter::empty(), SignableBody::UnsignedPayload);
        let request = request.map_err(|error| failed(error.to_string()))?;
        let signed = sign(request, &parameters).map_err(|error| failed(error.to_string()))?;
        let (instructions, _) = signed.into_parts();
        let mut link = address;
        for (name, value) in instructions.params() {
            link.push(std::mem::replace(&mut first, '&'));
            link.push_str(name);
            link.push('=');
            link.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        }
        Ok(Link::new(link))
    }
}
