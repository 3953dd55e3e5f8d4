//! What every store must do, run against each of them.

use bytes::Bytes;
use futures::future::join_all;
use rpmmd::checksum::Sha256;
use yrm::store::body::{Body, Spool};
use yrm::store::probe::probe;
use yrm::store::{Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, PutIf, Reused, Store, Stored};

/// Runs every behaviour against every store.
macro_rules! conformance {
    ($($behaviour:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $behaviour() {
                super::$behaviour(&yrm::store::memory::MemoryStore::new()).await;
            })*
        }
        mod directory {
            $(#[tokio::test] async fn $behaviour() {
                let root = tempfile::tempdir().unwrap();
                super::$behaviour(&yrm::store::local::DirectoryStore::open(root.path()).unwrap()).await;
            })*
        }
        mod rehearsal {
            $(#[tokio::test] async fn $behaviour() {
                let inner = std::sync::Arc::new(yrm::store::memory::MemoryStore::new());
                let rehearsal = yrm::store::rehearsal::Rehearsal::of(inner.clone(), jiff::Timestamp::now());
                super::$behaviour(&rehearsal).await;
                assert_eq!(inner.keys_ever(), Vec::<String>::new(), "nothing is written to the bucket itself");
            })*
        }
        #[cfg(feature = "aws")]
        mod s3 {
            $(#[tokio::test] async fn $behaviour() {
                super::$behaviour(&crate::s3_server::server().make_store().await).await;
            })*
        }
        #[cfg(feature = "aws")]
        mod s3_below_a_prefix {
            $(#[tokio::test] async fn $behaviour() {
                let server = crate::s3_server::server();
                let bucket = server.make_bucket().await;
                super::$behaviour(&server.store(&bucket, "a+b c/d", yrm::store::s3::Limits::default())).await;
            })*
        }
    };
}

conformance! {
    what_is_put_is_what_is_read
    an_absent_object_is_none
    put_if_absent_applies_once
    put_if_match_replaces_only_what_was_seen
    of_racing_puts_if_absent_one_wins
    of_racing_puts_if_match_one_wins
    a_copy_has_the_bytes_and_their_digest
    a_copy_keeps_both_its_conditions
    of_racing_copies_one_wins
    a_delete_takes_only_what_was_seen
    odd_keys_survive
    ranges_are_clipped
    an_empty_object_is_an_object
    a_listing_is_in_byte_order_and_whole
    a_listing_begins_behind_any_key
    a_file_is_stored_whatever_was_there
    a_body_is_joined_from_ranges_of_objects_and_keeps_its_condition
    a_join_from_an_object_that_changed_is_refused
    a_large_body_is_sent_but_for_what_the_store_has
    a_body_that_is_only_begun_gets_the_rest_from_an_object
    the_probe_finds_every_ability_and_leaves_nothing
}

const NOBODYS: &str = "00000000000000000000000000000000";

async fn put(store: &dyn Store, key: &str, bytes: impl Into<Bytes>, condition: PutIf) -> Outcome<Stored> {
    store.put(key, bytes.into(), &Attributes::default(), condition).await.unwrap()
}

async fn write(store: &dyn Store, key: &str, bytes: impl Into<Bytes>) -> ETag {
    done(put(store, key, bytes, PutIf::Always).await).etag
}

async fn copy(store: &dyn Store, source: &Object, target: &str) -> Outcome<Stored> {
    store.copy(Copy::of(source, target, &Attributes::default())).await.unwrap()
}

async fn seen(store: &dyn Store, key: &str) -> Object {
    store.head(key).await.unwrap().unwrap()
}

async fn bytes(store: &dyn Store, key: &str) -> Bytes {
    store.get(key, None).await.unwrap().unwrap().bytes
}

async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(prefix, after.as_deref()).await.unwrap();
        assert!(page.objects.len() <= 1000);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

