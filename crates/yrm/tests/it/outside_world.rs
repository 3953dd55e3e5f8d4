//! What is outside may fail for as long as it likes: credentials that expire, Datadog, the disk
//! of the cache. Real processes, and HTTP between them and the store.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::cli::yrm;
use super::publish::world::rpm;
use super::service::{Serve, drop_file};

fn json(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `check --deep` finds these packages and nothing else to say.
fn assert_clean(command: &mut Command, packages: usize) {
    let findings = json(&command.args(["check", "--deep", "--output", "json"]).output().unwrap());
    let repository = &findings["repositories"][0];
    assert_eq!((&repository["packages"], &repository["hashed"]), (&packages.into(), &packages.into()));
    assert_eq!(repository["problems"], Value::Array(Vec::new()));
}

/// One run that drops `rpms` and a bad file into a directory's bucket; what it reports, without
/// what differs between any two runs.
fn run_with_datadog(site: Option<&str>) -> Value {
    let directory = TempDir::new().unwrap();
    drop_file(directory.path(), "a.rpm", &rpm("a", "1").build());
    drop_file(directory.path(), "junk.rpm", b"not a package");
    let mut command = yrm(directory.path());
    command.args(["run", "-b", "./b", "--output", "json"]);
    if let Some(site) = site {
        command.args(["--datadog-api-key", "k3y", "--datadog-site", site]);
    }
    let mut report = json(&command.output().unwrap());
    assert_clean(yrm(directory.path()).args(["-b", "./b"]), 1);
    for changing in ["run", "started", "duration_ms", "usage"] {
        assert!(report.as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    for repository in report["repositories"].as_array_mut().unwrap() {
        repository.as_object_mut().unwrap().remove("revision_after");
    }
    for file in ["published", "rejected"] {
        // A directory's ETag names the file itself.
        let file = report[file][0].as_object_mut().unwrap();
        file.retain(|name, _| name != "etag" && name != "quarantine_key");
    }
    report
}

#[test]
fn a_run_ends_the_same_whatever_datadog_does() {
    use std::io::{Read as _, Write as _};
    let undisturbed = run_with_datadog(None);
    assert_eq!(undisturbed["published"].as_array().unwrap().len(), 1);
    let address = |listener: &std::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());

    // It takes the connection, and that is all: this listener is never asked for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(run_with_datadog(Some(&address(&silent))), undisturbed);
    let (mut connection, _) = silent.accept().unwrap();
    let mut request = [0; 4];
    connection.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"POST", "it was asked, and the run ended without its answer");

    let refusing = address(&std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    assert_eq!(run_with_datadog(Some(&refusing)), undisturbed);

    let failing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = address(&failing);
    let answering = std::thread::spawn(move || {
        let (mut connection, _) = failing.accept().unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).unwrap();
        connection.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(run_with_datadog(Some(&site)), undisturbed);
    answering.join().unwrap();
}

#[tokio::test]
async fn runs_follow_each_other_while_datadog_keeps_silent() {
    let directory = TempDir::new().unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = format!("http://{}", silent.local_addr().unwrap());
    drop_file(directory.path(), "a.rpm", &rpm("a", "1").build());
    let mut command = yrm(directory.path());
    command.args(["serve", "-b", "./b", "--listen", "127.0.0.1:0", "-t", "1", "--log-format", "json", "-v"]);
    command.args(["--datadog-api-key", "k3y", "--datadog-site", &site]);
    let mut serve = Serve::spawn(&mut command);
    assert_eq!(serve.logged("run done")["published"], 1);
    let _unanswered = silent.accept().await.unwrap();
    for number in 0..3 {
        drop_file(directory.path(), &format!("b{number}.rpm"), &rpm(&format!("b{number}"), "1").build());
        while serve.logged("run done")["published"] != 1 {}
    }
    assert_eq!(serve.get("/readyz").await.0, 200);
    assert_eq!(serve.terminate().0, Some(0));
    assert_clean(yrm(directory.path()).args(["-b", "./b"]), 4);
}

#[cfg(feature = "aws")]
mod on_s3 {
    use std::path::Path;
    use std::process::Stdio;

    use super::*;
    use crate::s3_server::server;

    /// More requests than any of these tests makes.
    const FOR_LONG: u32 = 1_000_000;

    async fn upload(bucket: &str, path: &str, bytes: Vec<u8>) {
        let key = format!("inbox/{path}");
        server().client().put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
    }

    async fn inbox(bucket: &str) -> Vec<String> {
        let listed = server().client().list_objects_v2().bucket(bucket).prefix("inbox/").send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn while_credentials_are_expired_the_service_lives_says_why_and_loses_nothing() {
        // S3 answers 400; what stands before it, and other stores, 403.
        for kind in ["expired", "expired-403"] {
            let directory = TempDir::new().unwrap();
            let bucket = server().make_bucket().await;
            upload(&bucket, "a.rpm", rpm("a", "1").build()).await;
            let mut command = yrm(directory.path());
            server().lead(&mut command, &bucket);
            command.args(["serve", "--listen", "127.0.0.1:0", "-t", "1", "--log-format", "json", "-v"]);
            let mut serve = Serve::spawn(&mut command);
            assert_eq!(serve.logged("run done")["published"], 1);
            assert_eq!(serve.get("/readyz").await.0, 200);

            // The service's requests, and no uploader's.
            server().break_next(kind, &format!("^(?!PUT /{bucket}/inbox/)[A-Z]+ /{bucket}"), FOR_LONG).await;
            for name in ["b", "c"] {
                upload(&bucket, &format!("{name}.rpm"), rpm(name, "1").build()).await;
            }
            for _ in 0..4 {
                let failed = serve.logged("the run failed");
                assert_eq!(failed["kind"], "denied", "{failed}");
            }
            let (status, why) = serve.get("/readyz").await;
            assert_eq!(status, 503);
            assert!(why.contains("ExpiredToken"), "{why}");
            assert_eq!(serve.get("/livez").await.0, 200);

            server().mend(&bucket).await;
            assert_eq!(inbox(&bucket).await, ["inbox/b.rpm", "inbox/c.rpm"], "nothing is lost meanwhile");
            // One run may have begun before; of those that follow the second must be done.
            let published = (0..2).map(|_| serve.logged("run done")["published"].as_u64().unwrap_or(0)).sum::<u64>();
            assert_eq!(published, 2);
            assert_eq!(serve.get("/readyz").await, (200, r#"{"status":"ready"}"#.to_owned()));
            assert_eq!(inbox(&bucket).await, Vec::<String>::new());
            assert_eq!(serve.terminate().0, Some(0));
            let mut check = yrm(directory.path());
            server().lead(&mut check, &bucket);
            assert_clean(&mut check, 3);
        }
    }

    /// `yrm` on a disk that takes not one byte more: every write to a file fails as on a full one.
    fn on_a_full_disk(directory: &Path, bucket: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin");
        // Past the limit the kernel sends a signal first; ignored, the write fails with EFBIG.
        command.args(["-c", r#"trap '' XFSZ; ulimit -f 0; exec "$0" "$@""#, env!("CARGO_BIN_EXE_yrm")]).args(arguments);
        server().lead(&mut command, bucket);
        command.env("YRM_CACHE_DIR", directory.join("cache")).stdin(Stdio::null());
        command
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_under_the_cache_stops_nothing() {
        let directory = TempDir::new().unwrap();
        let bucket = server().make_bucket().await;
        // So many names that no compressor can shorten that the metadata is too large to be held in memory.
        for part in 0..4 {
            let name = format!("many{part}");
            let mut many = rpm(&name, "1");
            for number in 0..62_500_u32 {
                let name: [u8; 56] = std::array::from_fn(|_| b'A' + rand::random::<u8>() % 58);
                let name: String =
                    name.iter().map(|&byte| if byte.is_ascii_alphabetic() { byte as char } else { '-' }).collect();
                many = many.file(forge::File::new(format!("/m/{number:x}{name}"), ""));
            }
            upload(&bucket, &format!("{name}.rpm"), many.build()).await;
        }
        for name in ["a", "b", "c"] {
            upload(&bucket, &format!("{name}.rpm"), rpm(name, "1").build()).await;
            // Each time a new process, which has to fetch what is published.
            let output = on_a_full_disk(directory.path(), &bucket, &["run", "--output", "json"]).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(told.contains("not kept in the cache"), "the disk is not full: {told}");
            assert!(told.contains("using memory instead"), "no temporary file was needed: {told}");
            let report = json(&output);
            assert_eq!(report["errors"], Value::Array(Vec::new()), "{told}");
            assert_eq!(inbox(&bucket).await, Vec::<String>::new());
        }
        let written = std::fs::read_dir(directory.path().join("cache")).unwrap();
        assert_eq!(written.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>(), 0);
        let mut check = yrm(directory.path());
        server().lead(&mut check, &bucket);
        assert_clean(&mut check, 7);
    }
}
