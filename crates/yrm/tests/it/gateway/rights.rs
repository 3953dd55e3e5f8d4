//! Tokens: made, shown once, scoped, revoked, and never in a log.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::Method;

use super::{Place, ask, basic, said, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_to_its_folders_until_it_is_revoked() {
    let place = Place::new();
    place.json(&["settings", "set", "repositories", "per-folder"]);
    place.publish("el9", "nine");
    place.publish("el8", "eight");
    let (nine, all) = (place.token("nine", &["read:el9/*"]), place.token("all", &["read"]));
    let service = place.serve(&[]);
    let repomd = |folder: &str| format!("/repo/{folder}/repodata/repomd.xml");

    let closed = ask(&service, Method::GET, &repomd("el9"), None).await;
    assert_eq!(closed.status().as_u16(), 401);
    assert!(closed.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert!(closed.text().await.unwrap().contains("give a token as user name or password"));
    for (token, folder, expected) in
        [(&nine, "el9", 200), (&nine, "el8", 403), (&all, "el8", 200), (&all, "el9", 200), (&all, "el7", 404)]
    {
        assert_eq!(status(&service, &repomd(folder), token).await, expected, "{folder}");
    }
    let forbidden = ask(&service, Method::GET, &repomd("el8"), Some(&basic("token", &nine))).await;
    assert!(forbidden.text().await.unwrap().contains("nine may read:el9/*, and this is not among that"));
    assert_eq!(status(&service, "/repo/el9/nine-1.rpm", &nine).await, 200);
    // As a user name, and as what a bearer has.
    for authorization in [basic(&nine, ""), format!("Bearer {nine}")] {
        assert_eq!(ask(&service, Method::GET, &repomd("el9"), Some(&authorization)).await.status().as_u16(), 200);
    }
    // Public keys need none: zypper and rpm fetch them without a password.
    assert_eq!(ask(&service, Method::GET, "/repo/RPM-GPG-KEY-none", None).await.status().as_u16(), 404);
    place.json(&["token", "revoke", "nine", "--yes"]);
    let began = Instant::now();
    while status(&service, &repomd("el9"), &nine).await == 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is still let in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(&service, &repomd("el9"), &all).await, 200);
}

#[test]
fn tokens_are_shown_once_listed_by_name_and_on_record() {
    let place = Place::new();
    place.publish("el9", "a");
    let made = place.json(&[
        "token",
        "create",
        "ci",
        "--scope",
        "read:el9/*",
        "--scope",
        "upload",
        "--expires",
        "90d",
        "--reason",
        "the build farm",
    ]);
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("yrm_") && made["scopes"] == serde_json::json!(["read:el9/*", "upload"]), "{made:#}");
    let listed = place.json(&["token", "list"]);
    assert_eq!((listed[0]["name"].as_str(), listed[0]["by"].as_str()), (Some("ci"), Some("ada@desk")));
    assert_eq!(listed[0]["last_use"], serde_json::Value::Null);
    // Nowhere but in what was printed.
    let mut folders = vec![place.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{}", path.display());
            }
        }
    }
    let again = place.yrm(&["token", "create", "ci", "--scope", "read"]);
    assert!(!again.status.success() && said(&again).contains("there is one of that name"), "{}", said(&again));
    for (arguments, why) in [
        (&["token", "create", "x", "--scope", "write"][..], "is nothing that somebody may do"),
        (&["token", "create", "a/b", "--scope", "read"], "it is no name for a token"),
        (&["token", "create", "x", "--scope", "read", "--expires", "soon"], "such as 90d, 12h or never"),
        (&["token", "create", "x", "--scope", "read", "--arn", "everybody"], "it names no identity of one account"),
        (&["token", "revoke", "cj", "--yes"], "did you mean ci?"),
        (&["token", "show", "cj"], "did you mean ci?"),
    ] {
        let output = place.yrm(arguments);
        assert!(output.status.code() == Some(2) && said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
    let planned = place.json(&["token", "create", "later", "--scope", "read", "--dry-run"]);
    assert_eq!((planned["token"].as_str(), place.json(&["token", "list"]).as_array().unwrap().len()), (None, 1));
    place.json(&["token", "revoke", "ci", "--yes", "--reason", "it is on a wiki"]);
    assert_eq!(place.json(&["token", "list"]), serde_json::json!([]));
    let history = place.json(&["history"]);
    let of =
        |operation: &str| history.as_array().unwrap().iter().find(|run| run["operation"] == operation).unwrap().clone();
    let (made, revoked) = (of("token"), of("revoke"));
    assert_eq!((made["by"].as_str(), made["marked"][0]["name"].as_str()), (Some("ada@desk"), Some("ci")));
    assert_eq!(revoked["reason"].as_str(), Some("it is on a wiki"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_waits_and_a_good_token_is_noted_when_it_is_used() {
    let place = Place::new();
    place.publish("", "a");
    let good = place.token("good", &["read"]);
    let gone = place.token("gone", &["read"]);
    place.json(&["token", "revoke", "gone", "--yes"]);
    let short = place.json(&["token", "create", "short", "--scope", "read", "--expires", "1s"]);
    let log = place.path().join("access.log");
    let service = place.serve(&["--access-log", log.to_str().unwrap(), "--trusted-proxies", "127.0.0.1"]);
    let path = "/repo/repodata/repomd.xml";
    assert_eq!(status(&service, path, &good).await, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status(&service, path, short["token"].as_str().unwrap()).await, 401, "its time is over");
    assert_eq!(status(&service, path, &gone).await, 401);
    let mut statuses = Vec::new();
    for guess in 0..30 {
        let text = format!("{}{guess:02}", &good[..good.len() - 2]);
        statuses.push(status(&service, path, &text).await);
    }
    assert_eq!((statuses[0], statuses[29]), (401, 429), "{statuses:?}");
    assert_eq!(status(&service, path, &good).await, 429, "the address waits, whoever it is");
    // Another address, by the proxy's word, does not.
    let client = reqwest::Client::new();
    let other = client.get(format!("http://{}{path}", service.address())).header("x-forwarded-for", "198.51.100.7");
    assert_eq!(other.basic_auth("token", Some(&good)).send().await.unwrap().status().as_u16(), 200);
    let began = Instant::now();
    while place.json(&["token", "show", "good"])["last_use"].is_null() {
        assert!(began.elapsed() < Duration::from_secs(20), "its use was not noted");
    }
    let lines = super::logged(&log);
    assert!(
        lines.contains("198.51.100.7 - good [") && lines.contains("\"GET /repo/repodata/repomd.xml HTTP/1.1\" 200"),
        "{lines}"
    );
    assert!(!lines.contains("yrm_") && !lines.contains("Basic"), "{lines}");
}

#[tokio::test]
async fn who_is_let_in_to_packages_only_does_not_see_what_others_upload() {
    let place = Place::new();
    place.publish_samples("el9");
    let (all, some) = (place.token("all", &["read"]), place.token("some", &["read:el9"]));
    let service = place.serve(&[]);
    for path in ["/", "/history", "/scheduledJobs", "/metrics"] {
        assert_eq!(ask(&service, Method::GET, path, None).await.status(), 401, "{path}");
        assert_eq!(status(&service, path, &some).await, 403, "{path}");
        assert_eq!(status(&service, path, &all).await, 200, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&service, Method::GET, path, None).await.status(), 200, "health checks show nothing");
    }
    drop(service);
    let service = place.serve(&["--api-access", "loopback", "--trusted-proxies", "127.0.0.1"]);
    assert_eq!(ask(&service, Method::GET, "/history", None).await.status(), 200);
    let answer = super::hostile::get(&service, "/history", "x-forwarded-for: 192.0.2.7\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    drop(service);
    let service = place.serve(&["--api-access", "public"]);
    assert_eq!(ask(&service, Method::GET, "/history", None).await.status(), 200);
}
