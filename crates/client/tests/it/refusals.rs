//! What must not be given: nothing here ends in an address, or in one that leads somewhere else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::machine::{Machine, SECRET, Service, TOKEN, said};
use crate::requests::{ask, get, send};

/// A service that needs no network: the bucket's region is said.
fn service() -> Service {
    Machine::with_keys().serve(&["-v", "-b", "s3://my-bucket?region=eu-west-1"])
}

const AWS: &str = "https://my-bucket.s3.eu-west-1.amazonaws.com/";

#[test]
fn a_request_is_answered_with_an_address_that_nobody_keeps() {
    let service = service();
    for method in ["GET", "HEAD"] {
        let reply = ask(&service, method, "/my-bucket/repo/a.rpm?countme=1&X-Amz-Expires=99999&acl");
        assert_eq!(reply.status, 302);
        assert!(reply.location().starts_with(&format!("{AWS}repo/a.rpm?X-Amz-")), "{reply:?}");
        assert_eq!(reply.parameter("X-Amz-Expires"), "300");
        assert!(!reply.location().contains("countme") && !reply.location().contains("acl"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.body, "");
    }
    let [get, head] =
        ["GET", "HEAD"].map(|method| ask(&service, method, "/my-bucket/a").parameter("X-Amz-Signature").to_owned());
    assert_ne!(get, head, "S3 takes a signature for one method only");
}

#[test]
fn nothing_but_get_and_head_is_signed() {
    let service = service();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "GETS"] {
        let reply = ask(&service, method, "/my-bucket/a");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert!(reply.header("location").is_none());
    }
    for line in ["CONNECT evil.example:443", "OPTIONS *"] {
        let request = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        assert!(send(&service, request.as_bytes()).is_none_or(|reply| reply.status >= 400), "{line}");
    }
}

#[test]
fn a_page_whose_name_leads_here_gets_nothing() {
    let service = service();
    let port = service.address.rsplit(':').next().unwrap().to_owned();
    let with = |line: &str, headers: &str| {
        let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        send(&service, request.as_bytes()).map_or(0, |reply| {
            assert!(reply.status == 302 || reply.header("location").is_none());
            reply.status
        })
    };
    let line = "GET /my-bucket/a";
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "LocalHost".to_owned(), format!("[::1]:{port}")]
    {
        assert_eq!(with(line, &format!("Host: {host}\r\n")), 302, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "0.0.0.0",
        "2130706433",
        "",
    ] {
        let status = with(line, &format!("Host: {host}:{port}\r\n"));
        assert!(status == 421 || status == 400, "{host}: {status}");
    }
    for (line, headers) in [
        (line, ""),
        (line, "Host: 127.0.0.1\r\nHost: evil.example\r\n"),
        ("GET http://evil.example/my-bucket/a", "Host: 127.0.0.1\r\n"),
        ("GET http://127.0.0.1/my-bucket/a", "Host: evil.example\r\n"),
        (line, "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n"),
        (line, "Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n"),
    ] {
        let status = with(line, headers);
        assert!([400, 403, 421].contains(&status), "{line} {headers}: {status}");
    }
    assert_eq!(with("GET http://127.0.0.1/my-bucket/a", "Host: 127.0.0.1\r\n"), 302);
}

#[test]
fn no_path_leads_out_of_the_bucket() {
    let service = service();
    for path in [
        "/my-bucket/../other/a",
        "/my-bucket/a/..",
        "/my-bucket/%2e%2e/other/a",
        "/my-bucket/.%2E/a",
        "/my-bucket/./a",
        "/my-bucket//a",
        "/my-bucket/a//b",
        "/my-bucket/",
        "/my-bucket",
        "/my-bucket/a/",
        "//my-bucket/a",
        "/my-bucket%2Fa",
        "/my-bucket/a%2f..%2fb",
        "/my-bucket/a%5c..%5cb",
        "/my-bucket/a\\..\\b",
        "/my-bucket/a%00",
        "/my-bucket/a%0d%0aX-Evil:%201",
        "/my-bucket/%C0%AE%C0%AE/a",
        "/my-bucket/%FF",
        "/my-bucket/%",
        "/my-bucket/%2",
        "/my-bucket/%u002e",
        "/..%2fmy-bucket/a",
        "/evil.example/a",
        "/my-bucket@evil.example/a",
        "/my-bucket.evil.example/a",
        "/%6dy-bucket/a",
        "/http://evil.example/a",
    ] {
        let reply = get(&service, path);
        assert!([400, 403].contains(&reply.status), "{path}: {reply:?}");
        assert!(reply.header("location").is_none(), "{path}: {reply:?}");
        assert!(reply.header("x-evil").is_none(), "{path}: {reply:?}");
    }
    // Odd, and the key of an object.
    for (path, leads_to) in [
        ("/my-bucket/%252e%252e/a", "%252e%252e/a"),
        ("/my-bucket/evil.example", "evil.example"),
        ("/my-bucket/http:%2520", "http%3A%2520"),
        ("/my-bucket/@evil.example", "%40evil.example"),
        ("/my-bucket/a+b%2Bc%20d~^%5E%25", "a%2Bb%2Bc%20d~%5E%5E%25"),
        ("/my-bucket/...", "..."),
    ] {
        let reply = get(&service, path);
        assert_eq!(reply.location().split('?').next(), Some(format!("{AWS}{leads_to}").as_str()));
    }
}

