//! Where requests come in: a socket that systemd hands over, else one that is opened here. Loopback only, unless
//! somebody says in so many words that others may ask.

use std::net::{SocketAddr, TcpListener};

use crate::complaint::{Complaint, Result};

/// The sockets of systemd (`LISTEN_FDS`), else one for each address.
pub(crate) fn open(addresses: &[SocketAddr], anywhere: bool) -> Result<Vec<TcpListener>> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..handed.len() {
        let socket = handed.take_tcp_listener(number).map_err(|error| {
            Complaint::new(format!("the socket that systemd handed over cannot be used: {error}"))
                .hint("yrm-client.socket needs ListenStream=ADDRESS:PORT")
        })?;
        sockets.extend(socket);
    }
    if sockets.is_empty() {
        for address in addresses {
            // Before it is open: nobody shall get a word in.
            is_allowed(*address, anywhere)?;
            sockets.push(TcpListener::bind(address).map_err(|error| {
                Complaint::new(format!("{address} cannot be listened on: {error}")).hint("--listen takes another port")
            })?);
        }
    }
    for socket in &sockets {
        let unusable = |error: std::io::Error| Complaint::new(format!("a socket cannot be used: {error}"));
        is_allowed(socket.local_addr().map_err(unusable)?, anywhere)?;
        socket.set_nonblocking(true).map_err(unusable)?;
    }
    Ok(sockets)
}

fn is_allowed(address: SocketAddr, anywhere: bool) -> Result<()> {
    if anywhere || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(Complaint::new(format!(
        "{address} is no loopback address: whoever reaches it would read with this machine's rights"
    ))
    .hint("--anywhere allows it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_than_this_machine_are_let_in_by_consent_only() {
        for (address, is_loopback) in [
            ("127.0.0.1:0", true),
            ("127.3.3.3:0", true),
            ("[::1]:0", true),
            ("0.0.0.0:0", false),
            ("[::]:0", false),
            ("192.0.2.1:0", false),
            ("[::ffff:10.0.0.1]:0", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(is_allowed(address, false).is_ok(), is_loopback, "{address}");
            assert!(is_allowed(address, true).is_ok());
        }
    }
}
