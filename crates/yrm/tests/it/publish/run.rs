//! What one run does when nobody interferes.

use forge::Value;
use rpmmd::compress::Compression;
use yrm::bucket::history;
use yrm::bucket::receipt::{self, Receipt};
use yrm::bucket::report::Report;
use yrm::config::Repositories;
use yrm::store::Store as _;

use super::world::{World, policy, rpm};

fn codes(report: &Report) -> Vec<(&str, &str)> {
    report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect()
}

/// Changes one letter of the summary: a sound header, but not the one that was built.
fn with_a_flipped_letter(mut bytes: Vec<u8>) -> Vec<u8> {
    let summary = b"of the tests";
    let at = bytes.windows(summary.len()).position(|window| window == summary).unwrap();
    bytes[at] ^= 0x20;
    bytes
}

#[tokio::test]
async fn a_package_goes_from_the_inbox_to_the_same_sub_folder_of_the_repository() {
    let world = World::new(policy());
    let bytes = rpm("hello", "1.0").build();
    let etag = world.drop_bytes("a/b/c/hello-1.0-1.noarch.rpm", bytes.clone()).await;
    let report = world.run().await;

    assert_eq!(world.inbox(), Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["a/b/c/hello-1.0-1.noarch.rpm"]);
    assert_eq!(world.bytes("repo/a/b/c/hello-1.0-1.noarch.rpm").await.unwrap(), bytes);
    assert_eq!(report.inbox_keys, ["inbox/a/b/c/hello-1.0-1.noarch.rpm"]);
    assert_eq!(report.skipped_keys, Vec::<String>::new());
    assert_eq!(report.published[0].nevra, "hello-1.0-1.noarch");
    let receipt = receipt::read(world.publisher.bucket(), "a/b/c/hello-1.0-1.noarch.rpm", &etag).await.unwrap();
    assert_eq!(receipt, Some(Receipt::Published(report.published[0].clone())));
    assert_eq!(history::load(world.publisher.bucket(), 60).await.unwrap(), [report]);
    world.assert_clean().await;
}

#[tokio::test]
async fn an_idle_run_makes_one_list_request_and_no_write() {
    let world = World::new(policy());
    world.drop_rpm("hello.rpm", &rpm("hello", "1.0")).await;
    world.run().await;
    // Folder markers and empty keys are not work.
    world.drop_bytes("folder/", "").await;
    world.drop_bytes("empty.rpm", "").await;
    let report = world.run().await;
    assert_eq!(report.inbox_keys, Vec::<String>::new());
    assert_eq!((report.usage.reads, report.usage.writes), (1, 0));
    assert!(!report.did_work());
}

#[tokio::test]
async fn bad_files_are_rejected_with_a_reason_while_good_ones_publish() {
    let world = World::new(policy());
    let good = rpm("good", "1").build();
    world.drop_bytes("a-html.rpm", "<html>502 Bad Gateway</html>").await;
    world.drop_bytes("b-cut-header.rpm", good[..300].to_vec()).await;
    world.drop_bytes("c-cut-payload.rpm", good[..good.len() - 5].to_vec()).await;
    world.drop_bytes("d-damaged.rpm", with_a_flipped_letter(rpm("d", "1").build())).await;
    world.drop_bytes("e-trailing.rpm", [good.as_slice(), b"more"].concat()).await;
    world.drop_rpm("f-name.rpm", &rpm("../../etc", "1")).await;
    world.drop_rpm("repodata/g.rpm", &rpm("g", "1")).await;
    world.drop_rpm("h//../h.rpm", &rpm("h", "1")).await;
    world.drop_bytes("z-good.rpm", good).await;
    let report = world.run().await;

    assert_eq!(world.hrefs("").await, ["z-good.rpm"]);
    assert_eq!(
        codes(&report),
        [
            ("inbox/a-html.rpm", "E_NOT_RPM"),
            ("inbox/b-cut-header.rpm", "E_TRUNCATED"),
            ("inbox/c-cut-payload.rpm", "E_TRUNCATED"),
            ("inbox/d-damaged.rpm", "E_DIGEST_MISMATCH"),
            ("inbox/e-trailing.rpm", "E_HEADER_INVALID"),
            ("inbox/f-name.rpm", "E_POLICY_NAME"),
            ("inbox/h//../h.rpm", "E_BAD_KEY"),
            ("inbox/repodata/g.rpm", "E_BAD_KEY"),
        ]
    );
    assert_eq!(world.inbox(), Vec::<String>::new());
    for rejected in &report.rejected {
        assert!(rejected.quarantine_key.starts_with("quarantine/") && !rejected.quarantine_key.contains(".."));
        assert!(world.bytes(&rejected.quarantine_key).await.is_some(), "nothing is lost: {}", rejected.quarantine_key);
        let record = world.bytes(&format!("{}.json", rejected.quarantine_key)).await.unwrap();
        assert_eq!(serde_json::from_slice::<yrm::bucket::report::Rejected>(&record).unwrap(), *rejected);
    }
    world.assert_clean().await;
}

