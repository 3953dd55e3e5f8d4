//! dnf, zypper and curl, as they are, on a bucket that nobody else may read.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::machine::{Machine, SECRET, Service, TOKEN, made_for_tests, said, succeed};
use crate::repository::{BUCKET, FILES, folder};
use crate::requests::get;
use crate::store::Store;

/// A machine whose service reads a repository.
struct Reader {
    machine: Machine,
    service: Service,
    store: Store,
    files: TempDir,
    root: TempDir,
}

impl Reader {
    fn new() -> Self {
        let files = folder();
        let store = Store::of(BUCKET, files.path());
        let machine = Machine::with_keys();
        let bucket = format!("s3://{BUCKET}");
        let mut flags = vec!["--verbose", "--bucket", &bucket];
        flags.extend(store.flags());
        let service = machine.serve(&flags);
        Self { machine, service, store, files, root: TempDir::new().unwrap() }
    }

    /// Puts the repository file of `yrm-client repo` there.
    fn configure(&self, folder: &Path, bucket: &str) {
        let arguments =
            ["repo", "--bucket", bucket, "--name", "private", "--unsigned", "--listen", &self.service.address];
        let file = succeed(&mut self.machine.client(&arguments));
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("private.repo"), file.stdout).unwrap();
    }

    fn dnf(&self, bucket: &str, arguments: &[&str]) -> Output {
        let repositories = self.root.path().join("repos");
        self.configure(&repositories, bucket);
        let mut dnf = Command::new("dnf");
        dnf.args(["-y", "--releasever=1", "--disableplugin=*", "--repo=private", "--setopt=*.retries=1"]);
        dnf.arg(format!("--setopt=reposdir={}", repositories.display()));
        dnf.arg(format!("--setopt=cachedir={}", self.root.path().join("cache").display()));
        dnf.arg(format!("--installroot={}", self.root.path().join("root").display()));
        dnf.args(arguments).output().unwrap()
    }

    fn installed(&self, file: &str) -> bool {
        self.root.path().join("root/opt").join(file).exists()
    }

    /// No secret is in what the service said.
    fn keeps_secrets(mut self) {
        let (status, log) = self.service.stop();
        assert!(status.success(), "{status}");
        assert!(log.contains(&format!("GET /{BUCKET}/repo/repodata/repomd.xml 302")), "{log}");
        for secret in [SECRET, TOKEN, "X-Amz-Signature", "X-Amz-Security-Token", "SESSION"] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

#[test]
fn dnf_installs_a_package_and_what_it_needs() {
    let reader = Reader::new();
    let bucket = format!("s3://{BUCKET}");
    for arguments in [&["makecache"][..], &["install", "app"], &["install", "odd"]] {
        let output = reader.dnf(&bucket, arguments);
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!(reader.installed("app") && reader.installed("lib++") && reader.installed("odd"));
    let asked = reader.store.requests();
    assert!(
        asked.iter().any(|line| line.starts_with(&format!("GET /{BUCKET}/repo/lib++-1.0-1.noarch.rpm?"))),
        "{asked:?}"
    );
    reader.keeps_secrets();
}

#[test]
fn a_repository_below_a_prefix_with_odd_letters_is_one_too() {
    let mut reader = Reader::new();
    let below = reader.files.path().join("team a+b%~/repo");
    std::fs::create_dir_all(below.parent().unwrap()).unwrap();
    succeed(Command::new("cp").arg("-r").arg(reader.files.path().join("repo")).arg(&below));
    reader.store = Store::of(BUCKET, reader.files.path());
    let bucket = format!("s3://{BUCKET}/team a+b%~");
    reader.service = reader.machine.serve(&[&["--verbose", "-b", &bucket][..], &reader.store.flags()].concat());
    let output = reader.dnf(&bucket, &["install", "app"]);
    assert!(output.status.success(), "{}\n{}", said(&output), reader.service.log());
    assert!(reader.installed("app") && reader.installed("lib++"));
}

#[test]
fn zypper_installs_a_package_and_what_it_needs() {
    let reader = Reader::new();
    let root = reader.root.path().join("root");
    reader.configure(&root.join("etc/zypp/repos.d"), &format!("s3://{BUCKET}"));
    for arguments in [&["refresh"][..], &["install", "app"], &["install", "odd"]] {
        let mut zypper = Command::new(made_for_tests("zypper/run"));
        zypper.args(["--non-interactive", "--no-gpg-checks", "--root"]).arg(&root).args(arguments);
        succeed(&mut zypper);
    }
    assert!(reader.installed("app") && reader.installed("lib++") && reader.installed("odd"));
    reader.keeps_secrets();
}

fn curl(arguments: &[&str]) -> Output {
    succeed(
        Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--location", "--noproxy", "*"])
            .args(arguments),
    )
}

#[test]
fn every_spelling_of_a_name_gives_the_same_bytes() {
    let reader = Reader::new();
    for file in FILES {
        let bytes = std::fs::read(reader.files.path().join(file)).unwrap();
        // As zypper spells it, as dnf does, and as who encodes everything.
        let sparing: String = file.replace('%', "%25").replace(' ', "%20").replace('^', "%5E");
        let dnf = sparing.replace('+', "%2b").replace("%5E", "%5e");
        let all: String =
            file.bytes().map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") }).collect();
        for spelled in [&sparing, &dnf, &all] {
            let url = format!("http://{}/{BUCKET}/{spelled}", reader.service.address);
            assert!(curl(&[&url]).stdout == bytes, "{spelled}");
            let head = curl(&["--head", &url]);
            let length = format!("content-length: {}", bytes.len());
            assert!(said(&head).to_lowercase().contains(&length), "{spelled}: {}", said(&head));
        }
    }
}

#[test]
fn a_download_that_was_cut_goes_on_where_it_was() {
    let reader = Reader::new();
    let bytes = std::fs::read(reader.files.path().join(FILES[1])).unwrap();
    let half = reader.machine.home.path().join("half.rpm");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let url = format!("http://{}/{BUCKET}/{}", reader.service.address, FILES[1]);
    let report = curl(&[
        "--continue-at",
        "-",
        "--output",
        half.to_str().unwrap(),
        "--write-out",
        "%{http_code} %{size_download}",
        &url,
    ]);
    assert_eq!(said(&report), format!("206 {}", bytes.len() - bytes.len() / 2));
    assert!(std::fs::read(&half).unwrap() == bytes);

    let tag = said(&curl(&["--head", "--write-out", "%header{etag}", "--output", "/dev/null", &url]));
    let unchanged = curl(&["--header", &format!("If-None-Match: {tag}"), "--write-out", "%{http_code}", &url]);
    assert_eq!(said(&unchanged), "304", "conditions are the client's own");
}

#[test]
fn another_bucket_is_refused_in_words_and_dnf_names_it() {
    let reader = Reader::new();
    let reply = get(&reader.service, "/other-bucket/repo/repodata/repomd.xml");
    assert_eq!(reply.status, 403);
    assert_eq!(
        reply.body,
        format!(
            "the bucket \"other-bucket\" is not allowed here, only s3://{BUCKET}; YRM_CLIENT_BUCKETS in \
             /etc/yrm-client.conf, or --bucket, allows more\n"
        )
    );
    let output = reader.dnf("s3://other-bucket", &["install", "app"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("Status code: 403 for http://127.0.0.1:"), "{}", said(&output));
    let log = reader.service.log();
    assert_eq!(log.matches("the bucket \"other-bucket\" is not allowed").count(), 1, "{log}");
}

#[test]
fn two_buckets_and_a_prefix_are_signed_for_and_nothing_beside_them() {
    let files = folder();
    let store = Store::of("one", files.path());
    let machine = Machine::with_keys();
    let mut flags = vec!["-b", "s3://one", "-b", "s3://two/team,s3://two/other/"];
    flags.extend(store.flags());
    let service = machine.serve(&flags);
    for (path, status) in [
        ("/one/repo/a.rpm", 302),
        ("/two/team/repo/a.rpm", 302),
        ("/two/other/a.rpm", 302),
        ("/two/team", 403),
        ("/two/teamwork/a.rpm", 403),
        ("/two/repo/a.rpm", 403),
        ("/One/repo/a.rpm", 403),
        ("/three/a.rpm", 403),
        // zypper asks for it, and would take S3's 403 for the end.
        ("/one/repo/media.1/media", 404),
        ("/one/media.1/media", 404),
        ("/one/repo/multimedia.1/media", 302),
    ] {
        assert_eq!(get(&service, path).status, status, "{path}");
    }
    assert_eq!(
        get(&service, "/").body,
        format!("yrm-client {} signs for s3://one, s3://two/team, s3://two/other\n", env!("CARGO_PKG_VERSION"))
    );
}
