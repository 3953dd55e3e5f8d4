//! How clients of a private bucket are let in, and by what they reach the service.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::complaint::Complaint;

/// How clients of a private bucket get at it through the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// How they get the bytes.
    pub mode: GatewayMode,
    /// Whom it lets in: any of these. Empty is everybody.
    pub auth: Vec<GatewayAuth>,
}

/// How clients get the bytes of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayMode {
    /// From S3, by an address that is valid for minutes.
    Redirect,
    /// Through the service.
    Stream,
}

/// How somebody shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayAuth {
    /// By a token of the bucket.
    Token,
    /// By a certificate.
    Certificate,
    /// By what AWS says of them.
    Aws,
}

/// Who may look at the history, the schedule and the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiAccess {
    /// Who is on the service's own machine.
    Loopback,
    /// Whom the gateway lets read everything.
    Token,
    /// Whoever reaches the address.
    Public,
}

/// What HTTPS is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates.
    pub certificates: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// The authorities of clients' certificates.
    pub client_authorities: Option<PathBuf>,
}

/// Whether clients get in, and how they get the bytes.
pub(super) fn mode(text: &str) -> Result<Option<GatewayMode>, Complaint> {
    match text {
        "off" => Ok(None),
        "redirect" => Ok(Some(GatewayMode::Redirect)),
        "stream" => Ok(Some(GatewayMode::Stream)),
        _ => Err(Complaint {
            message: format!("{text:?} is no way to let clients in"),
            hint: Some("write off, redirect or stream".to_owned()),
        }),
    }
}

/// Whom the gateway lets in; nothing stands for everybody.
pub(super) fn auth(text: &str) -> Result<Vec<GatewayAuth>, Complaint> {
    let hint = || Some("write none, or some of token, mtls and aws".to_owned());
    let mut all = Vec::new();
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    for word in &words {
        all.push(match *word {
            "none" if words.len() == 1 => return Ok(Vec::new()),
            "token" => GatewayAuth::Token,
            "mtls" => GatewayAuth::Certificate,
            "aws" => GatewayAuth::Aws,
            "none" => {
                return Err(Complaint {
                    message: "none lets everybody in, whatever else is asked for".to_owned(),
                    hint: hint(),
                });
            }
            _ => return Err(Complaint { message: format!("{word:?} shows nobody's rights"), hint: hint() }),
        });
    }
    if all.is_empty() {
        return Err(Complaint { message: "nobody is let in".to_owned(), hint: hint() });
    }
    Ok(all)
}

/// Who may look.
pub(super) fn api_access(text: &str) -> Result<ApiAccess, Complaint> {
    match text {
        "loopback" => Ok(ApiAccess::Loopback),
        "token" => Ok(ApiAccess::Token),
        "public" => Ok(ApiAccess::Public),
        _ => Err(Complaint {
            message: format!("{text:?} says of nobody whether they may look"),
            hint: Some("write loopback, token or public".to_owned()),
        }),
    }
}

/// Who may look where nothing is said: whom the gateway asks who they are is not shown everything without being asked.
pub(super) fn usual_access(gateway: Option<&GatewayConfig>) -> ApiAccess {
    if asks(gateway) { ApiAccess::Token } else { ApiAccess::Public }
}

/// Whether the gateway asks who somebody is.
fn asks(gateway: Option<&GatewayConfig>) -> bool {
    gateway.is_some_and(|gateway| !gateway.auth.is_empty())
}

/// Networks, or single addresses.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, Complaint> {
    let one = |word: &str| {
        let network = word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| Complaint {
            message: format!("{word:?} is no address or network"),
            hint: Some("such as 10.0.0.0/8 or 192.0.2.7".to_owned()),
        })
    };
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(one).collect()
}

/// What does not go together.
pub(super) fn misfit(
    gateway: Option<&GatewayConfig>,
    access: Option<ApiAccess>,
    (certificates, key, authorities): (Option<&PathBuf>, Option<&PathBuf>, Option<&PathBuf>),
) -> Option<(&'static str, Complaint)> {
    let complaint = |message: &str, hint: &str| Complaint { message: message.to_owned(), hint: Some(hint.to_owned()) };
    match (certificates, key) {
        (Some(_), None) => {
            return Some(("tls-cert", complaint("its private key is not named", "name it: tls-key = \"server.key\"")));
        }
        (None, Some(_)) => {
            return Some(("tls-key", complaint("its certificate is not named", "name it: tls-cert = \"server.pem\"")));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if access == Some(ApiAccess::Token) && !asks(gateway) {
        return Some((
            "api-access",
            complaint("no gateway asks anybody for a token", "set gateway and gateway-auth, or write loopback"),
        ));
    }
    let wants = gateway.is_some_and(|gateway| gateway.auth.contains(&GatewayAuth::Certificate));
    if wants && (certificates.is_none() || authorities.is_none()) {
        return Some((
            "gateway-auth",
            complaint(
                "mtls needs HTTPS, and the authorities of clients' certificates",
                "name tls-cert, tls-key and client-ca",
            ),
        ));
    }
    if authorities.is_some() && !wants {
        return Some((
            "client-ca",
            complaint("nobody is asked for a certificate", "add mtls to gateway-auth, or leave client-ca out"),
        ));
    }
    None
}
