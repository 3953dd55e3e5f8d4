//! Credentials that are kept while they are good, and asked for by one at a time.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use tokio::sync::Mutex;

use super::refusal::NO_CREDENTIALS;
use crate::error::{Error, ErrorKind};

/// Credentials are asked for anew so long before they expire, and after so long where they do not say.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
const RENEW_AFTER: Duration = Duration::from_mins(15);
/// Where that fails and the old ones are good still, it is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// Whoever has them has so long to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where credentials come from, and those that came last.
#[derive(Debug)]
pub(crate) struct Keeper {
    provider: Option<SharedCredentialsProvider>,
    known: Mutex<Option<(Credentials, SystemTime)>>,
}

impl Keeper {
    pub(crate) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, known: Mutex::default() }
    }

    /// Credentials that are good for `least` from `now` on, or why there are none.
    pub(crate) async fn credentials(&self, now: SystemTime, least: Duration) -> Result<Credentials, String> {
        let mut known = self.known.lock().await;
        let is_good = |credentials: &Credentials| credentials.expiry().is_none_or(|expiry| now + least < expiry);
        if let Some((credentials, renew_at)) = &*known
            && now < *renew_at
            && is_good(credentials)
        {
            return Ok(credentials.clone());
        }
        match self.ask().await {
            Ok(credentials) => {
                let renew_at = match credentials.expiry() {
                    Some(expiry) => expiry.checked_sub(RENEW_BEFORE).unwrap_or(now),
                    None => now + RENEW_AFTER,
                };
                *known = Some((credentials.clone(), renew_at));
                Ok(credentials)
            }
            Err(why) => match &mut *known {
                Some((credentials, renew_at)) if credentials.expiry().is_some() && is_good(credentials) => {
                    *renew_at = now + AGAIN_AFTER;
                    Ok(credentials.clone())
                }
                _ => Err(why),
            },
        }
    }

    async fn ask(&self) -> Result<Credentials, String> {
        let provider = self.provider.as_ref().ok_or_else(|| NO_CREDENTIALS.to_owned())?;
        match tokio::time::timeout(PATIENCE, provider.provide_credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => Err(NO_CREDENTIALS.to_owned()),
            Ok(Err(error)) => Err(Error::new(ErrorKind::Denied, "finding out who is asking").because(error).chain()),
            Err(_) => Err("finding out who is asking: there was no answer in time".to_owned()),
        }
    }
}
