//! Keys that want to climb out, to pass for something of ours, or to break what names them: in
//! memory and over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rpmmd::repodata;
use rpmmd::repomd::Repomd;
use yrm::bucket::report::Report;
use yrm::store::Store;

use crate::equality::assert_well_formed;
use crate::publish::world::{World, policy, rpm};

/// A path below the inbox, where a sound package lies; and whether that may be published.
type Key = (String, bool);

fn keys() -> Vec<Key> {
    let bad = [
        "../up.rpm",
        "a/../../../up.rpm",
        "..",
        "a/./dot.rpm",
        "a//empty.rpm",
        "/leading.rpm",
        "//leading.rpm",
        "/../leading.rpm",
        "%2e%2e/encoded.rpm",
        "a/%2E%2e/encoded.rpm",
        "\u{1}.rpm",
        "new\nline.rpm",
        "carriage\rreturn.rpm",
        "tab\t.rpm",
        "\u{7f}.rpm",
        "\u{85}.rpm",
        "\u{fffe}.rpm",
        "\u{ffff}.rpm",
        "back\\slash.rpm",
        "..\\up.rpm",
        "repodata/repomd.xml",
        "repodata/inside.rpm",
        "a/repodata/inside.rpm",
        ".yrm/catalog/inside.rpm",
        "a/.yrm/inside.rpm",
        ".rpm",
        "a.rpm/b.rpm",
        "marker-with-bytes.rpm/",
        "not-named-rpm",
    ];
    let good = [
        "<>&'\".rpm",
        "]]></location><package>.rpm",
        "-->.rpm",
        "<!DOCTYPE x>.rpm",
        "e\u{301}.rpm",
        "\u{e9}.rpm",
        "\u{202e}mpr.rpm",
        "\u{feff}.rpm",
        "\u{2028}.rpm",
        "q?x=1&y=2.rpm",
        "#fragment.rpm",
        "100%.rpm",
        "%2f..%2f.rpm",
        "a+b c.rpm",
        "inbox/inbox.rpm",
        "repo/repo.rpm",
        "quarantine/quarantine.rpm",
        "yrm/x.rpm",
        "repodata.rpm",
        "https:/example.com/x.rpm",
    ];
    // 1,024 bytes with the inbox's own six, in characters of four bytes, and folders that fit a name.
    let long = format!("{}{}.rpm", format!("{}/", "\u{1f389}".repeat(50)).repeat(5), "x".repeat(1024 - 6 - 1005 - 4));
    assert_eq!("inbox/".len() + long.len(), 1024);
    let owned = |keys: &[&str], may: bool| keys.iter().map(|key| ((*key).to_owned(), may)).collect::<Vec<_>>();
    [owned(&bad, false), owned(&good, true), vec![(long, true)]].concat()
}

/// What lies beside the folders that `yrm` may write in, under names that begin like theirs.
const BYSTANDERS: [&str; 7] = ["up.rpm", "inboxes/a", "repository/a", "repo", ".yrmx", "quarantined/a", "etc/passwd"];

fn package(number: usize) -> Vec<u8> {
    rpm(&format!("key-{number}"), "1").build()
}

fn assert_answers(report: &Report, keys: &[Key]) {
    assert_eq!((report.errors.clone(), report.waiting.clone()), (Vec::new(), Vec::new()));
    let published: BTreeSet<&str> = report.published.iter().map(|published| published.inbox_key.as_str()).collect();
    let rejected: BTreeMap<&str, &str> =
        report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect();
    for (path, may) in keys {
        let key = format!("inbox/{path}");
        assert_eq!(published.contains(key.as_str()), *may, "{key:?}");
        assert_eq!(rejected.get(key.as_str()), if *may { None } else { Some(&"E_BAD_KEY") }, "{key:?}");
    }
    assert_eq!(published.len() + rejected.len(), keys.len());
}

/// Whether `yrm` may write there.
fn is_ours(key: &str) -> bool {
    let plain = |rest: &str| yrm::store::key::is_plain_path(rest);
    ["repo/", "quarantine/", ".yrm/"].iter().any(|folder| key.strip_prefix(folder).is_some_and(plain))
}

