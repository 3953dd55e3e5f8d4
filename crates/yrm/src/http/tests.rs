use std::io::{Read as _, Write as _};

use tempfile::TempDir;

use super::*;
use crate::board::tests::{report, time};
use crate::sched::stop_pair;

/// A service on a port of its own, over a directory bucket; stopped when dropped.
struct Running {
    address: SocketAddr,
    bucket: TempDir,
    stopper: crate::sched::Stopper,
    task: tokio::task::JoinHandle<()>,
}

async fn start(board: Board) -> Running {
    let bucket = TempDir::new().unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = stop_pair();
    let faces = Faces {
        board: Arc::new(board),
        recorder: metrics::install(),
        files: Some(RepoFiles { bucket: bucket.path().to_owned(), repo: "repo".to_owned() }),
        listen: address,
        now: || time(3_600),
    };
    Running { address, bucket, stopper, task: tokio::spawn(answer(listener, faces, stop)) }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
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
    board.run_finished(report(0, &[], &[]));
    board.run_finished(report(60, &["inbox/a.rpm", "inbox/el9/b<x>.rpm"], &["inbox/el9/b<x>.rpm"]));
    board.run_finished(report(120, &["inbox/c.rpm"], &[]));
    let running = start(board).await;
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
    let runs = (0..60).map(|second| report(second, &["inbox/a.rpm"], &[])).collect();
    let board = board();
    board.remember(runs);
    let running = start(board).await;
    let history: serde_json::Value = serde_json::from_str(&running.get("/history").await.1).unwrap();
    let entries = history["previousRuns"].as_array().unwrap();
    assert_eq!(entries.len(), 60);
    assert_eq!(entries[0]["timestamp"], "2026-11-22 20:00:30.000000");
    assert!(entries[59]["skippedKeys"].is_array());
    running.stop().await;
}

#[tokio::test]
async fn a_hostile_host_header_is_not_repeated() {
    let running = start(board()).await;
    let answer = running.raw("GET / HTTP/1.1\r\nHost: evil\"><script>").await;
    assert!(!answer.contains("script"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn health_metrics_and_unknown_addresses() {
    let running = start(board()).await;
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
    let running = start(board()).await;
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
async fn a_stop_ends_idle_connections_and_frees_the_port() {
    let running = start(board()).await;
    let address = running.address;
    let client = reqwest::Client::new();
    client.get(format!("http://{address}/livez")).send().await.unwrap().text().await.unwrap();
    let started = std::time::Instant::now();
    running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    bind(address).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_a_configuration_error_with_a_hint() {
    let running = start(board()).await;
    let error = bind(running.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().unwrap().contains("--listen"));
    running.stop().await;
}
