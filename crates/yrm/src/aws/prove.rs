//! A signed question "who am I?" to STS, that somebody else may ask.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;

use super::call::address_of_sts;
use super::chain::beside;
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};

/// The address that asks STS who has signed it, with a signature that covers one header more.
pub(crate) async fn prove(config: &S3Config, (header, value): (&str, &str), valid: Duration) -> Result<String> {
    let failed = |why: String| {
        Error::new(ErrorKind::Denied, "proving this machine's AWS identity")
            .because(why)
            .hint("`aws sts get-caller-identity` says whether there are credentials")
    };
    let shared = beside(config, None).await?;
    let provider = shared.credentials_provider().ok_or_else(|| failed("there are no credentials".to_owned()))?;
    let credentials = provider.provide_credentials().await;
    let credentials =
        credentials.map_err(|error| failed(Error::new(ErrorKind::Denied, "asking").because(error).chain()))?;
    let region = shared.region().map_or("us-east-1", AsRef::as_ref).to_owned();
    let address = format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", address_of_sts(&shared, &region));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(valid);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("sts")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|error| failed(error.to_string()))?
        .into();
    let headers = [(header, value)];
    let request = SignableRequest::new("GET", &address, headers.into_iter(), SignableBody::Bytes(b""));
    let request = request.map_err(|error| failed(error.to_string()))?;
    let signed = sign(request, &parameters).map_err(|error| failed(error.to_string()))?;
    let (instructions, _) = signed.into_parts();
    let mut proof = address;
    for (name, value) in instructions.params() {
        proof.push('&');
        proof.push_str(name);
        proof.push('=');
        proof.extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }
    Ok(proof)
}
