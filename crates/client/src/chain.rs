//! What the machine's configuration says, by the SDK's own chain: environment, profiles (keys, SSO, roles, processes),
//! web identity, ECS and EKS, and the instance's metadata. Nothing is read and nobody is asked before the first request.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;

use crate::bucket::Region;
use crate::complaint::{Complaint, Result, chain};
use crate::endpoint::{Origin, Store};
use crate::keeper::Source;
use crate::outgoing::Outgoing;

/// Without a region the configuration is asked again after so long: a metadata service may be late when a machine starts.
const ASK_AGAIN_AFTER: Duration = Duration::from_mins(5);

/// What was typed, and goes before what the machine's configuration says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Typed {
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<Region>,
    pub(crate) origin: Option<Origin>,
    pub(crate) path_style: bool,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
}

/// Where S3 is for this machine.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The machine's own region, if that is known. A bucket may be elsewhere.
    pub(crate) region: Option<Region>,
    pub(crate) store: Store,
    /// Where STS says who is asking. A store that is not AWS's has none.
    pub(crate) tokens: Option<String>,
}

/// The machine's configuration.
#[derive(Debug)]
pub(crate) struct Chain {
    typed: Typed,
    outgoing: OnceCell<Outgoing>,
    surroundings: Mutex<Option<(Surroundings, Instant)>>,
}

impl Chain {
    pub(crate) fn new(typed: Typed) -> Self {
        Self { typed, outgoing: OnceCell::new(), surroundings: Mutex::default() }
    }

    /// What was typed.
    pub(crate) fn typed(&self) -> &Typed {
        &self.typed
    }

    /// The client for everything that is asked.
    pub(crate) async fn outgoing(&self) -> Result<&Outgoing> {
        self.outgoing
            .get_or_try_init(|| async {
                let authorities = self.authorities().await;
                Outgoing::new(authorities.as_deref())
            })
            .await
    }

    /// Where S3 is.
    pub(crate) async fn surroundings(&self) -> Result<Surroundings> {
        if let Some((known, since)) = self.known()
            && (known.region.is_some() || since.elapsed() < ASK_AGAIN_AFTER)
        {
            return Ok(known);
        }
        let loaded = self.load().await?;
        let region = match &self.typed.region {
            Some(region) => Some(region.clone()),
            None => loaded.region().and_then(|region| region.as_ref().parse().ok()),
        };
        let store = Store {
            origin: match &self.typed.origin {
                Some(origin) => Some(origin.clone()),
                None => configured_origin(&loaded)?,
            },
            path_style: self.typed.path_style,
            fips: self.typed.fips || loaded.use_fips() == Some(true),
            dual_stack: self.typed.dual_stack || loaded.use_dual_stack() == Some(true),
        };
        let tokens = match (loaded.endpoint_url(), &store.origin) {
            (Some(all), _) => Some(format!("{}/", all.trim_end_matches('/'))),
            (None, Some(_)) => None,
            (None, None) => Some(store.security_tokens(&region.clone().unwrap_or_else(Region::usual))),
        };
        let surroundings = Surroundings { region, store, tokens };
        let mut known = self.surroundings.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((surroundings.clone(), Instant::now()));
        Ok(surroundings)
    }

    fn known(&self) -> Option<(Surroundings, Instant)> {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn loader(&self) -> ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        match &self.typed.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        }
    }

    /// Everything anew: files may have changed, and the SDK reads them once.
    async fn load(&self) -> Result<SdkConfig> {
        let mut loader = self.loader().http_client(self.outgoing().await?.clone());
        let region = self.typed.region.clone().or_else(|| self.known().and_then(|(known, _)| known.region));
        if let Some(region) = region {
            loader = loader.region(aws_types::region::Region::new(region.as_str().to_owned()));
        }
        Ok(loader.load().await)
    }

    /// `AWS_CA_BUNDLE`, else `ca_bundle` of the profile. The SDK looks at neither.
    async fn authorities(&self) -> Option<PathBuf> {
        // Files are read, and nobody is asked for a region or for credentials.
        let nowhere = aws_types::region::Region::from_static("us-east-1");
        let read = self.loader().no_credentials().region(nowhere).load().await;
        let key =
            ServiceConfigKey::builder().service_id("s3").env("AWS_CA_BUNDLE").profile("ca_bundle").build().ok()?;
        read.service_config()?.load_config(key).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

impl Source for std::sync::Arc<Chain> {
    async fn ask(&self) -> Result<Credentials, Complaint> {
        let provider = self.load().await?.credentials_provider().ok_or_else(none_found)?;
        provider.provide_credentials().await.map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => none_found(),
            error => Complaint::new(format!("the machine's credentials cannot be had: {}", chain(&error))),
        })
    }
}

/// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, and `endpoint_url` of the profile and of its service `s3`.
fn configured_origin(loaded: &SdkConfig) -> Result<Option<Origin>> {
    let key = ServiceConfigKey::builder().service_id("s3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = key.ok().and_then(|key| loaded.service_config()?.load_config(key));
    match own.or_else(|| loaded.endpoint_url().map(str::to_owned)) {
        Some(address) => address.parse().map(Some).map_err(|why: String| {
            Complaint::new(format!("the endpoint of the AWS configuration cannot be used: {why}"))
        }),
        None => Ok(None),
    }
}

fn none_found() -> Complaint {
    Complaint::new(
        "this machine has no AWS credentials: there are none in the environment, in a profile, or in its metadata",
    )
    .hint("give it an instance profile or a task role; in a container the metadata answers with a hop limit of 2 only")
}
