//! A machine with the service on it: a process with an environment of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

pub(crate) const SECRET: &str = "wJalrXUtnFEMI+K7MDENG+bPxRfiCYSECRETKEY0";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luX2VjE+SESSION/TOKEN==";

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A program of what `scripts/test` makes.
pub(crate) fn made_for_tests(path: &str) -> PathBuf {
    let made = workspace().join(".test").join(path);
    assert!(made.exists(), "{} is missing; run scripts/test once", made.display());
    made
}

/// Runs it; fails with what it said if it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test once"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

/// What it wrote, both streams.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Keys in the environment, which is all that most tests need.
pub(crate) fn keys() -> Vec<(String, String)> {
    [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", TOKEN)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// A machine: its home, and what is in the environment of whatever runs on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) home: TempDir,
    environment: Vec<(String, String)>,
}

impl Machine {
    /// One without credentials and without a metadata service.
    pub(crate) fn new() -> Self {
        let home = TempDir::new().unwrap();
        let environment = [
            ("HOME", home.path().to_str().unwrap()),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("YRM_CLIENT_CONFIG", "/dev/null"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { home, environment }
    }

    /// One with keys in its environment.
    pub(crate) fn with_keys() -> Self {
        Self::new().knows(keys())
    }

    pub(crate) fn knows<N: Into<String>, V: Into<String>>(mut self, more: impl IntoIterator<Item = (N, V)>) -> Self {
        for (name, value) in more {
            let name = name.into();
            self.environment.retain(|(known, _)| *known != name);
            self.environment.push((name, value.into()));
        }
        self
    }

    /// A file below its home.
    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, on this machine.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yrm-client"));
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(self.home.path());
        command
    }

    /// The service, on a free port.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Service {
        Service::of(self.client(&["serve", "--listen", "127.0.0.1:0"]).args(arguments))
    }
}

/// The running service. It is stopped with the test.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it, and waits until it says where it listens.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("{command:?} did not start: {}", log.lock().unwrap());
            };
            log.lock().unwrap().extend([&line, "\n"]);
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(',').next().unwrap().to_owned();
            }
        };
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().extend([&line, "\n"]);
            }
        });
        Self { child, address, log, reading: Some(reading) }
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; how it ended, and all that it said.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        (status, self.log())
    }

    /// Stops it as systemd does.
    pub(crate) fn stop(&mut self) -> (ExitStatus, String) {
        succeed(Command::new("kill").arg(self.id().to_string()));
        self.end()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
