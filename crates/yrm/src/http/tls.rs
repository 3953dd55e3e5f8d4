//! HTTPS: the certificate and its key, read again when the files change, and the names in clients' certificates.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::authorities::Authorities;
use crate::config::Tls;
use crate::error::{Error, ErrorKind, Result};

/// The files are looked at for changes at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A client that says nothing during its handshake is let go.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// A longer file is no certificate.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// `commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What HTTPS is spoken with.
#[derive(Debug)]
pub struct Certificates {
    named: Tls,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    config: Arc<ServerConfig>,
    stamps: Vec<Option<(SystemTime, u64)>>,
    looked: Instant,
}

impl Certificates {
    /// Reads what is named.
    pub fn read(named: &Tls) -> Result<Self> {
        let stamps = stamps(named);
        let now = Now { config: Arc::new(config(named)?), stamps, looked: Instant::now() };
        Ok(Self { named: named.clone(), now: Mutex::new(now) })
    }

    /// For the next connection. New files that cannot be used leave the old ones in use.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK_EVERY {
            now.looked = Instant::now();
            let stamps = stamps(&self.named);
            if stamps != now.stamps {
                match config(&self.named) {
                    Ok(config) => {
                        tracing::info!("the certificate was read again");
                        now.config = Arc::new(config);
                    }
                    Err(error) => tracing::warn!("the certificate stays as it was: {}", error.chain()),
                }
                now.stamps = stamps;
            }
        }
        TlsAcceptor::from(Arc::clone(&now.config))
    }
}

fn stamps(named: &Tls) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    [Some(&named.certificates), Some(&named.key), named.client_authorities.as_ref()]
        .into_iter()
        .flatten()
        .map(stamp)
        .collect()
}

fn config(named: &Tls) -> Result<ServerConfig> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let certificates = certificates(&named.certificates, "tls-cert")?;
    let pem = read(&named.key, "tls-key")?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| wrong(&named.key, "tls-key", "there is no private key in it"))?;
    let builder = ServerConfig::builder();
    let builder = match &named.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let authorities = Authorities::read(path)?;
            let mut roots = RootCertStore::empty();
            for certificate in authorities.certificates {
                drop(roots.add(certificate));
            }
            // Whoever shows none may ask for what needs none.
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(path, "client-ca", &error.to_string()))?)
        }
    };
    let fits = builder.with_single_cert(certificates, key);
    let mut config = fits.map_err(|error| wrong(&named.certificates, "tls-cert", &error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path, setting)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|_| wrong(path, setting, "a certificate in it is no PEM"))?;
    if all.is_empty() {
        return Err(wrong(path, setting, "there is no certificate in it"));
    }
    Ok(all)
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>> {
    let about = std::fs::metadata(path).map_err(|error| wrong(path, setting, &error.to_string()))?;
    if about.len() > MAX_FILE_BYTES {
        return Err(wrong(path, setting, "it is over 1 MiB"));
    }
    std::fs::read(path).map_err(|error| wrong(path, setting, &error.to_string()))
}

fn wrong(path: &Path, setting: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("reading {}", path.display()))
        .because(why.to_owned())
        .hint(format!("{setting} names a file in PEM that the service may read"))
}

/// The names in a certificate: of its subject, and its other names.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Vec::new() };
    let subject = &certificate.tbs_certificate.subject;
    let attributes = subject.0.iter().flat_map(|set| set.0.iter()).filter(|attribute| attribute.oid == COMMON_NAME);
    let mut names: Vec<String> = attributes
        .filter_map(|attribute| {
            let value = &attribute.value;
            match value.tag() {
                x509_cert::der::Tag::Utf8String => {
                    value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.to_string())
                }
                x509_cert::der::Tag::PrintableString => {
                    value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.to_string())
                }
                x509_cert::der::Tag::Ia5String => {
                    value.decode_as::<Ia5StringRef<'_>>().ok().map(|text| text.to_string())
                }
                _ => None,
            }
        })
        .collect();
    if let Ok(Some((_, others))) = certificate.tbs_certificate.get::<SubjectAltName>() {
        names.extend(others.0.iter().filter_map(|name| match name {
            GeneralName::DnsName(name)
            | GeneralName::Rfc822Name(name)
            | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
            _ => None,
        }));
    }
    names
}
