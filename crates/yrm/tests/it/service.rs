//! The service as a process: publishes, answers, stops, and remembers after a restart.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::cli::yrm;

use crate::web::web;

/// A `yrm serve`; killed when dropped.
pub(crate) struct Serve {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Serve {
    fn start(directory: &Path) -> Self {
        Self::start_under(directory, None)
    }

    /// As systemd starts it: with a socket to notify.
    fn start_under(directory: &Path, notify_socket: Option<&Path>) -> Self {
        let arguments = ["serve", "-b", "./b", "--listen", "127.0.0.1:0", "--log-format", "json", "-v"];
        let notify = notify_socket.map(|socket| ("NOTIFY_SOCKET", socket));
        Self::spawn(yrm(directory).args(arguments).envs(notify))
    }

    /// A service that logs JSON, and says what it does (`-v`).
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut serve = Self { child, log, address: String::new() };
        let serving = serve.logged("serving");
        serve.address.push_str(serving["listen"].as_str().unwrap());
        serve
    }

    /// Waits for the log line with this message.
    pub(crate) fn logged(&mut self, message: &str) -> Value {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            let entry: Value = serde_json::from_str(&line).unwrap();
            if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return entry;
            }
            line.clear();
        }
        panic!("the service ended without saying {message:?}");
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = web().get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM; the exit code and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        self.signal(rustix::process::Signal::TERM);
        (self.child.wait().unwrap().code(), asked.elapsed())
    }
}

