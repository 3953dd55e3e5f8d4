//! What only S3 can do wrong: refusals, lost replies, errors in a 200, prefixes, parts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use yrm::error::ErrorKind;
use yrm::store::probe::probe;
use yrm::store::s3::{Limits, S3Store};
use yrm::store::settle::{Copied, Settled, copy_settled, delete_settled, put_settled};
use yrm::store::{Attributes, Copy, ETag, Object, Outcome, PutIf, Store as _, Stored};

use crate::s3_server::server;

async fn bucket() -> (String, S3Store) {
    let bucket = server().make_bucket().await;
    let store = server().store(&bucket, "", Limits::default());
    (bucket, store)
}

async fn put(store: &S3Store, key: &str, bytes: &'static str, condition: PutIf) -> Outcome<Stored> {
    store.put(key, Bytes::from_static(bytes.as_bytes()), &Attributes::default(), condition).await.unwrap()
}

async fn write(store: &S3Store, key: &str, bytes: &'static str) -> Object {
    let outcome = put(store, key, bytes, PutIf::Always).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{key:?}: {outcome:?}");
    store.head(key).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_fault_of_a_conditional_put_has_its_own_outcome_and_settles() {
    let (bucket, store) = bucket().await;
    for kind in ["slowdown", "500", "drop", "lost-reply", "409"] {
        let line = format!("^PUT /{bucket}/{kind}");
        server().break_next(kind, &line, 1).await;
        let outcome = put(&store, &format!("{kind}/once"), "x", PutIf::Absent).await;
        match kind {
            "409" => assert!(matches!(outcome, Outcome::Conflict), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Ambiguous(_)), "{kind}: {outcome:?}"),
        }
        let requests = server().requests(&bucket).await;
        let once = format!("PUT /{bucket}/{kind}/once");
        let sent =
            requests["log"].as_array().unwrap().iter().filter(|line| line.as_str().unwrap().starts_with(&once)).count();
        assert_eq!(sent, 1, "a conditional put is never repeated by itself: {requests}");
        let applied = store.head(&format!("{kind}/once")).await.unwrap().is_some();
        assert_eq!(applied, kind == "lost-reply", "{kind}");

        server().break_next(kind, &line, 2).await;
        let key = format!("{kind}/settled");
        let ours = Bytes::from_static(b"ours");
        let settled = put_settled(&store, &key, &ours, &Attributes::default(), &PutIf::Absent).await.unwrap();
        assert!(matches!(settled, Settled::Won(_)), "{kind}: {settled:?}");
        assert_eq!(store.get(&key, None).await.unwrap().unwrap().bytes, ours);
    }
}

#[tokio::test]
async fn a_fault_during_the_probe_is_not_taken_for_a_store_that_cannot() {
    let (bucket, store) = bucket().await;
    let undisturbed = probe(&store).await.unwrap();
    assert!(undisturbed.rows.iter().all(|row| row.ok), "{undisturbed:?}");
    for kind in ["slowdown", "500", "drop", "lost-reply", "409"] {
        for call in [
            "PUT .*/absent",
            "PUT .*/match",
            "PUT .*/race",
            "COPY .*/copy-target",
            "COPY .*/changed",
            "DELETE .*/delete",
        ] {
            let (method, key) = call.split_once(' ').unwrap();
            server().break_next(kind, &format!("^{method} /{bucket}/.yrm/probe/{key}"), 1).await;
        }
        server().break_next(kind, &format!("^COPY /{bucket}/.yrm/probe/.*/digested"), 1).await;
        let disturbed = probe(&store).await.unwrap();
        assert_eq!(disturbed.abilities, undisturbed.abilities, "{kind}: {disturbed:#?}");
    }
}

