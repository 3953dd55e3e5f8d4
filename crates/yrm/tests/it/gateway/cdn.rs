//! Clients install from a closed bucket through a CDN that does what its template says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use rpmmd::checksum::Sha256;

use super::front::Front;
use super::hostile::{PATHS, get_at};
use super::{Place, dnf, repo_file, said, samples, zypper};
use crate::cli::yrm;
use crate::s3_server::server;

/// The bucket's name.
fn bucket(place: &Place) -> String {
    place.bucket.strip_prefix("s3://").unwrap().to_owned()
}

fn cdn(place: &Place, more: &[&str]) -> Front {
    Front::start(&[&["cdn", "--endpoint", server().endpoint(), "--bucket", &bucket(place)], more].concat())
}

/// With a key, whoever publishes signs with it, and names each revision in `mirrorlist`.
async fn place(is_signed: bool) -> Place {
    let place = Place::in_s3().await;
    if is_signed {
        let made = ["key", "generate", "--algorithm", "ed25519", "--out", "signing.key", "--output", "json"];
        assert!(yrm(place.path()).args(made).output().unwrap().status.success());
        let settings = "signing-key = \"signing.key\"\nkey-name = \"ours\"\nmirrorlist = true\n\
                        public-url = \"https://rpms.example.org/repo\"\n";
        fs::write(place.path().join("yrm.toml"), settings).unwrap();
    }
    tokio::task::block_in_place(|| {
        place.publish_samples("");
        place.publish_version("", "caret", "1.0^git1");
    });
    place
}

