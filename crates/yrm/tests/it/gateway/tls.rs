//! HTTPS with a certificate that changes, and clients that show one of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, said};

/// An authority, a certificate for 127.0.0.1 and one for a client, as openssl makes them.
struct Authority(PathBuf);

impl Authority {
    fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let authority = Self(folder.to_owned());
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        authority
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", said(&output));
    }

    fn issue(&self, name: &str, subject: &str, other: &str) {
        fs::write(self.0.join("other.cnf"), format!("subjectAltName={other}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={subject} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -extfile other.cnf -out {name}.pem"
        ));
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// The status that curl gets, with these arguments.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_certificate_of_the_client_authority_lets_in_whom_its_names_say() {
    let place = Place::new();
    place.json(&["settings", "set", "repositories", "per-folder"]);
    place.publish("el9", "a");
    let ours = Authority::new(&place.path().join("ours"));
    ours.issue("server", "server", "IP:127.0.0.1");
    ours.issue("host", "host-7", "DNS:host-7.example.org");
    ours.issue("other", "somebody", "DNS:somebody.example.org");
    let theirs = Authority::new(&place.path().join("theirs"));
    theirs.issue("host", "host-7", "DNS:host-7.example.org");
    place.json(&["token", "create", "named", "--scope", "read", "--certificate", "nobody"]);
    place.json(&["token", "create", "hosts", "--scope", "read:el9", "--certificate", "host-*.example.org"]);
    let (certificate, key, authority) = (ours.path("server.pem"), ours.path("server.key"), ours.path("ca.pem"));
    let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--client-ca", &authority];
    let service = place.serve(&[&["--gateway-auth", "mtls,token"][..], &tls].concat());
    let url = format!("https://{}/repo/el9/repodata/repomd.xml", service.address());
    let trusting = ["--cacert", &authority];
    let with = |authority: &Authority, name: &str| {
        let (certificate, key) = (authority.path(&format!("{name}.pem")), authority.path(&format!("{name}.key")));
        curl(&[&trusting[..], &["--cert", &certificate, "--key", &key, &url]].concat())
    };
    assert_eq!(with(&ours, "host"), "200");
    assert_eq!(with(&ours, "other"), "401");
    assert_eq!(with(&theirs, "host"), "000", "the handshake fails");
    assert_eq!(curl(&[&trusting[..], &[&url]].concat()), "401");
    assert_eq!(curl(&[&trusting[..], &[&url.replace("/repo/el9/repodata/repomd.xml", "/livez")]].concat()), "200");
    let plain = url.replace("https://", "http://");
    assert_eq!(curl(&[&plain]), "000", "nothing is answered without TLS");
    let token = place.token("password", &["read"]);
    // What was listed a moment ago is not listed again.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(curl(&[&trusting[..], &["--user", &format!("token:{token}"), &url]].concat()), "200");
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
    let place = Place::new();
    place.publish("", "a");
    let (first, second) = (Authority::new(&place.path().join("first")), Authority::new(&place.path().join("second")));
    for authority in [&first, &second] {
        authority.issue("server", "server", "IP:127.0.0.1");
    }
    let (certificate, key) = (place.path().join("server.pem"), place.path().join("server.key"));
    let install = |authority: &Authority| {
        fs::copy(authority.path("server.key"), &key).unwrap();
        fs::copy(authority.path("server.pem"), &certificate).unwrap();
    };
    install(&first);
    let tls =
        ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap(), "--gateway-auth", "none"];
    let service = place.serve(&tls);
    let url = format!("https://{}/repo/repodata/repomd.xml", service.address());
    let by = |authority: &Authority| curl(&["--cacert", &authority.path("ca.pem"), &url]);
    assert_eq!((by(&first), by(&second)), ("200".to_owned(), "000".to_owned()));
    install(&second);
    let began = std::time::Instant::now();
    while by(&second) != "200" {
        assert!(began.elapsed().as_secs() < 60, "the new certificate is not used");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    fs::write(&certificate, "damaged").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(11));
    assert_eq!(by(&second), "200");
    drop(service);
    for (arguments, why) in [
        (&["--tls-cert", "missing.pem", "--tls-key", "missing.key"][..], "missing.pem"),
        (&["--tls-cert", "server.pem"], "its private key is not named"),
        (&["--gateway", "redirect", "--gateway-auth", "mtls"], "mtls needs HTTPS"),
        (&["--gateway", "redirect", "--gateway-auth", "none,token"], "none lets everybody in"),
        (&["--gateway", "redirect", "--client-ca", "ca.pem"], "nobody is asked for a certificate"),
        (&["--api-access", "token"], "no gateway asks anybody for a token"),
        (&["--api-access", "friends"], "says of nobody whether they may look"),
        (&["--gateway", "proxy"], "write off, redirect or stream"),
        (&["--trusted-proxies", "everybody"], "is no address or network"),
    ] {
        let output = place.yrm(&[&["serve", "--listen", "127.0.0.1:0"][..], arguments].concat());
        assert!(output.status.code() == Some(2) && said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
}