#[tokio::test]
async fn a_store_that_never_answers_the_probe_is_unavailable_and_not_unfit() {
    let (bucket, store) = bucket().await;
    server().break_next("slowdown", &format!("^PUT /{bucket}/.yrm/probe/.*/absent"), 1_000).await;
    let error = probe(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
}

#[tokio::test]
async fn a_lost_reply_to_the_switch_is_won_and_a_beaten_one_is_lost() {
    let (bucket, store) = bucket().await;
    let before = write(&store, "repomd.xml", "before").await;
    let condition = PutIf::Matches(before.etag);
    server().break_next("lost-reply", &format!("^PUT /{bucket}/repomd.xml"), 1).await;
    let (ours, theirs) = (Bytes::from_static(b"ours"), Bytes::from_static(b"theirs"));
    let settled = put_settled(&store, "repomd.xml", &ours, &Attributes::default(), &condition).await.unwrap();
    assert!(matches!(settled, Settled::Won(_)), "{settled:?}");
    server().break_next("drop", &format!("^PUT /{bucket}/repomd.xml"), 1).await;
    let settled = put_settled(&store, "repomd.xml", &theirs, &Attributes::default(), &condition).await.unwrap();
    assert!(matches!(settled, Settled::Lost), "{settled:?}");
    assert_eq!(store.get("repomd.xml", None).await.unwrap().unwrap().bytes, ours);
}

#[tokio::test]
async fn every_fault_of_a_copy_has_its_own_outcome_and_settles() {
    let (bucket, store) = bucket().await;
    let attributes = Attributes::default();
    let source = write(&store, "source", "rpm").await;
    for kind in ["slowdown", "500", "drop", "lost-reply", "409", "200-error"] {
        let line = format!("^COPY /{bucket}/{kind}");
        server().break_next(kind, &line, 1).await;
        let target = format!("{kind}/once");
        let outcome = store.copy(Copy::of(&source, &target, &attributes)).await.unwrap();
        match kind {
            "409" => assert!(matches!(outcome, Outcome::Conflict), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Ambiguous(_)), "{kind}: {outcome:?}"),
        }
        server().break_next(kind, &line, 2).await;
        let target = format!("{kind}/settled");
        let copied = copy_settled(&store, Copy::of(&source, &target, &attributes)).await;
        let copied = copied.unwrap();
        assert!(matches!(copied, Copied::Done(_) | Copied::Found(_)), "{kind}: {copied:?}");
        assert_eq!(store.get(&target, None).await.unwrap().unwrap().bytes, "rpm");
    }
}

#[tokio::test]
async fn every_fault_of_a_delete_has_its_own_outcome_and_settles() {
    let (bucket, store) = bucket().await;
    for kind in ["slowdown", "500", "drop", "lost-reply", "409"] {
        let object = write(&store, kind, "x").await;
        let line = format!("^DELETE /{bucket}/{kind}");
        server().break_next(kind, &line, 1).await;
        let outcome = store.delete(kind, &object.etag).await.unwrap();
        match kind {
            "409" => assert!(matches!(outcome, Outcome::Conflict), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Ambiguous(_)), "{kind}: {outcome:?}"),
        }
        server().break_next(kind, &line, 1).await;
        let settled = delete_settled(&store, kind, &object.etag).await.unwrap();
        assert_eq!(settled, Settled::Won(()), "{kind}");
        assert_eq!(store.head(kind).await.unwrap(), None);
    }
}

#[tokio::test]
async fn reads_are_repeated_and_a_refusal_is_never_absence() {
    let (bucket, store) = bucket().await;
    write(&store, "k", "x").await;
    for kind in ["slowdown", "500", "drop"] {
        server().break_next(kind, &format!("^GET /{bucket}/k"), 1).await;
        server().break_next(kind, &format!("^HEAD /{bucket}/k"), 1).await;
        server().break_next(kind, &format!("^LIST /{bucket}"), 1).await;
        assert_eq!(store.get("k", None).await.unwrap().unwrap().bytes, "x");
        assert!(store.head("k").await.unwrap().is_some());
        assert_eq!(store.list("", None).await.unwrap().objects.len(), 1);
    }
    server().break_next("403", &format!(" /{bucket}"), 6).await;
    let attributes = Attributes::default();
    let refusals = [
        store.get("k", None).await.unwrap_err(),
        store.head("k").await.unwrap_err(),
        store.list("", None).await.unwrap_err(),
        store.put("k", Bytes::new(), &attributes, PutIf::Absent).await.unwrap_err(),
        store.delete("k", &ETag::new("x")).await.unwrap_err(),
        store.put("k", Bytes::new(), &attributes, PutIf::Always).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.kind(), ErrorKind::Denied, "{}", refusal.chain());
    }
}

