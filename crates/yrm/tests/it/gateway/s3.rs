//! Buckets in S3: by addresses that are valid for minutes, and through the service.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use reqwest::Method;
use rpmmd::checksum::Sha256;

use super::hostile::{PATHS, get};
use super::{Place, ask, basic, dnf, repo_file, said, samples, zypper};
use crate::cli::yrm;
use crate::s3_server::server;
use crate::service::Serve;

#[tokio::test(flavor = "multi_thread")]
async fn dnf_and_zypper_install_from_a_private_bucket_by_addresses_and_through_the_service() {
    for is_signed in [false, true] {
        let place = Place::in_s3().await;
        if is_signed {
            let made = ["key", "generate", "--algorithm", "ed25519", "--out", "signing.key", "--output", "json"];
            assert!(yrm(place.path()).args(made).output().unwrap().status.success());
            fs::write(place.path().join("yrm.toml"), "signing-key = \"signing.key\"\nkey-name = \"ours\"\n").unwrap();
        }
        tokio::task::block_in_place(|| place.publish_samples(""));
        let token = place.path().join("token");
        fs::write(&token, place.token("machine", &["read"])).unwrap();
        for mode in ["redirect", "stream"] {
            let service = place.serve(&["--gateway", mode, "--path-style"]);
            let url = format!("http://{}/repo", service.address());
            let key = format!("{url}/RPM-GPG-KEY-ours");
            let mut more = vec!["--token-file", token.to_str().unwrap()];
            if is_signed {
                more.extend(["--gpgkey", &key]);
            }
            let folder = place.path().join(mode);
            let output = dnf(&folder, &repo_file(&place, &url, &more), &["greeter", "libgreet++"]);
            assert!(output.status.success(), "dnf, {mode}, signed {is_signed}: {}", said(&output));
            assert!(folder.join("root/usr/share/libgreet++/version").exists());
            let root = place.path().join(format!("{mode}-zypper"));
            for arguments in [&["refresh"][..], &["install", "greeter", "libgreet++"]] {
                let output = zypper(&place, &root, (&url, &more), arguments);
                assert!(output.status.success(), "zypper {arguments:?}, {mode}, signed {is_signed}: {}", said(&output));
            }
            assert!(
                root.join("usr/share/greeter/words").exists() && root.join("usr/share/libgreet++/version").exists()
            );
            let mut check = vec!["client", "check", &url, "--token-file", token.to_str().unwrap()];
            if is_signed {
                check.extend(["--gpgkey", &key]);
            }
            let check = place.json(&check);
            assert!(check["steps"].as_array().unwrap().iter().all(|step| step["verdict"] == "ok"), "{check:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_aws_knows_under_an_arn_that_was_let_in_is_let_in() {
    let place = Place::in_s3().await;
    tokio::task::block_in_place(|| place.publish("el9", "a"));
    let service = place.serve(&["--gateway-auth", "aws", "--path-style"]);
    let proof = |place: &Place| place.json(&["client", "identity"])["token"].as_str().unwrap().to_owned();
    let shown = proof(&place);
    assert!(shown.starts_with("yrm-aws-"), "{shown}");
    let path = "/repo/el9/a-1.rpm";
    let answer = ask(&service, Method::GET, path, Some(&basic("aws", &shown))).await;
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(status == 401 && text.contains("nobody has let this AWS identity in"), "{status} {text}");
    // moto's account has one name for all keys that nobody made.
    place.json(&["token", "create", "machines", "--scope", "read", "--arn", "arn:aws:sts::123456789012:user/*"]);
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let answer = ask(&service, Method::GET, path, Some(&basic("aws", &shown))).await;
    assert_eq!(answer.status().as_u16(), 302, "{}", answer.text().await.unwrap());
    // What is no such question, or asks somebody else, is not asked.
    let foreign = yrm::http::gateway::identity::proof_of("https://169.254.169.254/latest/meta-data/");
    assert_eq!(ask(&service, Method::GET, path, Some(&basic("aws", &foreign))).await.status().as_u16(), 401);
    let token = place.token("t", &["read"]);
    assert_eq!(super::status(&service, path, &token).await, 401, "tokens are not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_the_same_bytes_whatever_their_names_and_however_they_are_asked_for() {
    let place = Place::in_s3().await;
    tokio::task::block_in_place(|| place.publish_samples("el9"));
    let plus = samples().into_iter().find(|path| path.to_string_lossy().contains("++")).unwrap();
    let (name, bytes) = (plus.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&plus).unwrap());
    let spelt = |plus: &str| format!("/repo/el9/{}", name.replace('+', plus).replace('~', "%7e"));
    let token = place.token("t", &["read"]);
    let authorization = basic("token", &token);
    let (redirecting, streaming) =
        (place.serve(&["--path-style"]), place.serve(&["--gateway", "stream", "--path-style"]));
    let home = server().endpoint();
    for path in [spelt("+"), spelt("%2b"), spelt("%2B")] {
        let answer = ask(&redirecting, Method::GET, &path, Some(&authorization)).await;
        assert_eq!(answer.status().as_u16(), 302, "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        assert!(
            location.starts_with(home) && location.contains("%2B%2B") && location.contains("X-Amz-Expires=300"),
            "{location}"
        );
        assert!(!location.contains(&token));
        let fetched = reqwest::get(&location).await.unwrap();
        assert_eq!(Sha256::of(&fetched.bytes().await.unwrap()), Sha256::of(&bytes), "{path}");

        let answer = ask(&streaming, Method::GET, &path, Some(&authorization)).await;
        let headers = answer.headers().clone();
        assert_eq!(
            (answer.status().as_u16(), headers["content-type"].to_str().unwrap()),
            (200, "application/x-rpm"),
            "{path}"
        );
        assert!(headers.keys().all(|name| !name.as_str().starts_with("x-amz")), "{headers:?}");
        assert_eq!(Sha256::of(&answer.bytes().await.unwrap()), Sha256::of(&bytes), "{path}");
    }
    // What broke off goes on, what is known is not sent again, and HEAD has no bytes.
    let address = format!("http://{}{}", streaming.address(), spelt("%2B"));
    let client = reqwest::Client::new();
    let asked =
        |name: &str, value: &str| client.get(&address).basic_auth("token", Some(&token)).header(name, value).send();
    let part = asked("range", "bytes=100-").await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap().starts_with("bytes 100-")),
        (206, true)
    );
    let etag = part.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(part.bytes().await.unwrap()[..], bytes[100..]);
    assert_eq!(asked("if-none-match", &etag).await.unwrap().status().as_u16(), 304);
    assert_eq!(asked("range", "bytes=999999999-").await.unwrap().status().as_u16(), 416);
    let head = client.head(&address).basic_auth("token", Some(&token)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()),
        (200, bytes.len().to_string().as_str())
    );
    for service in [&streaming, &redirecting] {
        let answer = ask(service, Method::HEAD, &spelt("+"), Some(&authorization)).await;
        assert!(matches!(answer.status().as_u16(), 200 | 302));
    }
    assert_eq!(ask(&streaming, Method::GET, "/repo/el9/none.rpm", Some(&authorization)).await.status().as_u16(), 404);
    // curl goes on where it was cut, through either.
    for service in [&redirecting, &streaming] {
        let file = place.path().join("resumed.rpm");
        fs::write(&file, &bytes[..1_000]).unwrap();
        let user = format!("token:{token}");
        let url = format!("http://{}{}", service.address(), spelt("+"));
        let output =
            Command::new("curl").args(["-sSfL", "-C", "-", "-u", &user, "-o"]).arg(&file).arg(&url).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(Sha256::of(&fs::read(&file).unwrap()), Sha256::of(&bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_to_another_object_and_no_address_into_a_log() {
    let place = Place::in_s3().await;
    tokio::task::block_in_place(|| place.publish("el9", "a"));
    let bucket = place.bucket.strip_prefix("s3://").unwrap().to_owned();
    let token = place.token("all", &["admin"]);
    let log = place.path().join("access.log");
    let written = place.path().join("yrm.log");
    let service = place.serve(&[
        "--path-style",
        "--access-log",
        log.to_str().unwrap(),
        "--log-file",
        written.to_str().unwrap(),
        "-d",
    ]);
    let authorization = format!("Authorization: {}\r\n", basic("token", &token));
    let within = format!("location: {}/{bucket}/repo/", server().endpoint());
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for path in PATHS.into_iter().chain([
        "/repo/el9/a-1.rpm",
        "/repo/https://evil.example.org/a.rpm",
        "/repo/@evil.example.org/a.rpm",
    ]) {
        let answer = get(&service, path, &authorization);
        let status = answer.split(' ').nth(1).unwrap_or("closed").to_owned();
        *answered.entry(status.clone()).or_default() += 1;
        assert!(matches!(status.as_str(), "302" | "400" | "404" | "closed"), "{path}: {answer}");
        if status == "302" {
            assert!(answer.contains(&within), "{path}: {answer}");
            let key = answer.split_once(&within).unwrap().1.split('?').next().unwrap();
            assert!(!key.contains("..") && !key.to_ascii_lowercase().contains("%2e%2e"), "{path}: {answer}");
        }
    }
    assert!(answered["302"] >= 1, "{answered:?}");
    // Without a token nothing is said of the bucket.
    assert!(!get(&service, "/repo/el9/a-1.rpm", "").contains(&bucket));
    let secret = [token.as_str(), "X-Amz-Signature"];
    for file in [&log, &written] {
        let lines = super::logged(file);
        for secret in secret {
            assert!(!lines.contains(secret), "{secret} is in {}", file.display());
        }
    }
}

/// Status and headers of an answer, but for when it was made.
async fn answered(service: &Serve, method: Method, path: &str, authorization: Option<&str>) -> (u16, Vec<String>) {
    let answer = ask(service, method, path, authorization).await;
    let mut headers: Vec<String> = answer.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.retain(|header| !header.starts_with("date"));
    headers.sort();
    (answer.status().as_u16(), headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_gets_the_same_answer_as_who_comes_first_and_nobody_else_does() {
    let place = Place::in_s3().await;
    let (all, some) = (place.token("all", &["read"]), place.token("some", &["read:el8"]));
    let log = place.path().join("access.log");
    let service = place.serve(&["--path-style", "--access-log", log.to_str().unwrap()]);
    let path = "/repo/el9/a%2Bb-1.noarch.rpm";
    let by_all = basic("token", &all);
    let first = answered(&service, Method::GET, path, Some(&by_all)).await;
    assert_eq!(first.0, 302, "{first:?}");
    for authorization in [by_all.clone(), basic(&all, ""), format!("Bearer {all}")] {
        assert_eq!(answered(&service, Method::GET, path, Some(&authorization)).await, first);
    }
    let head = answered(&service, Method::HEAD, path, Some(&by_all)).await;
    assert_eq!(answered(&service, Method::HEAD, path, Some(&by_all)).await, head);
    assert!(head.0 == 302 && head.1 != first.1, "an address is for one method");
    let mut wrong = all.clone();
    wrong.replace_range(20..21, if wrong[20..].starts_with('a') { "b" } else { "a" });
    for (authorization, status) in
        [(None, 401), (Some(basic("token", &wrong)), 401), (Some(basic("token", &some)), 403)]
    {
        assert_eq!(answered(&service, Method::GET, path, authorization.as_deref()).await.0, status);
    }
    assert_eq!(answered(&service, Method::POST, path, Some(&by_all)).await.0, 405);
    for odd in ["/repo/el9/../../.yrm/bucket.toml", "/repo/el9/%2e%2e/%2e%2e/inbox/a.rpm", "/repo/.hidden"] {
        assert_eq!(answered(&service, Method::GET, odd, Some(&by_all)).await.0, 404, "{odd}");
    }
    place.json(&["token", "revoke", "all", "--yes"]);
    let began = std::time::Instant::now();
    while answered(&service, Method::GET, path, Some(&by_all)).await.0 == 302 {
        assert!(began.elapsed().as_secs() < 10, "it is still let in");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let lines = super::logged(&log);
    let redirected = lines.lines().filter(|line| line.contains("\" 302 0 ") && line.contains(" - all [")).count();
    assert!(redirected >= 6, "each is told: {lines}");
    assert!(!lines.contains("X-Amz") && !lines.contains(&all), "{lines}");
}
