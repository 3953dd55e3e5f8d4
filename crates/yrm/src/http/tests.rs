use std::io::{Read as _, Write as _};
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::authorities::Authorities;
use crate::board::Board;
use crate::board::tests::{report, time};
use crate::config::Folders;
use crate::sched::stop_pair;

fn web() -> reqwest::Client {
    Authorities::default().web().unwrap().build().unwrap()
}

/// A service on a port of its own, over a directory bucket; stopped when dropped.
struct Running {
    address: SocketAddr,
    bucket: TempDir,
    stopper: crate::sched::Stopper,
    task: tokio::task::JoinHandle<()>,
}

fn start(board: Board) -> Running {
    let bucket = TempDir::new().unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = stop_pair();
    let faces = Faces {
        board: Arc::new(board),
        recorder: metrics::install(),
        files: Some(RepoFiles { bucket: bucket.path().to_owned(), folders: Folders::default() }),
        gateway: None,
        bucket: BucketNow::new(|| None),
        watching: Arc::default(),
        api_access: crate::config::ApiAccess::Public,
        certificates: None,
        listen: address,
        now: || time(3_600),
    };
    Running { address, bucket, stopper, task: tokio::spawn(answer(listener, faces, stop)) }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = web().get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A request byte by byte, for paths that a client would tidy up.
    async fn raw(&self, head: &str) -> String {
        let (address, head) = (self.address, head.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
        .await
        .unwrap()
    }

    async fn stop(self) {
        self.stopper.stop();
        self.task.await.unwrap();
    }
}

fn board() -> Board {
    Board::new(Duration::from_mins(1), time(0))
}

#[tokio::test]
async fn the_first_versions_answers_keep_their_shape() {
    let board = board();
    board.run_started(time(0));
    board.run_finished(&report(0, &[], &[]));
    board.run_finished(&report(60, &["inbox/a.rpm", "inbox/el9/b<x>.rpm"], &["inbox/el9/b<x>.rpm"]));
    board.run_finished(&report(120, &["inbox/c.rpm"], &[]));
    let running = start(board);
    let index = running.raw("GET / HTTP/1.1\r\nHost: repo.example.com:5000").await;
    insta::assert_snapshot!(index.split("\r\n\r\n").nth(1).unwrap(), @r#"{"history":"http://repo.example.com:5000/history","jobs":"http://repo.example.com:5000/scheduledJobs"}"#);
    let (status, history) = running.get("/history").await;
    assert_eq!(status, 200);
    insta::assert_snapshot!(history, @r#"{"now":"2026-11-22 21:00:00.000000","previousRuns":[{"timestamp":"2026-11-22 20:00:00.000000","inboxKeys":[]},{"timestamp":"2026-11-22 20:01:00.000000","inboxKeys":["inbox/a.rpm","inbox/el9/b<x>.rpm"]},{"timestamp":"2026-11-22 20:01:01.500000","skippedKeys":["inbox/el9/b<x>.rpm"]},{"timestamp":"2026-11-22 20:02:00.000000","inboxKeys":["inbox/c.rpm"]},{"timestamp":"2026-11-22 20:02:01.500000","skippedKeys":[]}]}"#);
    insta::assert_snapshot!(running.get("/scheduledJobs").await.1, @r#"{"scheduledJobs":[{"runs":3,"name":"manageYumRepo","next_run_time":"Sun, 22 Nov 2026 20:01:00 GMT","interval":"0:01:00"}]}"#);
    running.stop().await;
}

#[tokio::test]
async fn history_has_at_most_sixty_entries_oldest_first() {
    let runs: Vec<_> = (0..60).map(|second| report(second, &["inbox/a.rpm"], &[])).collect();
    let board = board();
    board.remember(&runs);
    let running = start(board);
    let history: serde_json::Value = serde_json::from_str(&running.get("/history").await.1).unwrap();
    let entries = history["previousRuns"].as_array().unwrap();
    assert_eq!(entries.len(), 60);
    assert_eq!(entries[0]["timestamp"], "2026-11-22 20:00:30.000000");
    assert!(entries[59]["skippedKeys"].is_array());
    running.stop().await;
}

#[tokio::test]
async fn history_is_at_most_a_mebibyte_and_counts_what_it_leaves_out() {
    let board = board();
    let keys: Vec<String> = (0..1_000).map(|at| format!("inbox/.{at:0>300}\"")).collect();
    for second in 0..60 {
        let mut run = report(second, &[], &[]);
        (run.inbox_keys, run.skipped_keys) = (keys.clone(), keys.clone());
        (run.left_out.inbox_keys, run.left_out.skipped_keys) = (4_000, 4_000);
        board.run_finished(&run);
    }
    let running = start(board);
    let text = running.get("/history").await.1;
    assert!(text.len() <= 1 << 20, "{}", text.len());
    let history: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = history["previousRuns"].as_array().unwrap();
    assert_eq!(entries.len(), 60);
    for entry in entries {
        let keys = entry.get("inboxKeys").or(entry.get("skippedKeys")).unwrap().as_array().unwrap();
        assert_eq!(keys.len() as u64 + entry["more"].as_u64().unwrap(), 5_000);
    }
    assert_eq!(entries[59]["skippedKeys"].as_array().unwrap().len(), 1_000, "the newest first");
    assert_eq!(entries[59]["skippedKeys"][0], *keys[0]);
    running.stop().await;
}

#[tokio::test]
async fn a_hostile_host_header_is_not_repeated() {
    let running = start(board());
    let answer = running.raw("GET / HTTP/1.1\r\nHost: evil\"><script>").await;
    assert!(!answer.contains("script"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn health_metrics_and_unknown_addresses() {
    let running = start(board());
    assert_eq!(running.get("/livez").await, (200, r#"{"status":"alive"}"#.to_owned()));
    let unready = r#"{"status":"not ready","reason":"the first run has not finished yet"}"#;
    assert_eq!(running.get("/readyz").await, (503, unready.to_owned()));
    assert!(running.get("/metrics").await.1.contains("yrm_http_requests_total{route=\"/livez\",status=\"200\"}"));
    let (status, body) = running.get("/nope").await;
    assert_eq!(
        (status, body.as_str()),
        (404, r#"{"error":{"status":404,"message":"there is nothing at this address"}}"#)
    );
    let posted = running.raw("POST /history HTTP/1.1\r\nHost: x\r\nContent-Length: 0").await;
    assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("\"status\":405"), "{posted}");
    running.stop().await;
}

#[tokio::test]
async fn a_directory_buckets_repository_is_served_and_nothing_else_of_it() {
    let running = start(board());
    let root = running.bucket.path();
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    };
    write("repo/el9/libgreet++-1.0~rc1.noarch.rpm", "0123456789");
    write("repo/repodata/repomd.xml", "<repomd/>");
    write("repo/repodata/aa-primary.xml.gz", "gz");
    write("repo/.hidden", "secret");
    write("inbox/a.rpm", "secret");
    write(".yrm/lease/lease.json", "secret");
    write("repository/x", "secret");
    std::os::unix::fs::symlink(root.join("inbox/a.rpm"), root.join("repo/link.rpm")).unwrap();
    std::os::unix::fs::symlink(root.join("inbox"), root.join("repo/linked")).unwrap();

    for path in ["libgreet++-1.0~rc1.noarch.rpm", "libgreet%2b%2B-1.0%7Erc1.noarch.rpm"] {
        assert_eq!(running.get(&format!("/repo/el9/{path}")).await, (200, "0123456789".to_owned()));
    }
    let part = running.raw("GET /repo/el9/libgreet++-1.0~rc1.noarch.rpm HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4").await;
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("234"), "{part}");
    let repomd = running.raw("GET /repo/repodata/repomd.xml HTTP/1.1\r\nHost: x").await;
    assert!(repomd.contains("cache-control: no-cache"), "{repomd}");
    // A generation's own folder never changes, and the list that names it does.
    let folder = format!("repo/el9/repodata/7-{}", rpmmd::checksum::Sha256::of(b""));
    write(&format!("{folder}/repodata/repomd.xml"), "<repomd/>");
    write("repo/el9/mirrorlist", "http://x/\n");
    let own = running.raw(&format!("GET /{folder}/repodata/repomd.xml HTTP/1.1\r\nHost: x")).await;
    assert!(own.starts_with("HTTP/1.1 200") && own.contains("immutable"), "{own}");
    let list = running.raw("GET /repo/el9/mirrorlist HTTP/1.1\r\nHost: x").await;
    assert!(list.contains("cache-control: no-cache") && list.contains("content-type: text/plain"), "{list}");
    let primary =
        running.raw("GET /repo/repodata/aa-primary.xml.gz HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip").await;
    assert!(primary.contains("immutable") && !primary.contains("content-encoding"), "{primary}");

    let hidden = [
        "/repo/.hidden",
        "/repo/%2ehidden",
        "/repo/../inbox/a.rpm",
        "/repo/%2e%2e/inbox/a.rpm",
        "/repo//etc/passwd",
        "/repo/..%2finbox/a.rpm",
        "/repo/link.rpm",
        "/repo/linked/a.rpm",
        "/inbox/a.rpm",
        "/.yrm/lease/lease.json",
        "/repository/x",
        "/repo",
        "/repo/",
        "/repo/el9",
        "/repo/el9/",
        "/repo/missing",
        "/repo/%00",
        "/repo/%zz",
        "/repo/..\\inbox",
        "/repo/repodata/%0a",
    ];
    for path in hidden {
        let answer = running.raw(&format!("GET {path} HTTP/1.1\r\nHost: x")).await;
        assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains("secret"), "{path}: {answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn slow_readers_do_not_take_the_health_away() {
    let running = start(board());
    std::fs::create_dir_all(running.bucket.path().join("repo")).unwrap();
    std::fs::write(running.bucket.path().join("repo/big.rpm"), vec![7; 16 << 20]).unwrap();
    let connect = async |request: &[u8]| {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
        stream
    };
    // Who asks for much and reads nothing, and who asks for nothing at all: more than there are places.
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(connect(b"GET /repo/big.rpm HTTP/1.1\r\nHost: x\r\n\r\n").await);
        held.push(connect(b"").await);
        held.push(connect(b"GET /").await);
    }
    let client = Authorities::default().web().unwrap().timeout(Duration::from_mins(1)).build().unwrap();
    for path in ["/livez", "/metrics", "/scheduledJobs", "/"] {
        let answer = client.get(format!("http://{}{path}", running.address)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    drop(held);
    running.stop().await;
}

#[tokio::test]
async fn packages_are_served_as_x_rpm() {
    use crate::config::Folders;
    use crate::store::key::{Key, MirrorFolder, RepositoryDir};

    let running = start(board());
    let (folders, repository) = (Folders::default(), RepositoryDir::new("el9"));
    let folder = MirrorFolder { revision: 7, repomd: rpmmd::checksum::Sha256::of(b""), key_id: None };
    let keys = [
        Key::Package { repository: &repository, href: "a/libx++-1.0~rc1.noarch.rpm" },
        Key::Package { repository: &repository, href: "a/B.RPM" },
        Key::Repomd { repository: &repository },
        Key::Signature { repository: &repository },
        Key::Metadata { repository: &repository, href: "repodata/1-primary.xml.gz" },
        Key::Metadata { repository: &repository, href: "repodata/1-primary.xml.zst" },
        Key::Metadata { repository: &repository, href: "repodata/1-comps.xml" },
        Key::MirrorFile { repository: &repository, folder: &folder, href: "repodata/repomd.xml" },
        Key::MirrorFile { repository: &repository, folder: &folder, href: "repodata/repomd.xml.asc" },
        Key::Mirrorlist { repository: &repository },
        Key::PublicKeys { name: "my-bucket" },
        Key::ClientFile { repository: &repository, name: "my-bucket" },
    ];
    for key in keys {
        let (path, attributes) = (key.path(&folders), key.attributes());
        let file = running.bucket.path().join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "some bytes").unwrap();
        let answer = running.raw(&format!("GET /{path} HTTP/1.1\r\nHost: x")).await;
        let header = |name: &str| {
            let found = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.map(str::to_owned)
        };
        // What the same object has in S3.
        let served = (header("content-type"), header("cache-control"));
        let stored = (Some(attributes.content_type.to_owned()), attributes.cache_control.map(str::to_owned));
        assert_eq!(served, stored, "{path}");
        if path.to_ascii_lowercase().ends_with(".rpm") {
            assert_eq!(served.0.as_deref(), Some("application/x-rpm"));
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_frees_the_port() {
    let running = start(board());
    let address = running.address;
    let client = web();
    client.get(format!("http://{address}/livez")).send().await.unwrap().text().await.unwrap();
    let started = std::time::Instant::now();
    running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    bind(address).unwrap();
}

#[tokio::test]
async fn a_taken_port_is_a_configuration_error_with_a_hint() {
    let running = start(board());
    let error = bind(running.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().unwrap().contains("--listen"));
    running.stop().await;
}
