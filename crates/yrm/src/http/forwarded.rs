//! Who asks, behind proxies.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// The client's address: what the last proxy says that is not believed itself, where the nearest one is.
pub(super) fn address(nearest: IpAddr, headers: &HeaderMap, trusted: &[ipnet::IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut from = nearest;
    if trusted.is_empty() || !is_trusted(&from) {
        return from;
    }
    let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    for name in named.iter().rev() {
        let Ok(address) = name.parse::<IpAddr>() else { return from };
        from = address;
        if !is_trusted(&from) {
            return from;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_s_address_is_what_trusted_proxies_say() {
        let address = |nearest: &str, forwarded: &[&str], trusted: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            let trusted: Vec<ipnet::IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
            super::address(nearest.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(address("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1", "nobody is believed");
        assert_eq!(address("192.0.2.1", &["198.51.100.7"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["203.0.113.9, 198.51.100.7", "10.0.0.2"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["evil"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(address("::ffff:10.0.0.1", &["2001:db8::7"], &["10.0.0.0/8"]), "2001:db8::7");
    }
}
