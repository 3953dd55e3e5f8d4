//! The SDK's HTTP client, with the authorities that are believed and the TLS library of everything else here.

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use crate::authorities::Authorities;
use crate::error::{Error, ErrorKind, Result};

/// A client for AWS's SDK, made as the SDK makes its own, which cannot be told of more authorities and brings
/// another library for TLS.
pub fn http_client(believed: &Authorities) -> Result<SharedHttpClient> {
    let all = believed.certificates.iter().fold(TrustStore::default(), |all, one| all.with_pem_certificate(pem(one)));
    let context = TlsContext::builder().with_trust_store(all).build().map_err(|error| {
        Error::new(ErrorKind::Internal, "preparing the SDK's HTTP client with more authorities").because(error)
    })?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let provider = Provider::Rustls(CryptoMode::Ring);
        let mut connector = Connector::builder().tls_provider(provider).tls_context(context.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    }))
}

/// As the SDK wants it.
fn pem(certificate: &CertificateDer<'_>) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}
