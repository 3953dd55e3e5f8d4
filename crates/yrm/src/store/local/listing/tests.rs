use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::*;

fn touch(root: &Path, key: &str) {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"x").unwrap();
}

/// All keys, page by page.
fn walk(tree: &Tree, listings: &Listings, prefix: &str) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = page(tree, listings, prefix, after.as_deref()).unwrap();
        assert_eq!(page.unreadable, []);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

#[test]
fn an_idle_look_at_a_large_inbox_is_linear() {
    let root = tempfile::tempdir().unwrap();
    let (files, folders) = (5 * PAGE_OBJECTS, 3);
    for number in 0..files {
        touch(root.path(), &format!("inbox/{}/{number:05}", number % folders));
    }
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    assert_eq!(walk(&tree, &listings, "inbox/").len(), files);
    // Each name once, and of each folder `.` and `..` and its name in the one above.
    let read = usize::try_from(listings.entries_read.load(Ordering::Relaxed)).unwrap();
    assert!(read <= files + 4 * (folders + 2), "{read} entries were read for {files} files");
    assert!(lock(&listings.under_way).is_empty());
}

#[test]
fn a_listing_of_one_folder_reads_no_other() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..300 {
        touch(root.path(), &format!("repo/r{number}/a.rpm"));
    }
    touch(root.path(), "repo/r7/b/c/d.rpm");
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    let read = || listings.entries_read.swap(0, Ordering::Relaxed);
    assert_eq!(walk(&tree, &listings, "repo/r7/"), ["repo/r7/a.rpm", "repo/r7/b/c/d.rpm"]);
    assert!(read() <= 12);
    assert_eq!(walk(&tree, &listings, "repo/r7/b/c/"), ["repo/r7/b/c/d.rpm"]);
    assert!(read() <= 3);
    assert_eq!(walk(&tree, &listings, "repo/r7/none/"), Vec::<String>::new());
    assert_eq!(read(), 0);
    // What is in the prefix behind the last folder is part of a name.
    assert_eq!(walk(&tree, &listings, "repo/r7/b/c/d"), ["repo/r7/b/c/d.rpm"]);
    assert_eq!(walk(&tree, &listings, "repo/r7").len(), 12);
    assert_eq!(walk(&tree, &listings, "repo/r299").len(), 1);
    assert_eq!(walk(&tree, &listings, "repo/r7/a.rpm/"), Vec::<String>::new());
}

#[test]
fn a_listing_is_whole_and_in_order_however_little_is_remembered() {
    let root = tempfile::tempdir().unwrap();
    let mut keys: Vec<String> = (0..2_300).map(|number| format!("inbox/f{:x}", number * 7919 % 2_311)).collect();
    keys.extend((0..40).map(|number| format!("inbox/f{number:x}x/b/{number}.rpm")));
    keys.extend((0..40).map(|number| format!("inbox/f{number:x}x.rpm")));
    for key in &keys {
        touch(root.path(), key);
    }
    keys.sort_unstable();
    keys.dedup();
    let tree = Tree::open(root.path()).unwrap();
    for bytes in [1, 200, 5_000, WALK_BYTES] {
        let listings = Listings::remembering(bytes);
        assert_eq!(walk(&tree, &listings, "inbox/"), keys, "{bytes}");
    }
}

#[test]
fn a_listing_that_begins_sees_what_came_since_another_one_began() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..2 * PAGE_OBJECTS {
        touch(root.path(), &format!("inbox/{number:05}"));
    }
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    let first = page(&tree, &listings, "inbox/", None).unwrap();
    touch(root.path(), "inbox/x.rpm");
    assert!(walk(&tree, &listings, "inbox/").contains(&"inbox/x.rpm".to_owned()));
    // The one that began earlier goes on nevertheless.
    let second = page(&tree, &listings, "inbox/", first.next.as_deref()).unwrap();
    assert_eq!(second.objects.len(), PAGE_OBJECTS);
}

#[test]
fn what_is_gone_or_a_link_between_two_pages_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["a", "b", "c"] {
        for number in 0..PAGE_OBJECTS - 10 {
            touch(root.path(), &format!("inbox/{folder}/{number:05}"));
        }
    }
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    let first = page(&tree, &listings, "inbox/", None).unwrap();
    std::fs::rename(root.path().join("inbox/b"), root.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(root.path().join("elsewhere"), root.path().join("inbox/b")).unwrap();
    let second = page(&tree, &listings, "inbox/", first.next.as_deref()).unwrap();
    assert!(second.objects.iter().all(|object| object.key.starts_with("inbox/c/")), "{:?}", second.objects[0]);
    assert_eq!((second.objects.len(), second.next), (PAGE_OBJECTS - 10, None));
}

#[test]
fn walks_that_nobody_goes_on_with_are_forgotten() {
    let root = tempfile::tempdir().unwrap();
    for folder in 0..2 * MAX_WALKS {
        for number in 0..=PAGE_OBJECTS {
            touch(root.path(), &format!("{folder}/{number:05}"));
        }
    }
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    for folder in 0..2 * MAX_WALKS {
        assert!(page(&tree, &listings, &format!("{folder}/"), None).unwrap().next.is_some());
    }
    assert_eq!(lock(&listings.under_way).len(), MAX_WALKS);
}

#[test]
fn links_pipes_and_odd_names_are_told_once() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..PAGE_OBJECTS + 5 {
        touch(root.path(), &format!("inbox/{number:05}"));
    }
    let inbox = root.path().join("inbox");
    for number in 0..50 {
        std::os::unix::fs::symlink("nowhere", inbox.join(format!("link{number}"))).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, inbox.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    std::fs::write(inbox.join(std::ffi::OsStr::from_bytes(b"odd\xff.rpm")), b"x").unwrap();
    let (tree, listings) = (Tree::open(root.path()).unwrap(), Listings::default());
    let lines = lines_of(|| {
        walk(&tree, &listings, "inbox/");
        walk(&tree, &listings, "inbox/");
    });
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for part in ["50 symbolic links", "1 names that are not UTF-8", "1 pipes", "inbox/pipe"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    std::os::unix::fs::symlink("nowhere", inbox.join("another")).unwrap();
    let lines = lines_of(|| drop(walk(&tree, &listings, "inbox/")));
    assert!(lines.len() == 1 && lines[0].contains("51 symbolic links"), "{lines:?}");
}

/// What is logged on this thread meanwhile.
fn lines_of(work: impl FnOnce()) -> Vec<String> {
    let log = std::sync::Arc::new(Mutex::new(Vec::new()));
    let writer = std::sync::Arc::clone(&log);
    let to = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Into(std::sync::Arc::clone(&writer)));
    tracing::subscriber::with_default(to.finish(), work);
    let log = lock(&log);
    String::from_utf8_lossy(&log).lines().map(str::to_owned).collect()
}

struct Into(std::sync::Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Into {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
