//! dnf reads by all addresses that there ever were, while the layout changes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{Place, set};
use crate::cli::yrm;

/// Changes of the layout that clients read through.
const CHANGES: usize = 20;

/// A bucket that somebody reads from while its layout changes.
pub(super) trait Bucket {
    /// The program, for this bucket.
    fn yrm(&self, arguments: &[&str]) -> Command;

    fn upload(&self, path: &str, name: &str);

    fn exists(&self, key: &str) -> bool;

    /// Where clients read, if not from the service.
    fn website(&self) -> Option<String>;

    fn works(&self, arguments: &[&str]) {
        let output = self.yrm(arguments).output().unwrap();
        assert!(output.status.success(), "yrm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Bucket for Place {
    fn yrm(&self, arguments: &[&str]) -> Command {
        let mut command = yrm(self.0.path());
        command.args(arguments).args(["-b", "./bucket"]);
        command
    }

    fn upload(&self, path: &str, name: &str) {
        self.upload(path, name, "1");
    }

    fn exists(&self, key: &str) -> bool {
        self.exists(key)
    }

    fn website(&self) -> Option<String> {
        None
    }
}

/// A service on the bucket, and the address of what it serves.
struct Service(Child, String);

impl Service {
    fn start(bucket: &dyn Bucket) -> Self {
        let mut command = bucket.yrm(&["serve", "--listen", "127.0.0.1:0", "--time-interval", "1s"]);
        let mut child = command.args(["--log-format", "json"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line.pointer("/fields/listen").or_else(|| line.get("listen"))?.as_str().map(str::to_owned)
        });
        // Nobody reads on, and the pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        let served = || format!("http://{}/repo", listening.unwrap());
        Self(child, bucket.website().unwrap_or_else(served))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How often a client read, and what it said when it could not.
#[derive(Default)]
struct Met {
    reads: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

/// A client that reads the metadata anew and downloads a package, again and again.
fn reads(url: &str, package: &str, met: &Met, over: &AtomicBool) {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("repos")).unwrap();
    let repo = format!("[ours]\nname=ours\nbaseurl={url}\nenabled=1\ngpgcheck=0\nskip_if_unavailable=0\n");
    fs::write(folder.path().join("repos/ours.repo"), repo).unwrap();
    let here = folder.path().display();
    while !over.load(Ordering::Relaxed) {
        for arguments in [&["clean", "packages"][..], &["--refresh", "--downloadonly", "install", package]] {
            let mut command = Command::new("dnf");
            command.args(["--assumeyes", "--quiet", "--releasever=1", "--disableplugin=*"]).env("LC_ALL", "C");
            command.arg(format!("--installroot={here}/root")).arg(format!("--setopt=reposdir={here}/repos"));
            command.arg(format!("--setopt=cachedir={here}/cache")).arg("--setopt=ours.retries=1");
            let output = command.args(arguments).output().unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                met.failures.lock().unwrap().push(format!("{url}: {said}"));
            }
        }
        met.reads.fetch_add(1, Ordering::Relaxed);
    }
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(2), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn dnf_in_a_loop_through_20_migrations() {
    let place = Place::new();
    read_through(&place, CHANGES);
    place.lay_out("single");
    let mut all: Vec<String> = (0..CHANGES).map(|number| format!("x/p/n{number}-1.rpm")).collect();
    all.extend(["x/p/first-1.rpm".to_owned(), "y/p/other-1.rpm".to_owned()]);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(place.packages(""), set(&all));
}

/// Clients read while a service publishes and the layout changes so often.
#[expect(clippy::print_stdout, reason = "the figures belong into the record")]
pub(super) fn read_through(bucket: &dyn Bucket, changes: usize) {
    bucket.upload("x/p/first-1.rpm", "first");
    bucket.upload("y/p/other-1.rpm", "other");
    bucket.works(&["run"]);
    let service = Service::start(bucket);
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    let mut met = Vec::new();
    let layouts = ["per-folder", "depth=2", "single", "x/*,y", "x,y/*", "single"];
    for number in 0..changes {
        bucket.works(&["settings", "set", "repositories", layouts[number % layouts.len()]]);
        // A service that runs goes by it without a restart.
        let path = format!("x/p/n{number}-1.rpm");
        bucket.upload(&path, &format!("n{number}"));
        let inbox = format!("inbox/{path}");
        wait_for("the service publishes by the new layout", || !bucket.exists(&inbox));
        // Who comes upon a new address reads by it from now on.
        for address in ["", "/x", "/x/p"] {
            let is_there = bucket.exists(&format!("repo{address}/repodata/repomd.xml"));
            if is_there && !clients.iter().any(|(known, _)| *known == address) {
                let (url, over, mine) =
                    (format!("{}{address}", service.1), Arc::clone(&over), Arc::new(Met::default()));
                met.push(Arc::clone(&mine));
                clients.push((address, std::thread::spawn(move || reads(&url, "first", &mine, &over))));
            }
        }
        let before: Vec<usize> = met.iter().map(|met| met.reads.load(Ordering::Relaxed)).collect();
        wait_for("every client reads once more", || {
            met.iter().zip(&before).all(|(met, before)| met.reads.load(Ordering::Relaxed) > *before)
        });
    }
    over.store(true, Ordering::Relaxed);
    let addresses = clients.len();
    for (_, client) in clients {
        client.join().unwrap();
    }
    let failures: Vec<String> = met.iter().flat_map(|met| std::mem::take(&mut *met.failures.lock().unwrap())).collect();
    let reads: usize = met.iter().map(|met| met.reads.load(Ordering::Relaxed)).sum();
    println!(
        "{changes} changes of the layout, {reads} reads by dnf at {addresses} addresses, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(addresses, 3);
}

#[test]
fn a_service_finishes_a_change_that_its_author_left() {
    let place = super::single();
    let mark =
        "\n[migration]\nto = \"per-folder\"\nid = \"01JZZZZZZZZZZZZZZZZZZZZZZZ\"\nsince = \"2026-01-01T00:00:00Z\"\n";
    fs::write(place.bucket().join(".yrm/bucket.toml"), place.document() + mark).unwrap();
    place.upload("y/n-1.rpm", "n", "1");
    let _service = Service::start(&place);
    let inbox = place.bucket().join("inbox/y/n-1.rpm");
    wait_for("the service finishes the change and publishes", || !inbox.exists());
    assert!(place.document().contains("repositories = \"per-folder\"") && !place.document().contains("migration"));
    wait_for("by the new layout", || place.packages("y") == set(&["c-1.rpm", "n-1.rpm"]));
    place.works(&["check", "--deep"]);
}
