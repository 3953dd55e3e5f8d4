//! Deletes where files belong to others: none stops the next, and no upload is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags};
use yrm::store::local::DirectoryStore;
use yrm::store::{Attributes, ETag, Outcome, PutIf, Store as _};

use super::{Ground, UPLOADER, can_become_others, make_folder, package, set_mode};

/// A file that a delete had moved aside when its process died, and what a run makes of it.
fn left_aside(aside: &str) {
    let ground = Ground::new();
    ground.write(UPLOADER, aside, &package("second"));
    ground.write(UPLOADER, "inbox/third.rpm", &package("third"));
    let mut told = String::new();
    for _ in 0..2 {
        let (code, text) = ground.run(&["run"]);
        assert_eq!(code, 0, "{text}");
        told.push_str(&text);
    }
    for name in ["second", "third"] {
        assert!(ground.has(&format!("repo/{name}.rpm")), "{name} is lost: {told}");
        assert!(!ground.has(&format!("inbox/{name}.rpm")), "{name} stays: {told}");
    }
    assert!(!ground.has(aside), "{told}");
}

#[test]
fn a_delete_never_stops_the_next() {
    if !can_become_others() {
        return;
    }
    left_aside("inbox/.yrm-aside-0123456789abcdef-second.rpm");
    // An older yrm moved it there. Its folders were its own.
    let ground = Ground::new();
    ground.write(UPLOADER, ".yrm/aside/inbox/second.rpm", &package("second"));
    for own in [".yrm", ".yrm/aside", ".yrm/aside/inbox"] {
        super::SERVICE.owns(&ground.bucket().join(own));
    }
    // An uploader's folder that an exchange put there, and nobody may look into.
    let closed = ground.bucket().join(".yrm/aside/inbox/evil.rpm");
    make_folder(UPLOADER, &closed);
    set_mode(&closed, 0);
    ground.write(UPLOADER, "inbox/third.rpm", &package("third"));
    ground.write(UPLOADER, "inbox/junk.rpm", b"junk");
    for _ in 0..2 {
        let (code, told) = ground.run(&["run"]);
        assert_eq!(code, 0, "{told}");
    }
    for name in ["second", "third"] {
        assert!(ground.has(&format!("repo/{name}.rpm")) && !ground.has(&format!("inbox/{name}.rpm")), "{name}");
    }
    assert!(!ground.has("inbox/junk.rpm") && !ground.has(".yrm/aside/inbox/second.rpm"));
}

/// Something else is under the name when it is moved: a folder, a file of somebody else, a link.
#[test]
fn what_is_exchanged_during_a_delete_is_neither_lost_nor_in_the_way() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(root.path()).unwrap();
    let (file, other) = (root.path().join("inbox/evil.rpm"), root.path().join("inbox/other"));
    std::fs::create_dir(root.path().join("inbox")).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("valid.rpm"), b"valid").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let exchanging = std::thread::spawn({
        let (stop, file) = (Arc::clone(&stop), file.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(CWD, &file, CWD, &other, RenameFlags::EXCHANGE);
            }
        }
    });
    runtime.block_on(async {
        for _ in 0..3_000 {
            if !file.is_dir() && !root.path().join("inbox/other").is_file() {
                let _ = std::fs::write(&file, b"junk");
            }
            if let Ok(Some(there)) = store.head("inbox/evil.rpm").await {
                store.delete("inbox/evil.rpm", &there.etag).await.unwrap();
            }
        }
    });
    stop.store(true, Ordering::Relaxed);
    exchanging.join().unwrap();
    let attributes = Attributes::default();
    let put = store.put("inbox/a", "a".into(), &attributes, PutIf::Absent);
    let Outcome::Done(stored) = runtime.block_on(put).unwrap() else { panic!("it was absent") };
    let deleted = runtime.block_on(store.delete("inbox/a", &stored.etag)).unwrap();
    assert!(matches!(deleted, Outcome::Done(())), "{deleted:?}");
    runtime.block_on(store.list("inbox/", None)).unwrap();
    let valid = ["inbox/other/valid.rpm", "inbox/evil.rpm/valid.rpm"].map(|key| root.path().join(key).exists());
    assert_eq!(valid.iter().filter(|there| **there).count(), 1, "the folder and what is in it stay in the inbox");
    let hidden = std::fs::read_dir(root.path().join("inbox")).unwrap();
    let hidden = hidden.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing stays aside");
}

/// Who replaces an upload by `mv` while another is being deleted finds it in the inbox.
#[test]
fn what_is_moved_over_a_file_during_its_delete_stays_in_the_inbox() {
    const ROUNDS: u32 = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(root.path()).unwrap();
    let inbox = root.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    for round in 0..ROUNDS {
        let (old, new) = (format!("old {round}"), format!("new, and longer {round}"));
        std::fs::write(inbox.join("a.rpm"), &old).unwrap();
        std::fs::write(inbox.join(".new"), &new).unwrap();
        let seen = runtime.block_on(store.head("inbox/a.rpm")).unwrap().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| std::fs::rename(inbox.join(".new"), inbox.join("a.rpm")).unwrap());
            let outcome = runtime.block_on(store.delete("inbox/a.rpm", &seen.etag)).unwrap();
            assert!(matches!(outcome, Outcome::Done(()) | Outcome::Lost | Outcome::Missing), "{outcome:?}");
        });
        // As the next run sees it.
        runtime.block_on(store.list("inbox/", None)).unwrap();
        assert_eq!(std::fs::read_to_string(inbox.join("a.rpm")).unwrap(), new, "round {round}");
        let now = runtime.block_on(store.head("inbox/a.rpm")).unwrap().unwrap();
        assert!(matches!(runtime.block_on(store.delete("inbox/a.rpm", &ETag::new("x"))).unwrap(), Outcome::Lost));
        runtime.block_on(store.delete("inbox/a.rpm", &now.etag)).unwrap();
    }
}
