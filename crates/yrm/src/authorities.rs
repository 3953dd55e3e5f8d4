//! Whom HTTPS believes: the certificate authorities of the machine, and those in one file more. Every HTTPS client
//! of this program is begun here, so that a company's own authority counts for all of them or for none.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, ErrorKind, Result};

/// A bundle of all authorities there are has a quarter of a megabyte.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;

/// Authorities that are believed beside the machine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Those whose certificates are in this file, in PEM. What no TLS library takes is left out, as it is of the
    /// machine's own; a file without any is an error.
    pub fn read(path: &Path) -> Result<Self> {
        let doing = || format!("reading the certificate authorities in {}", path.display());
        let wrong = |why: &str| {
            Error::new(ErrorKind::Config, doing())
                .because(why.to_owned())
                .hint("ca-bundle, AWS_CA_BUNDLE or ca_bundle of the AWS profile names a file with certificates in PEM")
        };
        let unreadable = |error: std::io::Error| wrong(&error.to_string());
        if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_BUNDLE_BYTES {
            return Err(wrong("it is over 16 MiB, so it is no list of authorities"));
        }
        let pem = std::fs::read(path).map_err(unreadable)?;
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        for found in CertificateDer::pem_slice_iter(&pem) {
            let certificate = found.map_err(|_| wrong("it is damaged: a certificate in it is no PEM"))?;
            if roots.add(certificate.clone()).is_ok() {
                certificates.push(certificate);
            }
        }
        if certificates.is_empty() {
            return Err(wrong("there is no certificate of an authority in it"));
        }
        Ok(Self { certificates })
    }

    /// What TLS believes, for a client that is no [`Self::web`].
    pub fn tls(&self) -> Result<ClientConfig> {
        let failed = |error: rustls::Error| {
            Error::new(ErrorKind::Internal, "preparing HTTPS with more authorities").because(error)
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(self.certificates.iter().cloned(), Arc::clone(&provider));
        let begun = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = begun.map_err(failed)?.dangerous();
        Ok(config.with_custom_certificate_verifier(Arc::new(verifier.map_err(failed)?)).with_no_client_auth())
    }

    /// A client for the web, to be finished.
    pub fn web(&self) -> Result<reqwest::ClientBuilder> {
        // One library for TLS in all clients. Whoever was first has chosen the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let taken: reqwest::Result<Vec<_>> =
            self.certificates.iter().map(|certificate| reqwest::Certificate::from_der(certificate)).collect();
        let taken = taken.map_err(|error| {
            Error::new(ErrorKind::Internal, "preparing an HTTP client with more authorities").because(error)
        })?;
        Ok(reqwest::Client::builder().tls_certs_merge(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(Authorities::read(&path).unwrap_err().chain().contains("ca.pem"));
        for (text, why) in [
            ("", "there is no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "there is no certificate"),
            ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", "it is damaged"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Authorities::read(&path).unwrap_err();
            assert!(error.chain().contains(why) && error.kind() == ErrorKind::Config, "{}", error.chain());
        }
    }
}
