//! The gateway by the program: whom it lets in, and what clients get through it.

#[cfg(feature = "aws")]
mod cdn;
mod clients;
mod front;
mod hostile;
mod rights;
#[cfg(feature = "aws")]
mod s3;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forge::Rpm;
use reqwest::{Method, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;
use crate::service::Serve;
use crate::web::web_without_redirects;

/// The sample packages: `greeter` needs `libgreet++`.
pub(super) fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/packages");
    let mut all = Vec::new();
    for below in ["libs", "tools"] {
        all.extend(fs::read_dir(folder.join(below)).unwrap().map(|entry| entry.unwrap().path()));
    }
    all
}

/// Somebody's folder, and the bucket that they work on.
pub(super) struct Place {
    folder: TempDir,
    bucket: String,
    environment: Vec<(String, String)>,
}

impl Place {
    /// With a bucket in a directory.
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("bucket")).unwrap();
        Self { folder, bucket: "./bucket".to_owned(), environment: Vec::new() }
    }

    /// With one in S3.
    #[cfg(feature = "aws")]
    pub(super) async fn in_s3() -> Self {
        let server = crate::s3_server::server();
        let bucket = format!("s3://{}", server.make_bucket().await);
        let environment = server.environment().map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { folder: TempDir::new().unwrap(), bucket, environment }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = yrm(self.path());
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.envs(environment).args(arguments).args(["-b", &self.bucket]).env("YRM_ACTOR", "ada@desk");
        command
    }

    pub(super) fn yrm(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.yrm(&[arguments, &["--output", "json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "yrm {arguments:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Publishes the sample packages into a folder.
    pub(super) fn publish_samples(&self, to: &str) {
        for file in samples() {
            self.json(&["publish", file.to_str().unwrap(), "--to", to]);
        }
        self.json(&["run"]);
    }

    /// Publishes a package of this name into a folder.
    pub(super) fn publish(&self, to: &str, name: &str) {
        self.publish_version(to, name, "1");
    }

    /// Publishes a version of one.
    pub(super) fn publish_version(&self, to: &str, name: &str, version: &str) {
        let file = self.path().join(format!("{name}-{version}.rpm"));
        fs::write(&file, Rpm::new(name, version, "1", "noarch").build()).unwrap();
        self.json(&["publish", file.to_str().unwrap(), "--to", to]);
        self.json(&["run"]);
    }

    /// The text of a new token.
    pub(super) fn token(&self, name: &str, scopes: &[&str]) -> String {
        let scopes: Vec<&str> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
        let made = self.json(&[&["token", "create", name][..], &scopes].concat());
        made["token"].as_str().unwrap().to_owned()
    }

    /// A service with a gateway.
    pub(super) fn serve(&self, arguments: &[&str]) -> Serve {
        let service = ["serve", "--listen", "127.0.0.1:0", "--time-interval", "1s", "--log-format", "json"];
        let with = if arguments.contains(&"--gateway") { &[][..] } else { &["--gateway", "redirect"] };
        Serve::spawn(&mut self.command(&[&service[..], with, arguments].concat()))
    }
}

/// What stands in an access log. Lines of a moment are written together.
pub(super) fn logged(log: &Path) -> String {
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::read_to_string(log).unwrap()
}

/// What a client is answered that follows nothing.
pub(super) async fn ask(service: &Serve, method: Method, path: &str, authorization: Option<&str>) -> Response {
    let mut request = web_without_redirects().request(method, format!("http://{}{path}", service.address()));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

/// Its status, by a token in the place of a password.
pub(super) async fn status(service: &Serve, path: &str, token: &str) -> u16 {
    ask(service, Method::GET, path, Some(&basic("token", token))).await.status().as_u16()
}

pub(super) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// What dnf says that installs these from there, into a root of its own.
pub(super) fn dnf(folder: &Path, repo: &str, packages: &[&str]) -> Output {
    fs::create_dir_all(folder.join("repos")).unwrap();
    fs::write(folder.join("repos/ours.repo"), repo).unwrap();
    let here = folder.display();
    Command::new("dnf")
        .args(["--assumeyes", "--releasever=1", "--disableplugin=*", "--setopt=retries=1"])
        .arg(format!("--installroot={here}/root"))
        .arg(format!("--setopt=reposdir={here}/repos"))
        .arg(format!("--setopt=cachedir={here}/cache"))
        .arg("install")
        .args(packages)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

/// What zypper says, in a root of its own in which lies what `yrm client config zypper` prints.
pub(super) fn zypper(place: &Place, root: &Path, (url, more): (&str, &[&str]), arguments: &[&str]) -> Output {
    let config = place.json(&[&["client", "config", "zypper", "--name", "ours", "--url", url][..], more].concat());
    for file in config["files"].as_array().unwrap() {
        let path = root.join(file["path"].as_str().unwrap().trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file["text"].as_str().unwrap()).unwrap();
    }
    let program = crate::workspace::workspace().join(".test/zypper/run");
    let mut zypper = Command::new(program);
    // With keys it asks nobody, and without it takes what nobody has signed.
    let trust = if more.contains(&"--gpgkey") { "--gpg-auto-import-keys" } else { "--no-gpg-checks" };
    zypper.args(["--non-interactive", trust, "--root"]).arg(root).args(arguments).output().unwrap()
}

/// The file that `yrm client config dnf` prints.
pub(super) fn repo_file(place: &Place, url: &str, more: &[&str]) -> String {
    let config = place.json(&[&["client", "config", "dnf", "--name", "ours", "--url", url][..], more].concat());
    config["files"][0]["text"].as_str().unwrap().to_owned()
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