/// Every metadata file is well-formed for libxml2, and ours read from them what was published.
async fn assert_metadata(store: &dyn Store) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("repodata")).unwrap();
    let repomd = store.get("repo/repodata/repomd.xml", None).await.unwrap().unwrap().bytes;
    fs::write(folder.path().join("repodata/repomd.xml"), &repomd).unwrap();
    let repomd = Repomd::read(&repomd).unwrap();
    let mut files = Vec::new();
    for kind in ["primary", "filelists", "other"] {
        let href = &repomd.record(kind).unwrap().href;
        let file = store.get(&format!("repo/{href}"), None).await.unwrap().unwrap().bytes;
        fs::write(folder.path().join(href), &file).unwrap();
        files.push(file);
    }
    assert_well_formed(folder.path());
    let packages = repodata::read(&files[0], &files[1], &files[2]).unwrap();
    let hrefs: BTreeSet<String> = packages.into_iter().map(|package| package.href.into_owned()).collect();
    assert_eq!(hrefs, keys().into_iter().filter(|(_, may)| *may).map(|(path, _)| path).collect());
}

#[tokio::test]
async fn no_key_leads_outside_in_memory() {
    let world = World::new(policy());
    let bystanders = BYSTANDERS.map(str::to_owned);
    for key in &bystanders {
        crate::publish::world::put(world.memory.as_ref(), key, key.clone()).await;
    }
    for (number, (path, _)) in keys().into_iter().enumerate() {
        world.drop_bytes(&path, package(number)).await;
    }
    let dropped: BTreeSet<String> = world.memory.keys_ever().into_iter().collect();
    let report = world.run().await;
    assert_answers(&report, &keys());
    for key in world.memory.keys_ever().iter().filter(|key| !dropped.contains(*key)) {
        assert!(is_ours(key), "{key:?} was written");
    }
    for key in &bystanders {
        assert_eq!(world.memory.versions(key).len(), 1, "{key:?} was touched");
    }
    // In the inbox nothing was written: every key's history is its upload and its removal.
    assert_eq!(world.inbox(), Vec::<String>::new());
    for key in dropped.iter().filter(|key| key.starts_with("inbox/")) {
        assert_eq!(world.memory.versions(key).len(), 2, "{key:?}");
    }
    assert_metadata(world.memory.as_ref()).await;
    world.assert_clean().await;
}

#[cfg(feature = "aws")]
mod on_s3 {
    use aws_sdk_s3::Client;
    use yrm::check::{Depth, check};
    use yrm::publish::{Publisher, RunId, Unwatched};
    use yrm::store::s3::Limits;

    use super::*;
    use crate::s3_server::server;

    async fn upload(client: &Client, bucket: &str, key: &str, bytes: Vec<u8>) {
        client.put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_key_leads_outside_over_http() {
        let bucket = server().make_bucket().await;
        let client = server().client();
        // A newline is no part of any path that this server routes.
        let keys: Vec<Key> = keys().into_iter().filter(|(path, _)| !path.contains('\n')).collect();
        for key in BYSTANDERS {
            upload(&client, &bucket, key, key.as_bytes().to_vec()).await;
        }
        for (number, (path, _)) in keys.iter().enumerate() {
            upload(&client, &bucket, &format!("inbox/{path}"), package(number)).await;
        }
        let store = server().store(&bucket, "", Limits::default());
        // The server holds every key as it was meant: what it had changed would prove nothing.
        let listed = all_keys(&store, "inbox/").await;
        assert_eq!(listed, keys.iter().map(|(path, _)| format!("inbox/{path}")).collect());

        let publisher = Publisher::new(std::sync::Arc::new(store), policy()).unwrap();
        let run = RunId { id: ulid::Ulid::new(), started: jiff::Timestamp::now() };
        let report = publisher.run(run, &Unwatched).await.unwrap();
        assert_answers(&report, &keys);
        let left = all_keys(publisher.bucket().store.as_ref(), "").await;
        assert_eq!(left.iter().filter(|key| !is_ours(key)).count(), BYSTANDERS.len(), "{left:?}");
        for key in BYSTANDERS {
            let body = client.get_object().bucket(&bucket).key(key).send().await.unwrap().body.collect().await.unwrap();
            assert_eq!(body.to_vec(), key.as_bytes(), "{key:?} was touched");
        }
        assert_metadata(publisher.bucket().store.as_ref()).await;
        let findings = check(publisher.bucket(), Depth::Deep).await.unwrap();
        assert!(findings.clean(), "{findings:#?}");
    }
}

async fn all_keys(store: &dyn Store, prefix: &str) -> BTreeSet<String> {
    let (mut keys, mut after) = (BTreeSet::new(), None);
    loop {
        let page = store.list(prefix, after.as_deref()).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}
