//! Requests as bytes, for what no client would send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::machine::Service;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase()));
        self.head.lines().find(named).map(|line| line[name.len() + 1..].trim())
    }

    /// The presigned address.
    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no address: {self:?}"))
    }

    /// A parameter of the presigned address, as it stands there.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let (_, query) = self.location().split_once('?').unwrap();
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// Whose access key signed.
    pub(crate) fn signed_by(&self) -> &str {
        self.parameter("X-Amz-Credential").split("%2F").next().unwrap()
    }
}

/// Sends these bytes, and reads until the other side closes.
pub(crate) fn send(service: &Service, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // It may close before all is sent: then what it said counts.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

/// An ordinary request.
pub(crate) fn ask(service: &Service, method: &str, path: &str) -> Reply {
    let host = &service.address;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    send(service, request.as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

pub(crate) fn get(service: &Service, path: &str) -> Reply {
    ask(service, "GET", path)
}