/// The files of the repository that S3 was asked for, and whether the CDN has signed it.
async fn asked(place: &Place) -> Vec<(String, bool)> {
    let below = format!("GET /{}/repo/", bucket(place));
    let all = server().requests_with_headers(&bucket(place)).await.into_iter();
    all.filter_map(|(line, headers)| {
        let path = line.strip_prefix(&below)?.split(' ').next()?.to_owned();
        Some((path, headers.get("x-amz-security-token").is_some_and(|token| token == "cdn")))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dnf_and_zypper_install_through_the_cdn_and_see_what_is_published_meanwhile() {
    clients_install(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dnf_and_zypper_install_signed_metadata_through_the_cdn_too() {
    clients_install(true).await;
}

async fn clients_install(is_signed: bool) {
    let place = place(is_signed).await;
    let cdn = cdn(&place, &[]);
    let (url, key) = (cdn.url(), format!("{}/RPM-GPG-KEY-ours", cdn.url()));
    let more = if is_signed { vec!["--gpgkey", key.as_str()] } else { Vec::new() };
    server().reset_requests(&bucket(&place)).await;
    let root = place.path().join("zypper");
    let dnf_installs = |folder: &str, packages: &[&str]| {
        let output = dnf(&place.path().join(folder), &repo_file(&place, &url, &more), packages);
        assert!(output.status.success(), "dnf: {}", said(&output));
    };
    let zypper_does = |arguments: &[&str]| {
        let output = zypper(&place, &root, (&url, &more), arguments);
        assert!(output.status.success(), "zypper {arguments:?}: {}", said(&output));
    };
    tokio::task::block_in_place(|| {
        dnf_installs("dnf", &["greeter", "libgreet++", "caret"]);
        zypper_does(&["install", "greeter", "libgreet++", "caret"]);
    });
    for client in [place.path().join("dnf/root"), root.clone()] {
        assert_eq!(installed(&client), BTreeSet::from(["greeter", "libgreet++"]), "{}", client.display());
    }
    // The bucket's packages left it once for all clients, and only the CDN asked.
    let asked = asked(&place).await;
    assert!(asked.iter().all(|(_, is_the_cdn)| *is_the_cdn), "{asked:?}");
    for name in ["greeter-1.1", "libgreet"] {
        let fetched = asked.iter().filter(|(path, _)| path.starts_with(name)).count();
        assert_eq!(fetched, 1, "{name}: {asked:?}");
    }
    tokio::task::block_in_place(|| {
        place.publish("", "late");
        dnf_installs("another", &["late"]);
        // zypper's second refresh is the one that looks at what it has.
        zypper_does(&["refresh"]);
        zypper_does(&["install", "late"]);
        let check = place.json(&[&["client", "check", &url][..], &more].concat());
        assert!(check["steps"].as_array().unwrap().iter().all(|step| step["verdict"] == "ok"), "{check:#}");
    });
}

/// Which sample packages have left their files there.
fn installed(root: &Path) -> BTreeSet<&'static str> {
    let files = [("greeter", "usr/share/greeter/words"), ("libgreet++", "usr/share/libgreet++/version")];
    files.into_iter().filter(|(_, file)| root.join(file).exists()).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_yrm_swaps_is_compared_each_time_and_what_it_never_changes_is_kept() {
    let place = place(true).await;
    let cdn = cdn(&place, &[]);
    let client = server().client();
    let listed = client.list_objects_v2().bucket(bucket(&place)).prefix("repo/").send().await.unwrap();
    let (mut swapped, mut kept) = (0, 0);
    for object in listed.contents() {
        let key = object.key().unwrap();
        let head = client.head_object().bucket(bucket(&place)).key(key).send().await.unwrap();
        let path = format!("/{key}");
        let first = cdn.ask(Method::GET, &path, &[]).await;
        assert_eq!(first.status().as_u16(), 200, "{key}");
        let again = cdn.ask(Method::GET, &path, &[]).await.headers()["x-cache"].to_str().unwrap().to_owned();
        if head.cache_control().unwrap().contains("no-cache") {
            assert_eq!(again, "RefreshHit from cloudfront", "{key}");
            swapped += 1;
        } else {
            assert_eq!(again, "Hit from cloudfront", "{key}");
            kept += 1;
        }
    }
    // repomd.xml, its signature, the key, mirrorlist; packages, package lists, the revision's own folder.
    assert!(swapped >= 4 && kept > 8, "{swapped} {kept}");

    let revision = async |path| cdn.ask(Method::GET, path, &[]).await.text().await.unwrap();
    let before = revision("/repo/repodata/repomd.xml").await;
    tokio::task::block_in_place(|| place.publish("", "late"));
    assert_ne!(revision("/repo/repodata/repomd.xml").await, before, "the switch is seen at once");
    // An error is kept for a second, as the file may be there the next moment.
    let missing = async || cdn.ask(Method::GET, "/repo/later-1-1.noarch.rpm", &[]).await.status().as_u16();
    assert_eq!(missing().await, 403);
    tokio::task::block_in_place(|| place.publish("", "later"));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(missing().await, 403, "it lies under the name it was uploaded with");
    assert_eq!(cdn.ask(Method::GET, "/repo/later-1.rpm", &[]).await.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_beside_repo_leaves_through_the_cdn_and_plus_needs_its_function() {
    let place = place(false).await;
    let client = server().client();
    for key in ["inbox/secret-1.rpm", "quarantine/secret-1.rpm", "yrm-x86_64", "repository/secret"] {
        let put = client.put_object().bucket(bucket(&place)).key(key).body(b"secret".to_vec().into());
        put.send().await.unwrap();
    }
    let (cdn, bare) = (cdn(&place, &[]), cdn(&place, &["--without-function"]));
    let beside =
        ["/", "/repo", "/repo/", "/inbox/secret-1.rpm", "/yrm-x86_64", "/repository/secret", "/.yrm/blocks.json"];
    for path in PATHS.into_iter().chain(beside) {
        for (front, what) in [(&cdn, "the CDN"), (&bare, "the policy alone")] {
            let answer = get_at(front.address(), path, "");
            let status = answer.split(' ').nth(1).unwrap_or("closed");
            assert!(matches!(status, "400" | "403" | "404" | "closed"), "{what}, {path}: {answer}");
            assert!(!answer.contains("secret\n") && !answer.ends_with("secret"), "{what}, {path}: {answer}");
        }
    }
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(cdn.ask(method, "/repo/repodata/repomd.xml", &[]).await.status().as_u16(), 403);
    }
    let file = samples().into_iter().find(|path| path.to_string_lossy().contains("++")).unwrap();
    let (name, bytes) = (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&file).unwrap());
    for plus in ["+", "%2b", "%2B"] {
        let path = format!("/repo/{}", name.replace('+', plus));
        let answer = cdn.ask(Method::GET, &path, &[]).await;
        assert_eq!(Sha256::of(&answer.bytes().await.unwrap()), Sha256::of(&bytes), "{path}");
        let expected = if plus == "+" { 403 } else { 200 };
        assert_eq!(bare.ask(Method::GET, &path, &[]).await.status().as_u16(), expected, "{path}");
    }
}