#[tokio::test]
async fn the_same_bytes_again_are_a_success_without_a_change() {
    let world = World::new(policy());
    world.drop_rpm("hello.rpm", &rpm("hello", "1.0")).await;
    world.run().await;
    let before = world.bytes("repo/repodata/repomd.xml").await;
    world.drop_rpm("hello.rpm", &rpm("hello", "1.0")).await;
    let report = world.run().await;
    assert!(report.published[0].already_there);
    assert_eq!(world.bytes("repo/repodata/repomd.xml").await, before);
    assert_eq!(world.inbox(), Vec::<String>::new());
}

#[tokio::test]
async fn other_bytes_under_a_taken_path_or_name_are_a_conflict() {
    let world = World::new(policy());
    world.drop_rpm("hello.rpm", &rpm("hello", "1.0")).await;
    world.run().await;
    let published = world.bytes("repo/hello.rpm").await;
    world.drop_rpm("hello.rpm", &rpm("hello", "1.0").description("rebuilt")).await;
    world.drop_rpm("other/hello.rpm", &rpm("hello", "1.0").description("rebuilt")).await;
    world.drop_rpm("twins/a.rpm", &rpm("twin", "1").description("a")).await;
    world.drop_rpm("twins/b.rpm", &rpm("twin", "1").description("b")).await;
    let report = world.run().await;
    assert_eq!(
        codes(&report),
        [
            ("inbox/hello.rpm", "E_CONFLICT"),
            ("inbox/other/hello.rpm", "E_CONFLICT"),
            ("inbox/twins/b.rpm", "E_CONFLICT"),
        ]
    );
    assert_eq!(world.hrefs("").await, ["hello.rpm", "twins/a.rpm"]);
    assert_eq!(world.bytes("repo/hello.rpm").await, published);
    world.assert_clean().await;
}

#[tokio::test]
async fn every_folder_can_be_a_repository_and_what_lies_above_is_rejected() {
    let world = World::new(yrm::config::Policy { repositories: Repositories::Depth(1), ..policy() });
    world.drop_rpm("el8/a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("el9/x86_64/a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("top.rpm", &rpm("top", "1")).await;
    let report = world.run().await;
    assert_eq!(world.hrefs("el8/").await, ["a.rpm"]);
    assert_eq!(world.hrefs("el9/").await, ["x86_64/a.rpm"]);
    assert_eq!(codes(&report), [("inbox/top.rpm", "E_NO_REPOSITORY")]);
    world.assert_clean().await;
}

#[tokio::test]
async fn odd_but_legal_names_keep_their_spelling() {
    let world = World::new(policy());
    let keys = ["libstdc++/libstdc++-2.0~rc1^git-1.noarch.rpm", "with space/ü%2B.rpm"];
    world.drop_rpm(keys[0], &rpm("libstdc++", "2.0~rc1^git")).await;
    world.drop_rpm(keys[1], &rpm("umlaut", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, keys);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_header_longer_than_the_first_guess_is_read_in_a_second_request() {
    let world = World::new(policy());
    let mut big = rpm("big", "1");
    for entry in 0..40 {
        big = big.changelog(1_700_000_000 + entry, "Somebody <s@example.org> - 1-1", "x".repeat(4000));
    }
    world.drop_rpm("big.rpm", &big).await;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["big.rpm"]);
    world.assert_clean().await;
}

#[tokio::test]
async fn zstd_can_be_chosen_and_switched_to() {
    let gz = World::new(policy());
    gz.drop_rpm("a.rpm", &rpm("a", "1")).await;
    gz.run().await;
    let zstd = yrm::config::Policy { compression: Compression::Zstd, ..policy() };
    let second = yrm::publish::Publisher::new(gz.memory.clone(), zstd).unwrap();
    gz.drop_rpm("b.rpm", &rpm("b", "1")).await;
    gz.run_by(&second).await;
    assert_eq!(gz.hrefs("").await, ["a.rpm", "b.rpm"]);
    let repomd = String::from_utf8(gz.bytes("repo/repodata/repomd.xml").await.unwrap().to_vec()).unwrap();
    assert!(repomd.contains("primary.xml.zst") && !repomd.contains(".xml.gz"));
    gz.assert_clean().await;
}

#[tokio::test]
async fn published_objects_carry_types_and_lifetimes_for_clients() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    let repomd = world.memory.head("repo/repodata/repomd.xml").await.unwrap().unwrap();
    assert!(repomd.user.contains_key("commit-id"));
    let attributes = |key: &str| world.memory.versions(key).pop().flatten().expect("it exists").attributes;
    assert_eq!(attributes("repo/repodata/repomd.xml").cache_control, Some("no-cache"));
    assert_eq!(attributes("repo/a.rpm").cache_control, Some("public, max-age=31536000, immutable"));
    for key in world.memory.keys().iter().filter(|key| key.ends_with(".xml.gz")) {
        assert_eq!(attributes(key).content_type, "application/gzip");
    }
}

#[tokio::test]
async fn a_package_with_text_no_client_can_read_is_published_in_a_readable_form() {
    let world = World::new(policy());
    let odd =
        rpm("odd", "1").description("bell \u{7} and \u{FFFE}").tag(1015, Value::text(b"caf\xe9 <&>\"'".as_slice()));
    world.drop_rpm("odd.rpm", &odd).await;
    world.run().await;
    assert_eq!(world.packages("").await[0].description, "bell \u{FFFD} and \u{FFFD}");
    world.assert_clean().await;
}