fn done<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Done(made) => made,
        Outcome::Lost | Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_) => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn one_winner<T: std::fmt::Debug>(outcomes: &[Outcome<T>]) -> usize {
    let winners: Vec<usize> =
        (0..outcomes.len()).filter(|writer| matches!(outcomes[*writer], Outcome::Done(_))).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    winners[0]
}

async fn what_is_put_is_what_is_read(store: &dyn Store) {
    let stored = done(put(store, "a/b", "hello", PutIf::Always).await);
    let head = seen(store, "a/b").await;
    let read = store.get("a/b", None).await.unwrap().unwrap();
    let page = store.list("a/", None).await.unwrap();
    assert_eq!(read.bytes, "hello");
    for object in [&head, &read.object, &page.objects[0]] {
        assert_eq!((object.key.as_str(), &object.etag, object.size_bytes), ("a/b", &stored.etag, 5));
        assert!(object.modified.as_second() > 1_700_000_000);
        assert!(object.sha256.is_none_or(|sha256| sha256 == Sha256::of(b"hello")));
    }
    assert_eq!((page.objects.len(), page.next), (1, None));
}

async fn an_absent_object_is_none(store: &dyn Store) {
    write(store, "there/x", "x").await;
    for key in ["nothing", "there", "there/x/y", "there/y"] {
        assert_eq!(store.head(key).await.unwrap(), None, "{key}");
        assert_eq!(store.get(key, None).await.unwrap(), None, "{key}");
        assert_eq!(store.get(key, Some(0..10)).await.unwrap(), None, "{key}");
        let delete = store.delete(key, &ETag::new(NOBODYS)).await.unwrap();
        assert!(matches!(delete, Outcome::Missing), "{key}: {delete:?}");
    }
}

async fn put_if_absent_applies_once(store: &dyn Store) {
    done(put(store, "k", "one", PutIf::Absent).await);
    let second = put(store, "k", "two", PutIf::Absent).await;
    assert!(matches!(second, Outcome::Lost), "{second:?}");
    assert_eq!(bytes(store, "k").await, "one");
}

async fn put_if_match_replaces_only_what_was_seen(store: &dyn Store) {
    let missing = put(store, "k", "x", PutIf::Matches(ETag::new(NOBODYS))).await;
    assert!(matches!(missing, Outcome::Missing), "{missing:?}");
    assert_eq!(store.head("k").await.unwrap(), None);
    let first = write(store, "k", "one").await;
    let second = done(put(store, "k", "two", PutIf::Matches(first.clone())).await).etag;
    assert_ne!(first, second);
    let late = put(store, "k", "three", PutIf::Matches(first)).await;
    assert!(matches!(late, Outcome::Lost), "{late:?}");
    assert_eq!(bytes(store, "k").await, "two");
}

async fn of_racing_puts_if_absent_one_wins(store: &dyn Store) {
    for round in 0..5 {
        let key = format!("race/{round}");
        let puts = (0..8).map(|writer| put(store, &key, format!("writer {writer}"), PutIf::Absent));
        let winner = one_winner(&join_all(puts).await);
        assert_eq!(bytes(store, &key).await, format!("writer {winner}"));
    }
}

async fn of_racing_puts_if_match_one_wins(store: &dyn Store) {
    let mut etag = write(store, "k", "start").await;
    for round in 0..5 {
        let condition = PutIf::Matches(etag.clone());
        let puts = (0..8).map(|writer| put(store, "k", format!("{round} {writer}"), condition.clone()));
        let winner = one_winner(&join_all(puts).await);
        assert_eq!(bytes(store, "k").await, format!("{round} {winner}"));
        etag = seen(store, "k").await.etag;
    }
}

async fn a_copy_has_the_bytes_and_their_digest(store: &dyn Store) {
    let body = Bytes::from(vec![7; 300_000]);
    write(store, "inbox/a", body.clone()).await;
    let copied = done(copy(store, &seen(store, "inbox/a").await, "repo/x/y/a").await);
    assert_eq!(copied.sha256, Some(Sha256::of(&body)));
    assert_eq!(copied.etag, seen(store, "repo/x/y/a").await.etag);
    assert_eq!(bytes(store, "repo/x/y/a").await, body);
    assert_eq!(bytes(store, "inbox/a").await, body);
}