#[test]
fn what_is_too_long_ends_the_connection_and_not_the_service() {
    let service = service();
    let long = "a".repeat(1025);
    assert_eq!(get(&service, &format!("/my-bucket/{long}")).status, 400);
    let huge = format!("GET /my-bucket/a HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n", "a".repeat(20 << 10));
    let reply = send(&service, huge.as_bytes());
    assert!(reply.is_none_or(|reply| [400, 431].contains(&reply.status)));
    let many = "X: 1\r\n".repeat(2000);
    let reply = send(&service, format!("GET /my-bucket/a HTTP/1.1\r\nHost: 127.0.0.1\r\n{many}\r\n").as_bytes());
    assert!(reply.is_none_or(|reply| [400, 431].contains(&reply.status)));
    let reply = send(&service, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert!(reply.is_none_or(|reply| reply.status == 400));
    assert_eq!(get(&service, "/my-bucket/a").status, 302);
}

#[test]
fn a_body_is_not_taken_for_the_next_request() {
    let service = service();
    let hidden = "GET /other/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for framing in [format!("Content-Length: {}", hidden.len()), "Transfer-Encoding: chunked".to_owned()] {
        let body = if framing.starts_with('C') {
            hidden.to_owned()
        } else {
            format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len())
        };
        let request =
            format!("GET /my-bucket/a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{framing}\r\n\r\n{body}");
        let reply = send(&service, request.as_bytes()).unwrap();
        assert_eq!(reply.status, 302, "{framing}");
        assert!(!reply.body.contains("HTTP/1.1"), "{framing}: {reply:?}");
    }
    let both = "GET /my-bucket/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(send(&service, both.as_bytes()).is_none_or(|reply| reply.body.matches("HTTP/1.1").count() == 0));
    assert!(!service.log().contains("/other"), "{}", service.log());
}

/// As many as may be open, and one more: it waits for its turn, and nothing breaks.
#[test]
fn more_connections_than_there_may_be_wait_for_their_turn() {
    let service = service();
    let open = |_| TcpStream::connect(&service.address).unwrap();
    let mut all: Vec<TcpStream> = (0..300).map(open).collect();
    let request = b"GET /my-bucket/a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    for stream in &mut all {
        stream.write_all(request).unwrap();
    }
    for mut stream in all {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
    }
}

#[test]
fn the_log_has_no_secret_and_no_line_of_others() {
    let mut service = service();
    for path in ["/my-bucket/a", "/my-bucket/a%0aWRONG%1b[31m", "/b%0aad/a", "/my-bucket/a?X-Amz-Signature=1"] {
        get(&service, path);
    }
    let (status, log) = service.stop();
    assert!(status.success());
    for secret in [SECRET, TOKEN, "X-Amz-"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    assert!(log.lines().all(|line| line.starts_with("yrm-client: ")) && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn others_than_this_machine_are_let_in_by_consent_only() {
    let machine = Machine::with_keys();
    let bucket = ["-b", "s3://my-bucket?region=eu-west-1"];
    // No machine has this address (RFC 5737): a program that tried would not get far.
    let output = machine.client(&["serve", "--listen", "192.0.2.1:0"]).args(bucket).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("192.0.2.1:0 is no loopback address"), "{}", said(&output));
    assert!(said(&output).contains("--anywhere allows it"), "{}", said(&output));

    // The last --listen is added to the first, which is a loopback one; by it this test asks.
    let service = machine.serve(&["-b", bucket[1], "--anywhere", "--host", "Signer"]);
    for (host, status) in [("signer:8735", 302), ("10.1.2.3:8735", 302), ("evil.example", 421)] {
        let request = format!("GET /my-bucket/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(send(&service, request.as_bytes()).unwrap().status, status, "{host}");
    }
}
