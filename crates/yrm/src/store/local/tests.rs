use std::os::unix::fs::{MetadataExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::temp::{Temp, scratch};
use super::*;

fn bucket() -> (tempfile::TempDir, DirectoryStore) {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(root.path()).unwrap();
    (root, store)
}

async fn put(store: &DirectoryStore, key: &str, bytes: &'static [u8], condition: PutIf) -> Outcome<Stored> {
    store.put(key, Bytes::from_static(bytes), &Attributes::default(), condition).await.unwrap()
}

fn etag(outcome: Outcome<Stored>) -> ETag {
    let Outcome::Done(stored) = outcome else { panic!("{outcome:?}") };
    stored.etag
}

#[tokio::test]
async fn a_key_that_leaves_the_root_or_has_no_name_is_refused() {
    let (root, store) = bucket();
    for key in
        ["", "/etc/passwd", "../x", "a/../x", "a//b", "a/", ".", "a/./b", "a\0b", &"a/".repeat(70), &"a".repeat(1025)]
    {
        let answer = store.put(key, Bytes::new(), &Attributes::default(), PutIf::Always).await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt, "{key:?}");
        assert_eq!(store.get(key, None).await.unwrap_err().kind(), ErrorKind::Corrupt, "{key:?}");
        assert_eq!(store.delete(key, &ETag::new("x")).await.unwrap_err().kind(), ErrorKind::Corrupt, "{key:?}");
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn symbolic_links_are_neither_followed_nor_listed() {
    let (root, store) = bucket();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    for key in ["folder/secret", "file", "dangling"] {
        assert_eq!(store.head(key).await.unwrap_err().kind(), ErrorKind::Corrupt, "{key}");
        assert_eq!(store.get(key, None).await.unwrap_err().kind(), ErrorKind::Corrupt, "{key}");
        for condition in [PutIf::Absent, PutIf::Always] {
            let put = store.put(key, Bytes::from_static(b"x"), &Attributes::default(), condition).await;
            assert_eq!(put.unwrap_err().kind(), ErrorKind::Corrupt, "{key}");
        }
    }
    put(&store, "plain", b"x", PutIf::Absent).await;
    let page = store.list("", None).await.unwrap();
    assert_eq!(page.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["plain"]);
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn a_file_that_cp_writes_over_is_another_object() {
    let (root, store) = bucket();
    let first = etag(put(&store, "inbox/a.rpm", b"one", PutIf::Absent).await);
    std::fs::write(root.path().join("inbox/a.rpm"), b"two").unwrap();
    assert!(matches!(store.delete("inbox/a.rpm", &first).await.unwrap(), Outcome::Lost));
    let now = store.head("inbox/a.rpm").await.unwrap().unwrap();
    assert_ne!(now.etag, first);
    assert!(matches!(store.delete("inbox/a.rpm", &now.etag).await.unwrap(), Outcome::Done(())));
    assert!(root.path().join("inbox").is_dir(), "the folder stays");
}

#[tokio::test]
async fn a_large_copy_that_may_share_is_a_second_name_and_any_other_has_bytes_of_its_own() {
    let (root, store) = bucket();
    put(&store, "inbox/a.rpm", b"one", PutIf::Absent).await;
    let file = File::create(root.path().join("inbox/large.rpm")).unwrap();
    file.set_len(SHARED_FROM_BYTES).unwrap();
    let attributes = Attributes::default();
    let small = store.head("inbox/a.rpm").await.unwrap().unwrap();
    let large = store.head("inbox/large.rpm").await.unwrap().unwrap();
    let shared = |source, target| Copy { may_share: true, ..Copy::of(source, target, &attributes) };
    etag(store.copy(shared(&small, "quarantine/a.rpm")).await.unwrap());
    etag(store.copy(shared(&large, "quarantine/large.rpm")).await.unwrap());
    etag(store.copy(Copy::of(&large, "repo/large.rpm", &attributes)).await.unwrap());
    let there = store.head("quarantine/large.rpm").await.unwrap().unwrap();
    let again = store.copy(shared(&large, "quarantine/large.rpm")).await.unwrap();
    assert!(matches!(again, Outcome::Lost), "it is there");
    let inode = |key: &str| std::fs::metadata(root.path().join(key)).unwrap().ino();
    assert_ne!(inode("quarantine/a.rpm"), inode("inbox/a.rpm"));
    assert_eq!(inode("quarantine/large.rpm"), inode("inbox/large.rpm"));
    assert_ne!(inode("repo/large.rpm"), inode("inbox/large.rpm"));

    assert!(matches!(store.delete("inbox/large.rpm", &large.etag).await.unwrap(), Outcome::Done(())));
    assert_eq!(store.head("quarantine/large.rpm").await.unwrap().unwrap().etag, there.etag, "the second name stays");
    assert!(matches!(store.copy(shared(&large, "quarantine/b.rpm")).await.unwrap(), Outcome::Missing));
    std::fs::write(root.path().join("inbox/large.rpm"), b"two").unwrap();
    let another = store.copy(shared(&large, "quarantine/b.rpm")).await.unwrap();
    assert!(matches!(another, Outcome::Lost), "another upload");
    assert!(store.head("quarantine/b.rpm").await.unwrap().is_none());
}

/// To read a terabyte takes an hour: who reads the holes does not end.
#[test]
fn the_data_of_a_sparse_file_is_copied_without_reading_its_holes() {
    const TERABYTE: u64 = 1 << 40;
    let (root, store) = bucket();
    let source = root.path().join("giant.rpm");
    let file = File::create_new(&source).unwrap();
    file.set_len(TERABYTE).unwrap();
    for (bytes, at) in [("one", 0), ("two", TERABYTE / 2 + 1), ("three", TERABYTE - 5)] {
        file.write_all_at(bytes.as_bytes(), at).unwrap();
    }
    let mut copy = Temp::create(&store.tree, "quarantine/giant.rpm").unwrap();
    assert_eq!(copy.write_data_of(&File::open(&source).unwrap(), "quarantine/giant.rpm").unwrap(), TERABYTE);
    let copied = File::open(scratch(&store.tree).join(copy.name())).unwrap();
    assert_eq!(copied.metadata().unwrap().len(), TERABYTE);
    assert!(copied.metadata().unwrap().blocks() * 512 < 1 << 20);
    for (bytes, at) in [("one\0", 0), ("\0two\0", TERABYTE / 2), ("\0three", TERABYTE - 6)] {
        let mut there = vec![0; bytes.len()];
        copied.read_exact_at(&mut there, at).unwrap();
        assert_eq!(there, bytes.as_bytes(), "at {at}");
    }
}

#[tokio::test]
async fn a_copy_of_a_sparse_file_takes_no_more_room_than_that() {
    let (root, store) = bucket();
    put(&store, "inbox/a.rpm", b"one", PutIf::Absent).await;
    for (name, beginning, end) in
        [("hole-at-the-end", "one", ""), ("hole-at-the-start", "", "one"), ("hole", "one", "two")]
    {
        let (inbox, repo) = (format!("inbox/{name}.rpm"), format!("repo/{name}.rpm"));
        let file = File::create(root.path().join(&inbox)).unwrap();
        file.set_len(SHARED_FROM_BYTES + 5).unwrap();
        file.write_all_at(beginning.as_bytes(), 0).unwrap();
        file.write_all_at(end.as_bytes(), SHARED_FROM_BYTES + 5 - end.len() as u64).unwrap();
        let source = store.head(&inbox).await.unwrap().unwrap();
        etag(store.copy(Copy::of(&source, &repo, &Attributes::default())).await.unwrap());
        let blocks = std::fs::metadata(root.path().join(&repo)).unwrap().blocks();
        assert!(blocks * 512 < 4 << 20, "{name}: {blocks} blocks");
        let [inbox, repo] = [inbox, repo].map(|key| std::fs::read(root.path().join(key)).unwrap());
        assert!(inbox == repo, "{name}");
    }
}

/// Its owner wrote in it and set its time back: inode, time and length are what they were.
#[tokio::test]
async fn a_copy_or_a_join_of_other_bytes_than_were_judged_is_refused_before_it_has_a_name() {
    let (root, store) = bucket();
    put(&store, "inbox/a.rpm", b"judged", PutIf::Absent).await;
    let source = store.head("inbox/a.rpm").await.unwrap().unwrap();
    let file = File::options().write(true).open(root.path().join("inbox/a.rpm")).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(b"others", 0).unwrap();
    file.set_modified(before).unwrap();
    assert_eq!(store.head("inbox/a.rpm").await.unwrap().unwrap().etag, source.etag, "nothing shows it");
    let attributes = Attributes::default();
    let judged = Some(Sha256::of(b"judged"));
    let copied = store.copy(Copy { judged, ..Copy::of(&source, "repo/a.rpm", &attributes) }).await.unwrap();
    assert!(matches!(copied, Outcome::Lost), "{copied:?}");

    let judged = Some(Sha256::of(b"new start, judged"));
    let body = Body::Begun { beginning: Bytes::from_static(b"new start, "), length_bytes: 17, judged };
    let reused = [Reused { at: 11..17, object: &source, from: 0 }];
    let joined = store.assemble(".yrm/signed/a", &body, &reused, &attributes, PutIf::Absent).await.unwrap();
    assert!(matches!(joined, Outcome::Lost), "{joined:?}");
    assert!(!root.path().join("repo").exists() && !root.path().join(".yrm/signed").exists());
    assert_eq!(std::fs::read_dir(root.path().join(".yrm/tmp")).unwrap().count(), 0);

    file.write_all_at(b"judged", 0).unwrap();
    file.set_modified(before).unwrap();
    let joined = store.assemble(".yrm/signed/a", &body, &reused, &attributes, PutIf::Absent).await.unwrap();
    assert!(matches!(joined, Outcome::Done(_)), "{joined:?}");
}

#[tokio::test]
async fn a_listing_is_in_byte_order_of_whole_keys() {
    let (_root, store) = bucket();
    for key in ["a/b", "a.rpm", "a0", "a", "b/c/d", "b/c.x", "ab"] {
        if key != "a" {
            put(&store, key, b"", PutIf::Absent).await;
        }
    }
    let keys = |page: Page| page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
    assert_eq!(keys(store.list("", None).await.unwrap()), ["a.rpm", "a/b", "a0", "ab", "b/c.x", "b/c/d"]);
    assert_eq!(keys(store.list("a", Some("a/b")).await.unwrap()), ["a0", "ab"]);
    assert_eq!(keys(store.list("b/c", None).await.unwrap()), ["b/c.x", "b/c/d"]);
    assert_eq!(keys(store.list("b/c/", None).await.unwrap()), ["b/c/d"]);
    assert_eq!(keys(store.list("nothing", None).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_renamed_by_a_process_that_died_comes_back() {
    let (root, store) = bucket();
    let a = etag(put(&store, "inbox/el9/a.rpm", b"a", PutIf::Absent).await);
    put(&store, "inbox/el9/b.rpm", b"old", PutIf::Absent).await;
    for name in ["a.rpm", "b.rpm"] {
        let aside = root.path().join(".yrm/aside/inbox/el9");
        std::fs::create_dir_all(&aside).unwrap();
        std::fs::rename(root.path().join("inbox/el9").join(name), aside.join(name)).unwrap();
    }
    std::fs::write(root.path().join("inbox/el9/b.rpm"), b"newer").unwrap();
    assert_eq!(store.list("", None).await.unwrap().objects.len(), 1, "what is aside is no object");
    let store = DirectoryStore::open(root.path()).unwrap();
    assert_eq!(store.head("inbox/el9/a.rpm").await.unwrap().unwrap().etag, a);
    assert_eq!(store.get("inbox/el9/b.rpm", None).await.unwrap().unwrap().bytes, "newer");
    assert!(!root.path().join(".yrm/aside/inbox/el9/b.rpm").exists());
}

#[tokio::test]
async fn a_start_removes_temporary_files_older_than_a_day_only() {
    let (root, store) = bucket();
    put(&store, "a", b"", PutIf::Absent).await;
    let (old, young) = (root.path().join(".yrm/tmp/old"), root.path().join(".yrm/tmp/young"));
    std::fs::write(&young, b"x").unwrap();
    let file = File::create(&old).unwrap();
    let created = file.metadata().unwrap().modified().unwrap_or(SystemTime::UNIX_EPOCH);
    file.set_modified(created - Duration::from_hours(25)).unwrap();
    DirectoryStore::open(root.path()).unwrap();
    assert!(!old.exists());
    assert!(young.exists());
}

#[tokio::test]
async fn a_root_that_became_another_directory_is_not_an_empty_bucket() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("bucket");
    assert_eq!(DirectoryStore::open(&path).unwrap_err().kind(), ErrorKind::Config);
    let store = DirectoryStore::create(&path).unwrap();
    std::fs::rename(&path, root.path().join("elsewhere")).unwrap();
    assert!(store.list("", None).await.is_err());
    std::fs::create_dir(&path).unwrap();
    assert_eq!(store.list("", None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(store.head("repo/repodata/repomd.xml").await.is_err());
}

/// Separate handles lock separate open files, as separate processes do.
#[test]
fn racing_replacements_through_separate_handles_never_lose_one() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 25;
    let (root, store) = bucket();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async { etag(put(&store, "counter", b"0", PutIf::Absent).await) });
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let store = DirectoryStore::open(root.path()).unwrap();
                for _ in 0..ROUNDS {
                    runtime.block_on(count_up(&store));
                }
            });
        }
    });
    let end = runtime.block_on(store.get("counter", None)).unwrap().unwrap();
    assert_eq!(end.bytes, (WRITERS * ROUNDS).to_string());
}

async fn count_up(store: &DirectoryStore) {
    loop {
        let now = store.get("counter", None).await.unwrap().unwrap();
        let count: u64 = std::str::from_utf8(&now.bytes).unwrap().parse().unwrap();
        let next = Bytes::from((count + 1).to_string());
        let put = store.put("counter", next, &Attributes::default(), PutIf::Matches(now.object.etag)).await.unwrap();
        match put {
            Outcome::Done(_) => return,
            Outcome::Lost => {}
            Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_) => panic!("{put:?}"),
        }
    }
}