async fn a_copy_keeps_both_its_conditions(store: &dyn Store) {
    write(store, "source", "old").await;
    let old = seen(store, "source").await;
    write(store, "taken", "taken").await;
    let onto = copy(store, &old, "taken").await;
    assert!(matches!(onto, Outcome::Lost), "{onto:?}");
    assert_eq!(bytes(store, "taken").await, "taken");
    write(store, "source", "new").await;
    let changed = copy(store, &old, "target").await;
    assert!(matches!(changed, Outcome::Lost), "{changed:?}");
    let gone = copy(store, &Object { key: "gone".to_owned(), ..old }, "target").await;
    assert!(matches!(gone, Outcome::Missing), "{gone:?}");
    assert_eq!(store.head("target").await.unwrap(), None);
}

async fn of_racing_copies_one_wins(store: &dyn Store) {
    let mut sources = Vec::new();
    for source in 0..8 {
        let key = format!("source/{source}");
        write(store, &key, format!("source {source}")).await;
        sources.push(seen(store, &key).await);
    }
    let winner = one_winner(&join_all(sources.iter().map(|source| copy(store, source, "target"))).await);
    assert_eq!(bytes(store, "target").await, format!("source {winner}"));
}

async fn a_delete_takes_only_what_was_seen(store: &dyn Store) {
    let old = write(store, "inbox/a", "old").await;
    let new = write(store, "inbox/a", "new").await;
    let late = store.delete("inbox/a", &old).await.unwrap();
    assert!(matches!(late, Outcome::Lost), "{late:?}");
    assert_eq!(bytes(store, "inbox/a").await, "new");
    done(store.delete("inbox/a", &new).await.unwrap());
    assert_eq!(store.head("inbox/a").await.unwrap(), None);
    done(put(store, "inbox/a", "again", PutIf::Absent).await);
}

async fn odd_keys_survive(store: &dyn Store) {
    const ODD: [&str; 9] = [
        "p+~^ %2B.rpm",
        "libstdc++-1~rc1^git.rpm",
        "a b.rpm",
        "#hash",
        "ü/ñ.rpm",
        "q?x=1&y=2",
        "100%",
        "<&'\">",
        "%2e%2e",
    ];
    for odd in ODD {
        let (first, second) = (format!("inbox/{odd}"), format!("repo/{odd}"));
        let etag = write(store, &first, odd).await;
        done(copy(store, &seen(store, &first).await, &second).await);
        assert_eq!(bytes(store, &second).await, odd);
        assert_eq!(keys(store, &first).await, std::slice::from_ref(&first));
        done(store.delete(&first, &etag).await.unwrap());
    }
    let mut expected = ODD.map(|odd| format!("repo/{odd}"));
    expected.sort();
    assert_eq!(keys(store, "").await, expected);
}

async fn ranges_are_clipped(store: &dyn Store) {
    write(store, "k", "0123456789").await;
    for (range, part) in [(0..4, "0123"), (4..10, "456789"), (8..99, "89"), (10..12, ""), (50..60, ""), (3..3, "")] {
        let read = store.get("k", Some(range.clone())).await.unwrap().unwrap();
        assert_eq!((read.bytes.as_ref(), read.object.size_bytes), (part.as_bytes(), 10), "{range:?}");
    }
}

async fn an_empty_object_is_an_object(store: &dyn Store) {
    let etag = write(store, "empty", "").await;
    assert_eq!(seen(store, "empty").await.size_bytes, 0);
    for range in [None, Some(0..10)] {
        let read = store.get("empty", range).await.unwrap().unwrap();
        assert_eq!((read.bytes.len(), read.object.size_bytes), (0, 0));
    }
    let copied = done(copy(store, &seen(store, "empty").await, "copy").await);
    assert_eq!(copied.sha256, Some(Sha256::of(b"")));
    done(store.delete("empty", &etag).await.unwrap());
}

