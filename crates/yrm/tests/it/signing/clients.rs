//! dnf with `repo_gpgcheck=1`, and the keys as `yrm key` makes and turns them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::gpg::Gpg;
use crate::cli::yrm;

/// `yrm` in `folder`; what it printed as JSON.
pub(super) fn json(command: &mut Command) -> Value {
    let output = command.args(["--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A machine that installs from one repository and takes no package list without a good signature.
pub(super) struct Client(TempDir);

impl Client {
    pub(super) fn new(base: &str, key_name: &str) -> Self {
        Self::of(&format!("baseurl={base}"), &format!("{base}/RPM-GPG-KEY-{key_name}"))
    }

    /// One that finds the repository by this line of its configuration, and the key at this address.
    pub(super) fn of(source: &str, key: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("repos")).unwrap();
        let repo = format!(
            "[ours]\nname=ours\n{source}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\n\
             skip_if_unavailable=0\ngpgkey={key}\n"
        );
        std::fs::write(folder.path().join("repos/ours.repo"), repo).unwrap();
        Self(folder)
    }

    /// One that takes no package without a good signature either.
    pub(super) fn of_signed_packages(base: &str, key_name: &str) -> Self {
        let client = Self::new(base, key_name);
        let file = client.0.path().join("repos/ours.repo");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\ngpgcheck=0\n", "\ngpgcheck=1\n")).unwrap();
        client
    }

    pub(super) fn dnf(&self, arguments: &[&str]) -> Output {
        let folder = self.0.path().display();
        let mut command = Command::new("dnf");
        command.args(["--assumeyes", "--quiet", "--releasever=1", "--disableplugin=*"]).env("LC_ALL", "C");
        command.arg(format!("--installroot={folder}/root")).arg(format!("--setopt=reposdir={folder}/repos"));
        command.arg(format!("--setopt=cachedir={folder}/cache")).args(["--setopt=ours.retries=1"]);
        command.args(arguments).output().unwrap()
    }

    pub(super) fn assert_reads(&self, what: &str) {
        let output = self.dnf(&["makecache", "--refresh"]);
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn assert_refuses(&self, what: &str) {
        let output = self.dnf(&["makecache", "--refresh"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("GPG"), "{what}: {said}");
    }

    pub(super) fn assert_installs_greeter(&self) {
        let output = self.dnf(&["install", "greeter"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(self.0.path().join("root/usr/bin/greet").exists());
    }
}

/// The sample packages, in the inbox of the directory bucket `./bucket`.
pub(super) fn drop_samples(folder: &Path) {
    let inbox = folder.join("bucket/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    for (name, bytes) in samples() {
        std::fs::write(inbox.join(name), bytes).unwrap();
    }
}

pub(super) fn samples() -> Vec<(String, Vec<u8>)> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/packages");
    let files = ["libs", "tools"].iter().flat_map(|group| std::fs::read_dir(demo.join(group)).unwrap());
    files
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect()
}

/// A service on the directory bucket, and the address of its repository.
pub(super) struct Service(Child, pub(super) String);

impl Service {
    pub(super) fn start(folder: &Path) -> Self {
        Self::on_inbox(folder, "inbox", &[])
    }

    /// One that only serves files: nobody writes to its inbox.
    pub(super) fn of_files(folder: &Path) -> Self {
        Self::on_inbox(folder, "nobodys", &[])
    }

    /// The same, through the gateway.
    pub(super) fn of_gateway(folder: &Path) -> Self {
        Self::on_inbox(folder, "nobodys", &["--gateway", "redirect", "--gateway-auth", "none"])
    }

    fn on_inbox(folder: &Path, inbox: &str, more: &[&str]) -> Self {
        let mut command = yrm(folder);
        command.env("YRM_INBOX", inbox);
        command.args(["serve", "-b", "./bucket", "--listen", "127.0.0.1:0", "--time-interval", "1h"]);
        command.args(["--log-format", "json"]).args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            ["fields", "listen"]
                .iter()
                .try_fold(&line, |value, name| value.get(name))
                .cloned()
                .or_else(|| line.get("listen").cloned())
        });
        // Nobody reads on, and the pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        let base = format!("http://{}/repo", listening.unwrap().as_str().unwrap());
        Self(child, base)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn append(path: &Path, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.extend_from_slice(text.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn dnf_takes_what_is_signed_and_refuses_what_was_tampered_with() {
    let folder = TempDir::new().unwrap();
    let made = json(yrm(folder.path()).args(["key", "generate", "--out", "signing.key"]));
    let permissions = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(permissions("signing.key"), 0o600);
    std::fs::write(folder.path().join("yrm.toml"), "bucket = \"./bucket\"\nsigning-key = \"signing.key\"\n").unwrap();
    drop_samples(folder.path());
    assert_eq!(json(yrm(folder.path()).arg("run"))["errors"], Value::Array(Vec::new()));

    let gpg = Gpg::new();
    gpg.import(&folder.path().join("signing.key.pub"));
    assert!(gpg.verifies(&folder.path().join("bucket")));
    let judged = json(yrm(folder.path()).args(["key", "verify"]));
    assert_eq!(judged[0]["state"], format!("signed by {}", made["fingerprint"].as_str().unwrap()));
    let exported = yrm(folder.path()).args(["key", "export"]).output().unwrap();
    let public = std::fs::read_to_string(folder.path().join("signing.key.pub")).unwrap();
    assert_eq!(String::from_utf8(exported.stdout).unwrap().trim_end(), public.trim_end());
    let listed = json(yrm(folder.path()).args(["key", "list"]));
    assert_eq!((&listed[0]["role"], &listed[0]["published"]), (&Value::from("signs"), &Value::from(true)));

    let service = Service::start(folder.path());
    let client = Client::new(&service.1, "yrm");
    client.assert_installs_greeter();
    let repodata = folder.path().join("bucket/repo/repodata");
    let (repomd, signature) = (repodata.join("repomd.xml"), repodata.join("repomd.xml.asc"));
    let good = [std::fs::read(&repomd).unwrap(), std::fs::read(&signature).unwrap()];
    append(&repomd, "<!-- one package less -->\n");
    client.assert_refuses("a tampered repomd.xml");
    assert!(!gpg.verifies(&folder.path().join("bucket")));
    let verify = yrm(folder.path()).args(["key", "verify"]).output().unwrap();
    assert_eq!(verify.status.code(), Some(6));
    std::fs::write(&repomd, &good[0]).unwrap();
    client.assert_reads("what it was before");

    // A letter of the signature itself.
    let mut forged = good[1].clone();
    let at = forged.len() / 2;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&signature, forged).unwrap();
    Client::new(&service.1, "yrm").assert_refuses("a tampered signature");
    std::fs::remove_file(&signature).unwrap();
    let alone = Client::new(&service.1, "yrm").dnf(&["makecache", "--refresh"]);
    assert!(!alone.status.success(), "no signature at all");
}

#[test]
fn clients_follow_when_the_key_is_changed() {
    let folder = TempDir::new().unwrap();
    let key = |arguments: &[&str]| {
        let mut command = yrm(folder.path());
        command.arg("key").args(arguments);
        json(&mut command)
    };
    let quick = ["--algorithm", "ed25519"];
    let old = key(&[&["generate", "--out", "old.key"][..], &quick].concat());
    let toml = folder.path().join("yrm.toml");
    std::fs::write(&toml, "bucket = \"./bucket\"\nsigning-key = \"old.key\"\n").unwrap();
    drop_samples(folder.path());
    let run = || json(yrm(folder.path()).arg("run"));
    run();
    let service = Service::start(folder.path());
    let client = Client::new(&service.1, "yrm");
    client.assert_reads("the old key");
    let signed_by = || key(&["verify"])[0]["state"].as_str().unwrap().to_owned();
    let by = |made: &Value| format!("signed by {}", made["fingerprint"].as_str().unwrap());

    let new = key(&[&["rotate", "--out", "new.key"][..], &quick].concat());
    let says = std::fs::read_to_string(&toml).unwrap();
    assert!(says.contains("signing-key = [\"old.key\", \"new.key\"]"), "{says}");
    run();
    assert_eq!(signed_by(), by(&old));
    client.assert_reads("both keys published, the old one signs");
    key(&["rotate", "--promote"]);
    // The run has nothing to publish, and signs anew.
    run();
    assert_eq!(signed_by(), by(&new));
    client.assert_reads("the new key");
    Client::new(&service.1, "yrm").assert_installs_greeter();
}

#[test]
fn rotated_keys_have_their_roles_and_are_named_from_the_folder_of_the_file_that_names_them() {
    let folder = TempDir::new().unwrap();
    let (conf, work) = (folder.path().join("conf"), folder.path().join("work"));
    std::fs::create_dir_all(conf.join("bucket")).unwrap();
    std::fs::create_dir_all(&work).unwrap();
    let toml = conf.join("yrm.toml");
    std::fs::write(&toml, "bucket = \"./bucket\"\nsigning-key = \"old.key\"\n").unwrap();
    let key = |arguments: &[&str]| {
        let mut command = yrm(&work);
        command.args(["key", arguments[0], "--config", "../conf/yrm.toml"]).args(&arguments[1..]);
        json(&mut command)
    };
    let mut generate = yrm(&work);
    generate.args(["key", "generate", "--algorithm", "ed25519", "--out", "../conf/old.key"]);
    let old = json(&mut generate);
    // Made within the same second, mostly: which is the newer is told all the same.
    let new = key(&["rotate", "--algorithm", "ed25519", "--out", "../conf/new.key"]);
    let roles = || {
        let rows = key(&["list"]);
        let role =
            |row: &Value| (row["fingerprint"].as_str().unwrap().to_owned(), row["role"].as_str().unwrap().to_owned());
        rows.as_array().unwrap().iter().map(role).collect::<Vec<_>>()
    };
    let named = |made: &Value, role: &str| (made["fingerprint"].as_str().unwrap().to_owned(), role.to_owned());
    assert_eq!(roles(), [named(&old, "signs"), named(&new, "next")]);
    let says = || std::fs::read_to_string(&toml).unwrap();
    assert!(says().contains("signing-key = [\"old.key\", \"new.key\"]"), "{}", says());

    key(&["rotate", "--promote"]);
    assert_eq!(roles(), [named(&new, "signs"), named(&old, "earlier")]);
    assert!(says().contains("signing-key = [\"new.key\", \"old.key\"]"), "{}", says());
    let all = json(yrm(&work).args(["key", "list", "--config", "../conf/yrm.toml", "--sign-with", "all"]));
    assert!(all.as_array().unwrap().iter().all(|row| row["role"] == "signs"), "{all}");

    // One that lies elsewhere is named wholly.
    key(&["rotate", "--algorithm", "ed25519", "--out", "next.key"]);
    let elsewhere = std::fs::canonicalize(&work).unwrap().join("next.key");
    let expected = format!("signing-key = [\"new.key\", \"{}\", \"old.key\"]", elsewhere.display());
    assert!(says().contains(&expected), "{}", says());
}

#[cfg(feature = "aws")]
mod on_s3 {
    use super::*;
    use crate::s3_server::server;

    #[tokio::test(flavor = "multi_thread")]
    async fn dnf_installs_what_is_signed_from_s3() {
        let folder = TempDir::new().unwrap();
        let bucket = server().make_bucket().await;
        json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
        for (name, bytes) in samples() {
            let put = server().client().put_object().bucket(&bucket).key(format!("inbox/{name}"));
            put.body(bytes.into()).send().await.unwrap();
        }
        let on_bucket = |verb: &[&str]| {
            let mut command = yrm(folder.path());
            server().lead(&mut command, &bucket);
            command.env("YRM_SIGNING_KEY", "signing.key").args(verb);
            command
        };
        let report = json(&mut on_bucket(&["run"]));
        assert_eq!(report["errors"], Value::Array(Vec::new()));
        let client = Client::new(&format!("{}/{bucket}/repo", server().endpoint()), &bucket);
        client.assert_installs_greeter();
        let head = |key: &str| server().client().head_object().bucket(&bucket).key(format!("repo/{key}")).send();
        for (key, kind) in [
            ("repodata/repomd.xml.asc".to_owned(), "application/pgp-signature"),
            (format!("RPM-GPG-KEY-{bucket}"), "application/pgp-keys"),
        ] {
            let object = head(&key).await.unwrap();
            assert_eq!((object.cache_control(), object.content_type()), (Some("no-cache"), Some(kind)), "{key}");
        }
        let check = json(&mut on_bucket(&["check", "--deep"]));
        assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()));
        // An idle run in a new process looks at the pair and writes nothing.
        let report = json(&mut on_bucket(&["run"]));
        assert_eq!(report["usage"]["writes"], 0, "{}", report["usage"]);
        server().client().delete_object().bucket(&bucket).key("repo/repodata/repomd.xml.asc").send().await.unwrap();
        client.dnf(&["clean", "all"]);
        assert!(!client.dnf(&["makecache", "--refresh"]).status.success(), "no signature at all");
        json(&mut on_bucket(&["run"]));
        client.assert_reads("what the next run mended");
    }
}