#[tokio::test]
async fn a_store_that_keeps_silent_leaves_the_outcome_open() {
    let (bucket, _) = bucket().await;
    let hasty = Limits { read_timeout: Duration::from_millis(300), ..Limits::default() };
    let store = server().store(&bucket, "", hasty);
    server().delay_next(1.0, &format!("^PUT /{bucket}/k")).await;
    let outcome = put(&store, "k", "x", PutIf::Absent).await;
    assert!(matches!(outcome, Outcome::Ambiguous(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_missing_bucket_or_endpoint_is_never_an_empty_bucket() {
    let store = server().store("no-such-bucket-here", "", Limits::default());
    assert_eq!(store.list("", None).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(store.get("k", None).await.unwrap_err().kind(), ErrorKind::Config);
    let put = store.put("k", Bytes::new(), &Attributes::default(), PutIf::Absent).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Config);
    let nowhere = server().client_config().endpoint_url("http://127.0.0.1:1");
    let store = S3Store::with_client(nowhere, "bucket", "", Limits::default());
    assert_eq!(store.list("", None).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// Rust's own way to show a value, which is nobody's language.
fn assert_in_words(text: &str) {
    for debug in ["{ ", "Error(", "Some(", "unhandled error", "service error", "dispatch failure", "hint=\"\""] {
        assert!(!text.contains(debug), "{debug:?} in {text}");
    }
}

#[tokio::test]
async fn slowdown_says_did_not_answer() {
    let (bucket, store) = bucket().await;
    for (kind, expected) in
        [("slowdown", "asks for fewer requests (SlowDown)"), ("403", "AccessDenied"), ("500", "Internal")]
    {
        server().break_next(kind, &format!("^PUT /{bucket}/{kind}"), 10).await;
        let put = store.put(kind, Bytes::new(), &Attributes::default(), PutIf::Absent).await;
        let told = match put {
            Ok(Outcome::Ambiguous(error)) | Err(error) => error.chain(),
            other => panic!("{other:?}"),
        };
        assert!(told.contains(expected), "{kind}: {told}");
        assert_in_words(&told);
    }
    let store = server().store("no-such-bucket-here", "", Limits::default());
    let told = store.list("", None).await.unwrap_err().chain();
    assert_eq!(told, "listing \"\": there is no such bucket (NoSuchBucket)");
    let nowhere = server().client_config().endpoint_url("http://127.0.0.1:1");
    let told = S3Store::with_client(nowhere, "bucket", "", Limits::default()).list("", None).await.unwrap_err().chain();
    assert!(told.contains("there is no connection: ") && told.contains("Connection refused"), "{told}");
    assert_in_words(&told);
}

#[tokio::test]
async fn without_credentials_the_program_says_so_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = crate::cli::yrm(directory.path());
    let known = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE"];
    command.envs(server().environment().into_iter().filter(|(name, _)| known.contains(name)));
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = command.args(["run", "--path-style", "--bucket", "s3://my-bucket"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("no credentials were found") && told.contains("hint: give credentials"), "{told}");
    assert_in_words(&told);
}

#[tokio::test]
async fn a_machine_without_a_region_is_told_so_in_words() {
    let directory = tempfile::tempdir().unwrap();
    // Something answers there, and it is no instance's metadata.
    for verbosity in [&[][..], &["-v"]] {
        let mut command = crate::cli::yrm(directory.path());
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", server().endpoint());
        let output = command.args(["run", "--bucket", "s3://my-bucket"]).args(verbosity).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("finding the region of the bucket my-bucket"), "{told}");
        assert_in_words(&told);
    }
}

#[tokio::test]
async fn doctor_leaves_nothing_in_the_bucket() {
    let bucket = server().make_bucket().await;
    let directory = tempfile::tempdir().unwrap();
    let mut command = crate::cli::yrm(directory.path());
    command.envs(server().environment()).args(["doctor", "--path-style", "--bucket", &format!("s3://{bucket}")]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let left = server().client().list_objects_v2().bucket(&bucket).send().await.unwrap();
    assert!(left.contents().is_empty(), "{left:?}");
    let uploads = server().client().list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert!(uploads.uploads().is_empty(), "{uploads:?}");
}

#[tokio::test]
async fn what_is_stored_beside_the_bytes_survives_and_a_copy_replaces_it() {
    let (bucket, store) = bucket().await;
    let user = |value: &str| BTreeMap::from([("commit-id".to_owned(), value.to_owned())]);
    let attributes =
        Attributes { content_type: "text/xml", cache_control: Some("no-cache"), user: user("one"), class: None };
    store.put("a", Bytes::from_static(b"x"), &attributes, PutIf::Absent).await.unwrap();
    let source = store.head("a").await.unwrap().unwrap();
    assert_eq!(source.user, user("one"));
    assert_eq!(store.get("a", None).await.unwrap().unwrap().object.user, user("one"));
    let other = Attributes { content_type: "application/x-rpm", cache_control: None, user: user("two"), class: None };
    store.copy(Copy::of(&source, "b", &other)).await.unwrap();
    assert_eq!(store.head("b").await.unwrap().unwrap().user, user("two"));
    for (key, attributes) in [("a", attributes), ("b", other)] {
        let head = server().client().head_object().bucket(&bucket).key(key).send().await.unwrap();
        assert_eq!(
            (head.content_type(), head.cache_control()),
            (Some(attributes.content_type), attributes.cache_control)
        );
        assert_eq!(head.content_encoding(), None);
    }
}

#[tokio::test]
async fn a_prefix_keeps_its_neighbours_out() {
    let bucket = server().make_bucket().await;
    let whole = server().store(&bucket, "", Limits::default());
    let (team, team2) =
        (server().store(&bucket, "team", Limits::default()), server().store(&bucket, "/team2/", Limits::default()));
    for (store, key) in [(&team, "inbox/a"), (&team2, "inbox/b"), (&whole, "inbox/c"), (&whole, "team/")] {
        write(store, key, "x").await;
    }
    let keys = async |store: &S3Store| {
        store.list("", None).await.unwrap().objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&team).await, ["inbox/a"]);
    assert_eq!(keys(&team2).await, ["inbox/b"]);
    assert_eq!(keys(&whole).await, ["inbox/c", "team/", "team/inbox/a", "team2/inbox/b"]);
    assert_eq!(team.head("inbox/b").await.unwrap(), None);
}

#[tokio::test]
async fn keys_that_no_file_system_takes_do_not_break_a_listing() {
    let (_, store) = bucket().await;
    let long = format!("inbox/{}", "é".repeat(509));
    // A newline too is legal on S3, but moto's router takes none: the memory store stands in there.
    let mut keys = vec!["inbox/\u{1}", "inbox//x", "inbox/plain", "inbox/folder/", &long];
    keys.sort_unstable();
    for key in &keys {
        write(&store, key, "x").await;
    }
    let listed: Vec<String> =
        store.list("inbox/", None).await.unwrap().objects.into_iter().map(|object| object.key).collect();
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn what_is_too_large_goes_in_parts_under_the_same_conditions() {
    const PART: u64 = 5 << 20;
    let bucket = server().make_bucket().await;
    let small = Limits {
        single_put_bytes: PART,
        single_copy_bytes: PART,
        part_bytes: PART,
        copy_part_bytes: PART,
        ..Limits::default()
    };
    let store = server().store(&bucket, "", small);
    let body: Vec<u8> = (0..12 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.rpm");
    std::fs::write(&file, &body).unwrap();
    let attributes = Attributes { content_type: "application/x-rpm", ..Attributes::default() };
    let stored = store.put_file("inbox/large+1.rpm", &file, &attributes).await.unwrap();
    let source = store.head("inbox/large+1.rpm").await.unwrap().unwrap();
    assert_eq!((&source.etag, source.size_bytes), (&stored.etag, body.len() as u64));

    let copy = Copy::of(&source, "repo/large+1.rpm", &attributes);
    let line = format!("^POST /{bucket}/repo/.*uploadId");
    for (kind, done) in [("200-error", false), ("lost-reply", true)] {
        server().break_next(kind, &line, 1).await;
        let outcome = store.copy(copy).await.unwrap();
        assert!(matches!(outcome, Outcome::Ambiguous(_)), "{kind}: {outcome:?}");
        assert_eq!(store.head(copy.target).await.unwrap().is_some(), done, "{kind}");
    }
    assert_eq!(store.get(copy.target, None).await.unwrap().unwrap().bytes, body);
    assert!(matches!(store.copy(copy).await.unwrap(), Outcome::Lost));
    let elsewhere = Copy { target: "repo/elsewhere", ..copy };
    let copied = copy_settled(&store, elsewhere).await.unwrap();
    let Copied::Done(Stored { sha256: None, .. }) = copied else { panic!("parts have no whole digest: {copied:?}") };
    let changed = Object { etag: ETag::new("00000000000000000000000000000000"), ..source.clone() };
    assert!(matches!(store.copy(Copy { source: &changed, target: "repo/x", ..copy }).await.unwrap(), Outcome::Lost));
    let uploads = server().client().list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert!(uploads.uploads().is_empty(), "nothing unfinished stays: {uploads:?}");
}