async fn a_listing_is_in_byte_order_and_whole(store: &dyn Store) {
    let mut expected: Vec<String> = (0..1050).map(|number| format!("many/{}/{number}.x", number % 3)).collect();
    expected.extend(["many.x", "many/0.x", "many0"].map(str::to_owned));
    expected.sort();
    for batch in expected.chunks(32) {
        join_all(batch.iter().map(|key| write(store, key, ""))).await;
    }
    assert_eq!(keys(store, "").await, expected);
    expected.retain(|key| key.starts_with("many/1/1"));
    assert_eq!(keys(store, "many/1/1").await, expected);
    assert_eq!(keys(store, "man/").await, Vec::<String>::new());
}

async fn a_listing_begins_behind_any_key(store: &dyn Store) {
    for key in ["a/1", "a/3", "a/5", "b/1"] {
        write(store, key, "").await;
    }
    for (after, expected) in
        [("a/3", &["a/5"][..]), ("a/2", &["a/3", "a/5"]), ("a/0", &["a/1", "a/3", "a/5"]), ("a/9", &[])]
    {
        let page = store.list("a/", Some(after)).await.unwrap();
        let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
        assert_eq!((keys, page.next), (expected.iter().map(|key| (*key).to_owned()).collect(), None), "behind {after}");
    }
}

async fn a_file_is_stored_whatever_was_there(store: &dyn Store) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.rpm");
    for body in ["first", "second"] {
        std::fs::write(&file, body).unwrap();
        let stored = store.put_file("inbox/a.rpm", &file, &Attributes::default()).await.unwrap();
        assert_eq!(seen(store, "inbox/a.rpm").await.etag, stored.etag);
        assert_eq!(bytes(store, "inbox/a.rpm").await, body);
    }
    let missing = store.put_file("inbox/b.rpm", &folder.path().join("b.rpm"), &Attributes::default()).await;
    assert!(missing.is_err());
    assert_eq!(keys(store, "").await, ["inbox/a.rpm"]);
}