/// A file in the inbox that has been there for long.
pub(crate) fn drop_file(directory: &Path, key: &str, bytes: &[u8]) {
    let path = directory.join("b/inbox").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

fn keys(history: &Value, name: &str) -> Vec<Vec<String>> {
    let entries = history["previousRuns"].as_array().unwrap().iter();
    entries.filter_map(|entry| serde_json::from_value(entry.get(name)?.clone()).unwrap()).collect()
}

#[tokio::test]
async fn the_service_publishes_answers_stops_within_ten_seconds_and_remembers() {
    let directory = TempDir::new().unwrap();
    drop_file(directory.path(), "el9/a+b.rpm", &forge::Rpm::new("a+b", "1.0~rc1", "1", "noarch").build());
    drop_file(directory.path(), "junk.rpm", b"not a package");
    let mut serve = Serve::start(directory.path());
    assert_eq!(serve.logged("run done")["published"], 1);
    assert_eq!(serve.get("/readyz").await, (200, r#"{"status":"ready"}"#.to_owned()));
    let history: Value = serde_json::from_str(&serve.get("/history").await.1).unwrap();
    assert_eq!(keys(&history, "inboxKeys"), [["inbox/el9/a+b.rpm", "inbox/junk.rpm"]]);
    assert_eq!(keys(&history, "skippedKeys"), [["inbox/junk.rpm"]]);
    assert_eq!(serve.get("/repo/el9/a+b.rpm").await.0, 200);
    assert!(serve.get("/repo/repodata/repomd.xml").await.1.contains("<repomd"));
    let metrics = serve.get("/metrics").await.1;
    for line in [
        "yrm_packages_published_total 1",
        "yrm_packages_rejected_total{code=\"E_NOT_RPM\"} 1",
        "yrm_packages_rejected_total{code=\"E_UNSIGNED\"} 0",
        "yrm_failures_total{kind=\"denied\"} 0",
        "yrm_repository_packages{repository=\"/\"} 1",
        "yrm_repositories_left_out 0",
        "yrm_quarantine_files 1",
        "yrm_quarantine_bytes ",
        "yrm_repository_revision_age_seconds{repository=\"/\"} ",
        "yrm_inbox_oldest_age_seconds ",
    ] {
        assert!(metrics.lines().any(|there| there.starts_with(line)), "{line} is missing from\n{metrics}");
    }
    let (code, took) = serve.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");

    let mut again = Serve::start(directory.path());
    again.logged("run done");
    // What is known of earlier runs is there at once, and the quarantine was looked at.
    let metrics = again.get("/metrics").await.1;
    assert!(metrics.contains("yrm_repository_packages{repository=\"/\"} 1\n"), "{metrics}");
    assert!(metrics.contains("yrm_quarantine_files 1\n"), "{metrics}");
    let history: Value = serde_json::from_str(&again.get("/history").await.1).unwrap();
    let expected: [&[&str]; 2] = [&["inbox/el9/a+b.rpm", "inbox/junk.rpm"], &[]];
    assert_eq!(keys(&history, "inboxKeys"), expected);
    assert_eq!(again.terminate().0, Some(0));
}

#[test]
fn sighup_ends_the_service() {
    let directory = TempDir::new().unwrap();
    let (log, moved) = (directory.path().join("yrm.log"), directory.path().join("yrm.log.1"));
    let published = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        ["a", "b", "c"].map(|name| text.contains(&format!("published: \\\"{name}.rpm\\\"")))
    };
    let drop = |name: &str| {
        let bytes = forge::Rpm::new(name, "1", "1", "noarch").build();
        drop_file(directory.path(), &format!("{name}.rpm"), &bytes);
    };
    drop("a");
    let arguments = ["serve", "-b", "./b", "--listen", "127.0.0.1:0", "-t", "1", "--log-format", "json", "-v"];
    let mut serve = Serve::spawn(yrm(directory.path()).args(arguments).args(["--log-file", "yrm.log"]));
    serve.logged("published: \"a.rpm\"");
    // As logrotate does: moved away, and then the signal.
    std::fs::rename(&log, &moved).unwrap();
    serve.signal(rustix::process::Signal::HUP);
    serve.logged("the log file was opened anew");
    drop("b");
    serve.logged("published: \"b.rpm\"");
    // What stderr has, the file has: it is written second.
    drop("c");
    serve.logged("published: \"c.rpm\"");
    assert_eq!(published(&moved), [true, false, false]);
    assert_eq!(published(&log)[..2], [false, true]);
    // Where it cannot be opened anew the log goes on in the old file.
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    serve.signal(rustix::process::Signal::HUP);
    serve.logged("the log file cannot be opened anew");
    assert_eq!(serve.terminate().0, Some(0));
}

#[tokio::test]
async fn a_hangup_without_a_log_file_ends_nothing() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    let mut serve = Serve::start(directory.path());
    for _ in 0..3 {
        serve.signal(rustix::process::Signal::HUP);
    }
    drop_file(directory.path(), "a.rpm", &forge::Rpm::new("a", "1", "1", "noarch").build());
    assert_eq!(serve.get("/livez").await.0, 200);
    assert!(serve.child.try_wait().unwrap().is_none());
    assert_eq!(serve.terminate().0, Some(0));
}

/// glibc keeps memory for each thread, and the service has many.
#[cfg(target_env = "gnu")]
#[test]
fn the_service_runs_with_few_arenas_unless_the_operator_says_how_many() {
    let arenas = |chosen: Option<&str>| {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir_all(directory.path().join("b")).unwrap();
        let mut command = yrm(directory.path());
        command.args(["serve", "--bucket", "./b", "--listen", "127.0.0.1:0", "--log-format", "json", "-v"]);
        command.env_remove("MALLOC_ARENA_MAX").envs(chosen.map(|chosen| ("MALLOC_ARENA_MAX", chosen)));
        let serve = Serve::spawn(&mut command);
        let environment = std::fs::read(format!("/proc/{}/environ", serve.pid())).unwrap();
        let environment = String::from_utf8(environment).unwrap();
        let found = environment.split('\0').find_map(|line| line.strip_prefix("MALLOC_ARENA_MAX=")).map(str::to_owned);
        assert_eq!(serve.terminate().0, Some(0));
        found
    };
    assert_eq!(arenas(None).as_deref(), Some("2"));
    assert_eq!(arenas(Some("7")).as_deref(), Some("7"));
}

#[test]
fn a_taken_port_ends_the_start_with_a_hint() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    let taken = Serve::start(directory.path());
    let second = yrm(directory.path()).args(["serve", "-b", "./b", "--listen", &taken.address]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("hint: another program listens there"), "{text}");
    assert_eq!(taken.terminate().0, Some(0));
}

#[test]
fn systemd_hears_when_it_is_ready_and_when_it_stops() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        std::str::from_utf8(&bytes[..length]).unwrap().trim().to_owned()
    };
    let serve = Serve::start_under(directory.path(), Some(&path));
    assert_eq!(heard(), "READY=1");
    assert_eq!(serve.terminate().0, Some(0));
    assert_eq!(heard(), "STOPPING=1");
}
