//! A repository that is taken over says of every package what a full build says.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rpmmd::compress::Compression;
use yrm::check::{Depth, check};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::local::DirectoryStore;

use super::repository::Repository;
use super::tools::Reference;
use super::{assert_none, index, random};
use crate::publish::world::{policy, rpm};

/// Several batches, in folders whose order is not that of the file names.
const PACKAGES: usize = 500;

/// Publishes one package into a folder that something else has made a repository of, and compares.
async fn take_over(make_metadata: impl Fn(&Path)) {
    let root = tempfile::tempdir().unwrap();
    let repo = root.path().join("repo");
    for (path, rpm) in random::packages(PACKAGES) {
        let path = repo.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, rpm.build()).unwrap();
    }
    make_metadata(&repo);
    std::fs::create_dir_all(root.path().join("inbox")).unwrap();
    let dropped = root.path().join("inbox/one-more.rpm");
    std::fs::write(&dropped, rpm("one-more", "1").build()).unwrap();
    let dropped_at = std::fs::metadata(&dropped).unwrap().modified().unwrap();

    let publisher = Publisher::new(Arc::new(DirectoryStore::open(root.path()).unwrap()), policy()).unwrap();
    let report = publisher.run(RunId { id: ulid::Ulid::new(), started: Timestamp::now() }, &Unwatched).await.unwrap();
    assert_eq!(report.errors, Vec::<String>::new());
    assert!(report.repositories[0].adopted);

    assert!(check(publisher.bucket(), Depth::Deep).await.unwrap().clean());

    // Its time is that of its upload; the copy may be a second younger.
    let copy = std::fs::File::options().append(true).open(repo.join("one-more.rpm")).unwrap();
    copy.set_modified(dropped_at).unwrap();
    let built = tempfile::tempdir().unwrap();
    assert_eq!(index(&repo, built.path(), Compression::Gz).skipped, []);
    let (adopted, built) = (Repository::read(&repo).unwrap(), Repository::read(built.path()).unwrap());
    assert_eq!(adopted.packages.len(), PACKAGES + 1);
    assert_none(&adopted.differences(&built));
    let left = std::fs::read_dir(root.path().join(".yrm/tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "what was put aside is gone");
}

#[tokio::test]
async fn what_createrepo_c_wrote_is_taken_over_as_a_full_build_makes_it() {
    take_over(|repo| assert_eq!(Reference::Newest.index(repo, repo).0, Some(0))).await;
}

#[tokio::test]
async fn a_folder_without_metadata_is_taken_over_as_a_full_build_makes_it() {
    take_over(|_| ()).await;
}

#[tokio::test]
async fn metadata_of_some_packages_and_headers_of_the_others_make_the_same() {
    take_over(|repo| {
        assert_eq!(Reference::Newest.index(repo, repo).0, Some(0));
        // Now it describes too many, and some of them wrongly; that is few enough to go on.
        for (number, rpm) in [(7, rpm("other", "1").summary("longer than before".repeat(9))), (8, rpm("fewer", "1"))] {
            let path = repo.join(format!("{}/{number}.rpm", number % 7));
            std::fs::remove_file(&path).unwrap();
            std::fs::write(if number == 7 { path } else { repo.join("new.rpm") }, rpm.build()).unwrap();
        }
    })
    .await;
}
