//! What this program asks of others: the SDK's calls for credentials, and a few requests of its own. One HTTP client,
//! with the machine's certificate authorities and those of `AWS_CA_BUNDLE`, by way of `HTTPS_PROXY` but for `NO_PROXY`.
//!
//! No proxy is asked for credentials of the machine itself: a metadata service answers whoever is one hop away.

use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Body as _;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::complaint::{Complaint, Result, chain};
use crate::endpoint::host_of;

/// A bundle of all authorities there are has a quarter of a megabyte.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;
/// No answer that is read here is longer: errors, and who is asking.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How long one of our own requests may take to connect, and in all.
const CONNECT: Duration = Duration::from_secs(5);
const IN_ALL: Duration = Duration::from_secs(15);

/// What a server said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
impl Answer {
    pub(crate) fn of(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }
}

/// The client for everything that this program asks.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    believed: TlsContext,
    /// The host of `AWS_EC2_METADATA_SERVICE_ENDPOINT`, where that is set.
    metadata_host: Option<String>,
    made: Arc<Mutex<Vec<(Timeouts, SharedHttpConnector)>>>,
}

type Timeouts = (Option<Duration>, Option<Duration>);

impl Outgoing {
    /// It believes the machine's authorities, and those in a file.
    pub(crate) fn new(authorities: Option<&Path>) -> Result<Self> {
        let store = TrustStore::default();
        let store = match authorities {
            Some(path) => read_authorities(path)?.iter().fold(store, |all, one| all.with_pem_certificate(pem(one))),
            None => store,
        };
        let believed = TlsContext::builder().with_trust_store(store).build();
        let believed =
            believed.map_err(|error| Complaint::new(format!("HTTPS cannot be prepared: {}", chain(&error))))?;
        let metadata = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").ok();
        Ok(Self { believed, metadata_host: metadata.as_deref().and_then(host), made: Arc::default() })
    }

    /// Asks; an answer of any status is one.
    pub(crate) async fn ask(&self, method: &str, address: &str, headers: &[(&'static str, String)]) -> Result<Answer> {
        let failed = |why: &str| {
            let whom = host(address).unwrap_or_default();
            Complaint::new(format!("{whom} cannot be reached: {why}"))
        };
        let mut request = HttpRequest::get(address).map_err(|error| failed(&chain(&error)))?;
        request.set_method(method).map_err(|error| failed(&chain(&error)))?;
        request.headers_mut().insert("user-agent", concat!("yrm-client/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.clone());
        }
        let connector = self.connector((Some(CONNECT), Some(IN_ALL)));
        let asked = async {
            let response = connector.call(request).await.map_err(|error| failed(&chain(&error)))?;
            read(response).await.map_err(|why| failed(&why))
        };
        tokio::time::timeout(IN_ALL, asked).await.unwrap_or_else(|_| Err(failed("there is no answer in time")))
    }

    fn connector(&self, timeouts: Timeouts) -> SharedHttpConnector {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = made.iter().find(|(of, _)| *of == timeouts) {
            return connector.clone();
        }
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.0).set_read_timeout(timeouts.1);
        let connector = SharedHttpConnector::new(TwoWays {
            settings: settings.build(),
            believed: self.believed.clone(),
            metadata_host: self.metadata_host.clone(),
            direct: OnceLock::new(),
            outward: OnceLock::new(),
        });
        made.push((timeouts, connector.clone()));
        connector
    }
}

impl HttpClient for Outgoing {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector((settings.connect_timeout(), settings.read_timeout()))
    }
}

/// To the machine itself without a proxy and without TLS, and outward with both. Each is made when it is needed:
/// reading the machine's authorities takes milliseconds and megabytes.
#[derive(Debug)]
struct TwoWays {
    settings: HttpConnectorSettings,
    believed: TlsContext,
    metadata_host: Option<String>,
    direct: OnceLock<Connector>,
    outward: OnceLock<Connector>,
}

impl HttpConnector for TwoWays {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_near(request.uri(), self.metadata_host.as_deref()) {
            let made = || Connector::builder().connector_settings(self.settings.clone()).build_http();
            return self.direct.get_or_init(made).call(request);
        }
        let made = || {
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(self.believed.clone())
                .connector_settings(self.settings.clone())
                .proxy_config(ProxyConfig::from_env())
                .build()
        };
        self.outward.get_or_init(made).call(request)
    }
}

/// Whether an address is this machine's, or its metadata service's (EC2, ECS, EKS).
fn is_near(address: &str, metadata_host: Option<&str>) -> bool {
    let Some(host) = host(address).filter(|_| address.starts_with("http://")) else { return false };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0xec2]
        }
        Err(_) => host == "localhost" || Some(host.as_str()) == metadata_host,
    }
}

/// The host that an address names.
fn host(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(host_of(authority).to_ascii_lowercase()).filter(|host| !host.is_empty())
}

async fn read(response: HttpResponse) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let headers = response.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut body = pin!(response.into_body());
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER_BYTES {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        match frame {
            None => break,
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..])),
        }
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The authorities of a file. It has to hold at least one: whoever names a file wants it to count.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: &str| {
        Complaint::new(format!("the certificate authorities in {} cannot be used: {why}", path.display()))
            .hint("AWS_CA_BUNDLE, or ca_bundle of the AWS profile, names a file with certificates in PEM")
    };
    let length = std::fs::metadata(path).map_err(|error| wrong(&error.to_string()))?.len();
    if length > MAX_BUNDLE_BYTES {
        return Err(wrong("it is over 16 MiB"));
    }
    let text = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let mut found = found.map_err(|_| wrong("a certificate in it is no PEM"))?;
    // The SDK's client panics at one that TLS does not take. Of the machine's own such are left out, too.
    let mut roots = RootCertStore::empty();
    found.retain(|certificate| roots.add(certificate.clone()).is_ok());
    if found.is_empty() { Err(wrong("there is no authority's certificate in it")) } else { Ok(found) }
}

/// As the SDK wants it.
fn pem(certificate: &CertificateDer<'_>) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_asked_for_the_machines_own_credentials() {
        for address in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://localhost:8080/creds",
            "http://127.0.0.1:1338/latest",
            "http://imds.example:1338/latest",
        ] {
            assert!(is_near(address, Some("imds.example")), "{address}");
        }
        for address in [
            "https://sts.eu-west-1.amazonaws.com/",
            "http://imds.example/",
            "http://[fd00:ec3::1]/",
            "http://169.254.169.254.example/",
            "https://127.0.0.1/",
        ] {
            assert!(!is_near(address, None), "{address}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(Outgoing::new(Some(&path)).unwrap_err().what().contains("ca.pem"));
        for (text, why) in [
            ("", "no authority's certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no authority's certificate"),
            ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", "no PEM"),
        ] {
            std::fs::write(&path, text).unwrap();
            let complaint = Outgoing::new(Some(&path)).unwrap_err();
            assert!(complaint.what().contains(why), "{complaint}");
        }
    }
}
