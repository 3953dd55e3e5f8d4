//! dnf through the gateway of a directory bucket, with what `yrm client config` prints.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::{Place, dnf, repo_file, said};

#[test]
fn dnf_installs_through_the_gateway_with_a_token_and_not_without() {
    let place = Place::new();
    place.publish_samples("");
    let token = place.path().join("token");
    fs::write(&token, place.token("machine", &["read"])).unwrap();
    let service = place.serve(&[]);
    let url = format!("http://{}/repo", service.address());
    let let_in = repo_file(&place, &url, &["--token-file", token.to_str().unwrap()]);
    let folder = place.path().join("client");
    let output = dnf(&folder, &let_in, &["greeter", "libgreet++"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        folder.join("root/usr/share/greeter/words").exists()
            && folder.join("root/usr/share/libgreet++/version").exists()
    );
    let output = dnf(&place.path().join("stranger"), &repo_file(&place, &url, &[]), &["greeter"]);
    assert!(!output.status.success() && said(&output).contains("401"), "{}", said(&output));

    let check = place.json(&["client", "check", &url, "--token-file", token.to_str().unwrap()]);
    let steps: Vec<(&str, &str)> = check["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["verdict"].as_str().unwrap()))
        .collect();
    let expected = ["repomd.xml", "repomd.xml.asc", "package lists", "a package", "names with +"];
    assert_eq!(steps, expected.map(|step| (step, "ok")), "{check:#}");
    let output = place.yrm(&["client", "check", &url]);
    assert!(!output.status.success() && said(&output).contains("create a token"), "{}", said(&output));
}

#[test]
fn the_file_for_clients_is_all_that_dnf_needs() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/repo"));
    let made =
        super::yrm(place.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]).output();
    assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    let with = ["--public-url", &url, "--signing-key", "signing.key", "--key-name", "ours"];
    for sample in super::samples() {
        place.json(&["publish", sample.to_str().unwrap()]);
    }
    let service = ["serve", "--listen", &address, "--time-interval", "1s", "--log-format", "json"];
    let service = super::Serve::spawn(&mut place.command(&[&service[..], &with].concat()));
    let began = std::time::Instant::now();
    let file = place.path().join("bucket/repo/ours.repo");
    while !file.exists() {
        assert!(began.elapsed().as_secs() < 30, "there is no {}", file.display());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("repo_gpgcheck=1"), "{text}");
    let output = dnf(&place.path().join("client"), &text, &["greeter", "libgreet++"]);
    assert!(output.status.success(), "{}", said(&output));
    drop(service);
}

/// A repository that says what it was asked with.
fn eavesdropper() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sender, heard) = channel();
    let address = format!("http://{}/repo", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut lines) = (String::new(), BufReader::new(stream.try_clone().unwrap()));
            while !request.ends_with("\r\n\r\n") && lines.read_line(&mut request).unwrap() > 0 {}
            let body = "<repomd><revision>1</revision></repomd>";
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .unwrap();
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

#[test]
fn client_check_sends_the_token_to_the_repository_and_to_no_key() {
    let place = Place::new();
    let token = place.path().join("token");
    fs::write(&token, "yrm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let (url, heard) = eavesdropper();
    // Its address begins like the repository's, as that of another host may.
    let key = format!("{url}.evil/key");
    drop(place.yrm(&["client", "check", &url, "--token-file", token.to_str().unwrap(), "--gpgkey", &key]));
    let asked: Vec<String> = heard.try_iter().collect();
    let carries = |path: &str| {
        let found = asked.iter().find(|head| head.starts_with(&format!("GET {path} "))).unwrap();
        found.to_ascii_lowercase().contains("authorization:")
    };
    assert_eq!((carries("/repo/repodata/repomd.xml"), carries("/repo.evil/key")), (true, false), "{asked:?}");
}

/// What every tool is told is what it understands.
#[test]
fn client_config_prints_what_each_program_reads() {
    let place = Place::new();
    let token = place.path().join("token");
    fs::write(&token, "yrm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let with = [
        "--url",
        "https://packages.example.org/repo/el9",
        "--name",
        "ours",
        "--gpgkey",
        "https://packages.example.org/repo/RPM-GPG-KEY-ours",
    ];
    let secret = ["--token-file", token.to_str().unwrap()];
    let config = |tool: &str, more: &[&str]| place.json(&[&["client", "config", tool][..], &with, more].concat());
    let text =
        |tool: &str, more: &[&str], at: usize| config(tool, more)["files"][at]["text"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(text("dnf", &secret, 0), @"
    [ours]
    name=ours
    baseurl=https://packages.example.org/repo/el9
    enabled=1
    gpgcheck=0
    repo_gpgcheck=1
    gpgkey=https://packages.example.org/repo/RPM-GPG-KEY-ours
    username=token
    password=yrm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    ");
    assert_eq!(config("dnf", &secret)["files"][0]["mode"], "0600");
    assert_eq!(config("dnf", &[])["files"][0]["mode"], "0644");
    insta::assert_snapshot!(text("zypper", &secret, 0), @"
    [ours]
    name=ours
    baseurl=https://packages.example.org/repo/el9?credentials=ours
    enabled=1
    gpgcheck=0
    repo_gpgcheck=1
    gpgkey=https://packages.example.org/repo/RPM-GPG-KEY-ours
    autorefresh=1
    ");
    insta::assert_snapshot!(text("zypper", &secret, 1), @"
    username=token
    password=yrm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    ");
    // The tools' own parsers take it.
    let python = crate::workspace::python();
    for (tool, code) in [
        (
            "ansible",
            "task, = yaml.safe_load(text); assert task['ansible.builtin.yum_repository']['password'] == '{{ yrm_token }}' and task['no_log'] is True",
        ),
        (
            "cloud-init",
            "repo = yaml.safe_load(text)['yum_repos']['ours']; assert repo['baseurl'].endswith('/el9') and repo['password'].startswith('yrm_')",
        ),
    ] {
        let file = place.path().join("text");
        fs::write(&file, text(tool, &secret, 0)).unwrap();
        let code = format!("import sys, yaml; text = open(sys.argv[1]).read(); {code}");
        let output = std::process::Command::new(&python).args(["-c", &code]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{tool}: {}", said(&output));
    }
    let dockerfile = text("dockerfile", &secret, 0);
    assert!(dockerfile.contains("--mount=type=secret,id=yrm") && !dockerfile.contains("yrm_AAAA"), "{dockerfile}");
    assert!(!text("ansible", &secret, 0).contains("yrm_AAAA"));
    for bad in [&["--url", "https://a:b@x/repo"][..], &["--url", "x"], &["--url", "https://x/repo", "--name", "a b"]] {
        let output = place.yrm(&[&["client", "config", "dnf"][..], bad].concat());
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
    }
}
