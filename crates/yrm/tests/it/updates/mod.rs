//! A running service goes over to a new release: real processes, a bucket, what `scripts/release`
//! writes, and openssl's signatures.

mod refused;
mod takeover;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rpmmd::checksum::Sha256;
use serde_json::Value;
use tempfile::TempDir;

use crate::s3_server::server;
use crate::service::Serve;
use crate::workspace::workspace;

const ARCH: &str = std::env::consts::ARCH;

/// A bucket, a machine's folders, and the program that is installed there.
struct Machine {
    bucket: String,
    directory: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let machine = Self { bucket: server().make_bucket().await, directory: TempDir::new().unwrap() };
        run(Command::new("strip").arg("-o").arg(machine.file("yrm")).arg(env!("CARGO_BIN_EXE_yrm")));
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A build of yrm that differs from the installed one: what follows the program's image is never read.
    fn another_build(&self) -> Vec<u8> {
        [&std::fs::read(self.file("yrm")).unwrap()[..], b"another build"].concat()
    }

    /// The installed program as systemd starts it, looking for releases every second.
    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(self.file("yrm"));
        command.current_dir(self.directory.path()).env_clear().envs(server().environment());
        command.env("STATE_DIRECTORY", self.file("state")).env("YRM_BUCKET", format!("s3://{}", self.bucket));
        command.args(["serve", "--path-style", "--listen", "127.0.0.1:0", "--log-format", "json", "-v"]);
        command.env("YRM_SELF_UPDATE_INTERVAL", "1").args(["--time-interval", "1", "--self-update"]).args(flags);
        command
    }

    fn serve(&self, flags: &[&str]) -> Serve {
        Serve::spawn(&mut self.command(flags))
    }

    /// The objects of a release of `program`: what `scripts/release` writes.
    fn release(&self, program: &[u8], sign_with: Option<&str>) -> BTreeMap<String, Vec<u8>> {
        let (binary, out) = (self.file("built"), self.file("out"));
        std::fs::write(&binary, program).unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        if out.exists() {
            std::fs::remove_dir_all(&out).unwrap();
        }
        let mut release = Command::new(workspace().join("scripts/release"));
        release.args(["--arch", ARCH, "--binary"]).arg(&binary).arg("--out").arg(&out);
        if let Some(key) = sign_with {
            release.arg("--sign-with").arg(self.file(key));
        }
        run(&mut release);
        let files = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
        files.map(named).map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
    }

    /// Uploads objects, the list of digests last, as `scripts/release` does.
    async fn upload(&self, mut objects: BTreeMap<String, Vec<u8>>) {
        let manifest = objects.remove_entry(&format!("yrm-{ARCH}.sha256"));
        for (name, bytes) in objects.into_iter().chain(manifest) {
            self.put(&name, bytes).await;
        }
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) {
        server().client().put_object().bucket(&self.bucket).key(key).body(bytes.into()).send().await.unwrap();
    }

    /// A key pair for releases, in that file; its public half as the setting has it.
    fn release_key(&self, file: &str) -> String {
        let script = format!(
            "openssl ecparam -name prime256v1 -genkey -noout -out {file}; openssl pkey -in {file} -pubout | base64 -w0"
        );
        run(Command::new("sh").args(["-euc", &script]).current_dir(self.directory.path()))
    }

    /// Where new programs go.
    fn place(&self) -> PathBuf {
        self.file("state/update").join(&self.bucket)
    }

    /// What lies there; nothing, if there is no such folder.
    fn kept(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.place()).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Drops a package called `name`, and waits until it is published.
    async fn publishes(&self, serve: &mut Serve, name: &str) {
        self.put(&format!("inbox/{name}.rpm"), forge::Rpm::new(name, "1", "1", "noarch").build()).await;
        let published = serve.logged(&format!("published: \"{name}.rpm\""));
        assert_eq!(published["level"], "INFO");
    }

    /// How often the history says that each inbox key was published.
    async fn publications(&self) -> BTreeMap<String, usize> {
        let listed = server().client().list_objects_v2().bucket(&self.bucket).prefix(".yrm/history/").send().await;
        let mut published = BTreeMap::new();
        for key in listed.unwrap().contents().iter().filter_map(|object| object.key()) {
            let got = server().client().get_object().bucket(&self.bucket).key(key).send().await.unwrap();
            let run: Value = serde_json::from_slice(&got.body.collect().await.unwrap().to_vec()).unwrap();
            for package in run["published"].as_array().unwrap() {
                *published.entry(package["inbox_key"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        published
    }
}

/// The file of the program that runs as `pid`.
fn program_of(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

/// A program that only knows its version, and dies when it is to serve. It leaves a line in `witness` whenever it runs.
fn script(witness: &Path, version: &str) -> Vec<u8> {
    let witness = witness.display();
    format!("#!/bin/sh\necho \"$1\" >>{witness}\n[ \"$1\" = --version ] || exit 3\n{version}\n").into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}

/// Runs it; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
