//! Which `Host` a request may name. A page on the web can have its own name resolve to 127.0.0.1 ("DNS rebinding") and
//! so speak with what listens there, but it cannot make the browser send another host than that name.

use std::net::IpAddr;

use crate::endpoint::host_of;

/// The hosts that requests may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// Names beside `localhost`, in small letters: where others than this machine may ask.
    pub(crate) names: Vec<String>,
    /// Any address of digits may be named, and not only loopback ones. No page's own name is one.
    pub(crate) any_address: bool,
}

impl Hosts {
    /// Whether a request to `host[:port]` is meant for this program.
    pub(crate) fn covers(&self, authority: &str) -> bool {
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        let has_sound_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_bare_ipv6 = authority.matches(':').count() > 1 && !authority.starts_with('[');
        if authority.is_empty() || is_bare_ipv6 || !has_sound_port {
            return false;
        }
        let host = host_of(authority);
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.any_address || address.to_canonical().is_loopback();
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        host == "localhost" || self.names.contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_and_localhost_are_meant_for_us() {
        let hosts = Hosts::default();
        for host in
            ["127.0.0.1:8735", "127.0.0.1", "127.8.8.8:1", "localhost:8735", "LOCALHOST.", "[::1]:8735", "[::1]"]
        {
            assert!(hosts.covers(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8735",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1:8735",
            "[fe80::1]:8735",
            "0.0.0.0:8735",
            "169.254.169.254",
            "127.0.0.1:99999",
            "127.0.0.1:",
            "127.0.0.1:80@evil.example",
            "evil.example/127.0.0.1",
            "::1",
            "2130706433",
            "0x7f.1",
            "xlocalhost",
        ] {
            assert!(!hosts.covers(host), "{host}");
        }
    }

    #[test]
    fn where_others_may_ask_their_names_have_to_be_given() {
        let hosts = Hosts { names: vec!["signer".to_owned()], any_address: true };
        for host in ["signer:8735", "Signer", "10.0.0.1:8735", "[fd00::1]:8735", "localhost"] {
            assert!(hosts.covers(host), "{host}");
        }
        assert!(!hosts.covers("evil.example:8735"));
    }
}