async fn assemble(
    store: &dyn Store,
    key: &str,
    body: &Body,
    reused: &[Reused<'_>],
    condition: PutIf,
) -> Outcome<Assembled> {
    store.assemble(key, body, reused, &Attributes::default(), condition).await.unwrap()
}

async fn a_body_is_joined_from_ranges_of_objects_and_keeps_its_condition(store: &dyn Store) {
    write(store, "digits", "0123456789").await;
    let digits = seen(store, "digits").await;
    let body = Body::Memory(Bytes::from_static(b"34567"));
    let reused = [Reused { at: 0..5, object: &digits, from: 3 }];
    let made = done(assemble(store, "joined", &body, &reused, PutIf::Absent).await);
    assert_eq!((bytes(store, "joined").await, made.sent_bytes), (Bytes::from_static(b"34567"), 0));
    assert_eq!(seen(store, "joined").await.etag, made.stored.etag);

    assert!(matches!(assemble(store, "joined", &body, &reused, PutIf::Absent).await, Outcome::Lost));
    let nobodys = PutIf::Matches(ETag::new(NOBODYS));
    assert!(matches!(assemble(store, "joined", &body, &[], nobodys.clone()).await, Outcome::Lost));
    assert!(matches!(assemble(store, "none", &body, &reused, nobodys).await, Outcome::Missing));

    let other = Body::Memory(Bytes::from_static(b"a34b"));
    let reused = [Reused { at: 1..3, object: &digits, from: 3 }];
    let matches = PutIf::Matches(made.stored.etag);
    done(assemble(store, "joined", &other, &reused, matches).await);
    assert_eq!(bytes(store, "joined").await, "a34b");
    let empty = Body::Memory(Bytes::new());
    done(assemble(store, "empty", &empty, &[], PutIf::Absent).await);
    assert_eq!(bytes(store, "empty").await, "");
}

async fn a_join_from_an_object_that_changed_is_refused(store: &dyn Store) {
    write(store, "digits", "0123456789").await;
    let digits = seen(store, "digits").await;
    let body = Body::Memory(Bytes::from_static(b"34567"));
    let reused = [Reused { at: 0..5, object: &digits, from: 3 }];
    write(store, "digits", "9876543210").await;
    assert!(matches!(assemble(store, "joined", &body, &reused, PutIf::Absent).await, Outcome::Lost));
    store.delete("digits", &seen(store, "digits").await.etag).await.unwrap();
    assert!(matches!(assemble(store, "joined", &body, &reused, PutIf::Absent).await, Outcome::Missing));
    assert_eq!(keys(store, "").await, Vec::<String>::new());
}

/// Of 30 MiB, the first and one byte in the middle are new.
async fn a_large_body_is_sent_but_for_what_the_store_has(store: &dyn Store) {
    const SIZE: usize = 30 << 20;
    let before: Vec<u8> = (0..SIZE).map(|at| u8::try_from((at ^ at >> 9) & 0xff).unwrap()).collect();
    write(store, "before", before.clone()).await;
    let object = seen(store, "before").await;
    let middle = SIZE / 2;
    let mut after = before;
    after[0] ^= 1;
    after.insert(middle, 7);
    let mut spool = Spool::new(store.scratch(), 8 << 20);
    std::io::Write::write_all(&mut spool, &after).unwrap();
    let (middle, size) = (middle as u64, SIZE as u64);
    let reused = [
        Reused { at: 1..middle, object: &object, from: 1 },
        Reused { at: middle + 1..size + 1, object: &object, from: middle },
    ];
    let made = done(assemble(store, "after", &spool.finish(), &reused, PutIf::Absent).await);
    assert!(made.sent_bytes <= 10 << 20, "{} bytes were sent", made.sent_bytes);
    assert!(bytes(store, "after").await == after);
    assert_eq!(keys(store, "").await, ["after", "before"]);
}

async fn a_body_that_is_only_begun_gets_the_rest_from_an_object(store: &dyn Store) {
    let before: Vec<u8> = (0..12 << 20).map(|at| u8::try_from((at ^ at >> 9) & 0xff).unwrap()).collect();
    write(store, "before", before.clone()).await;
    let object = seen(store, "before").await;
    let (sent, from) = (vec![7; 5 << 20], 3 << 20);
    let after = [&sent[..], &before[from..]].concat();
    let body = Body::Begun { beginning: sent.clone().into(), length_bytes: after.len() as u64, judged: None };
    assert!(!body.is_whole() && body.whole().is_err());
    let reused = [Reused { at: sent.len() as u64..after.len() as u64, object: &object, from: from as u64 }];
    let made = done(assemble(store, "after", &body, &reused, PutIf::Absent).await);
    assert_eq!(made.sent_bytes, sent.len() as u64);
    assert!(bytes(store, "after").await == after);
    assert!(matches!(assemble(store, "after", &body, &reused, PutIf::Absent).await, Outcome::Lost));

    write(store, "before", vec![0; 12 << 20]).await;
    assert!(matches!(assemble(store, "changed", &body, &reused, PutIf::Absent).await, Outcome::Lost));
    store.delete("before", &seen(store, "before").await.etag).await.unwrap();
    let gone = assemble(store, "changed", &body, &reused, PutIf::Absent).await;
    assert!(matches!(gone, Outcome::Lost | Outcome::Missing));
    assert_eq!(keys(store, "").await, ["after"]);
}

async fn the_probe_finds_every_ability_and_leaves_nothing(store: &dyn Store) {
    let report = probe(store).await.unwrap();
    assert_eq!(report.abilities, Abilities::ALL, "{report:#?}");
    assert!(report.rows.iter().all(|row| row.ok));
    assert_eq!(keys(store, "").await, Vec::<String>::new());
}
