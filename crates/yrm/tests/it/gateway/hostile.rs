//! What strangers try at the gateway: none of it gets them anything.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{Place, basic};
use crate::service::Serve;

/// Paths that lead out of `repo/`, or would in another server.
pub(super) const PATHS: [&str; 26] = [
    "/repo/../.yrm/bucket.toml",
    "/repo/%2e%2e/.yrm/bucket.toml",
    "/repo/%2e%2e%2f.yrm%2fbucket.toml",
    "/repo/..%2f.yrm/bucket.toml",
    "/repo/el9/../../.yrm/bucket.toml",
    "/repo/el9/%252e%252e/%252e%252e/.yrm/bucket.toml",
    "/repo/..;/.yrm/bucket.toml",
    "/repo/.%2e/.yrm/bucket.toml",
    "/repo/%c0%ae%c0%ae/.yrm/bucket.toml",
    "/repo/\\..\\.yrm\\bucket.toml",
    "/repo/..%5c.yrm%5cbucket.toml",
    "/repo//.yrm/bucket.toml",
    "/repo/./.yrm/bucket.toml",
    "/repo/.yrm/bucket.toml",
    "/.yrm/bucket.toml",
    "/inbox/secret-1.rpm",
    "/quarantine/secret-1.rpm",
    "/repo/../inbox/secret-1.rpm",
    "/repo/%00/../../inbox/secret-1.rpm",
    "/repo/el9/a-1.rpm%00.asc",
    "/repo/el9/a-1.rpm%0d%0aX-Evil:%201",
    "/repo/%2fetc/passwd",
    "//repo/../../etc/passwd",
    "/repo?/../.yrm/bucket.toml",
    "/repo/el9/.hidden",
    "/REPO/el9/a-1.rpm",
];

/// What is answered to this, byte by byte.
pub(super) fn raw(service: &Serve, request: &str) -> String {
    raw_at(service.address(), request)
}

fn raw_at(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A GET with this authorization.
pub(super) fn get(service: &Serve, path: &str, more: &str) -> String {
    get_at(service.address(), path, more)
}

/// The same of whoever has this address.
pub(super) fn get_at(address: &str, path: &str, more: &str) -> String {
    raw_at(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n"))
}

#[test]
fn no_path_leads_out_of_the_repositories() {
    let place = Place::new();
    place.publish("el9", "a");
    fs::create_dir_all(place.path().join("bucket/quarantine")).unwrap();
    for folder in ["inbox", "quarantine"] {
        fs::write(place.path().join("bucket").join(folder).join("secret-1.rpm"), "secret").unwrap();
    }
    fs::write(place.path().join("bucket/repo/el9/.hidden"), "secret").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path().join("bucket/repo/el9/link.rpm")).unwrap();
    let token = place.token("all", &["admin"]);
    let service = place.serve(&[]);
    let authorization = format!("Authorization: {}\r\n", basic("token", &token));
    assert!(get(&service, "/repo/el9/a-1.rpm", &authorization).starts_with("HTTP/1.1 200"));
    for path in PATHS.into_iter().chain(["/repo/el9/link.rpm"]) {
        for more in [authorization.as_str(), ""] {
            let answer = get(&service, path, more);
            let status = answer.split(' ').nth(1).unwrap_or("closed").to_owned();
            assert!(matches!(status.as_str(), "400" | "401" | "404" | "closed"), "{path}: {answer}");
            assert!(
                !answer.contains("schema") && !answer.contains("secret") && !answer.contains("root:"),
                "{path}: {answer}"
            );
            assert!(!answer.to_ascii_lowercase().contains("x-evil"), "{path}: {answer}");
        }
    }
}

#[test]
fn requests_that_are_made_up_get_nothing_and_leave_nothing() {
    let place = Place::new();
    place.publish("", "a");
    let token = place.token("all", &["read"]);
    let log = place.path().join("access.log");
    let service = place.serve(&["--access-log", log.to_str().unwrap()]);
    let authorization = format!("Authorization: {}", basic("token", &token));
    let host = format!("Host: {}", service.address());
    let (path, close) = ("/repo/a-1.rpm", "Connection: close");
    // Two lengths: what follows is no second request of somebody else's.
    let smuggled = format!(
        "POST {path} HTTP/1.1\r\n{host}\r\n{authorization}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /repo/a-1.rpm HTTP/1.1\r\n{host}\r\n{authorization}\r\n{close}\r\n\r\n"
    );
    let answer = raw(&service, &smuggled);
    assert!(!answer.contains("200 OK"), "{answer}");
    for (request, statuses) in [
        (format!("GET {path} HTTP/1.1\r\n{host}\r\n{close}\r\nAuthorization: Basic\r\n\r\n"), &["401"][..]),
        (
            format!("GET {path} HTTP/1.1\r\n{host}\r\n{close}\r\nAuthorization: Basic {}\r\n\r\n", "A".repeat(12_000)),
            &["401"],
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}\r\n{close}\r\n{authorization}\r\nX: {}\r\n\r\n", "A".repeat(70_000)),
            &["431", "400", ""],
        ),
        (format!("PUT {path} HTTP/1.1\r\n{host}\r\n{close}\r\n{authorization}\r\nContent-Length: 0\r\n\r\n"), &["405"]),
        (format!("DELETE {path} HTTP/1.1\r\n{host}\r\n{close}\r\n{authorization}\r\n\r\n"), &["405"]),
        (format!("TRACE {path} HTTP/1.1\r\n{host}\r\n{close}\r\n{authorization}\r\n\r\n"), &["405"]),
        (
            format!("CONNECT evil.example.org:443 HTTP/1.1\r\n{host}\r\n{close}\r\n{authorization}\r\n\r\n"),
            &["404", "405", "400"],
        ),
        (format!("GET http://evil.example.org{path} HTTP/1.1\r\n{host}\r\n{close}\r\n\r\n"), &["401"]),
        (format!("GET {path}?token={token} HTTP/1.1\r\n{host}\r\n{close}\r\n\r\n"), &["401"]),
        (format!("GET {path} HTTP/1.1\r\n{host}\r\n{close}\r\nCookie: token={token}\r\n\r\n"), &["401"]),
        (
            format!(
                "GET {path} HTTP/1.1\r\n{host}\r\n{close}\r\nX-Forwarded-User: admin\r\nX-Original-URL: /repo/a-1.rpm\r\n\r\n"
            ),
            &["401"],
        ),
    ] {
        let answer = raw(&service, &request);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{request:.200}: {answer}");
    }
    // A name of another host leads nobody there.
    let answer = get(&service, "/repo/none", &format!("{authorization}\r\nHost: evil.example.org\r\n"));
    assert!(!answer.contains("evil.example.org"), "{answer}");
    // What a client says of itself cannot make a line of the log.
    drop(get(
        &service,
        "/repo/a-1.rpm",
        &format!("{authorization}\r\nUser-Agent: x\" 200 0 \"-\r\nReferer: https://x/?password=hidden\r\n"),
    ));
    let lines = super::logged(&log);
    assert!(lines.lines().all(|line| line.starts_with("127.0.0.1 - ")), "{lines}");
    assert!(!lines.contains("hidden") && !lines.contains(&token) && lines.contains("x\\x22 200 0 \\x22-"), "{lines}");
}
