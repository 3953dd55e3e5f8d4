//! A repository that is taken over says of every package what a full build says.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rpmmd::compress::Compression;
use yrm::bucket::report::Report;
use yrm::check::{Depth, check};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::local::DirectoryStore;

use super::repository::Repository;
use super::tools::{Reference, prepared, succeed};
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
        // Now it describes some of them wrongly.
        for (number, rpm) in [(7, rpm("other", "1").summary("longer than before".repeat(9))), (8, rpm("fewer", "1"))] {
            std::fs::write(repo.join(format!("{}/{number}.rpm", number % 7)), rpm.build()).unwrap();
        }
    })
    .await;
}

/// What a repository's metadata names, and what comes of publishing one package into it.
struct TakenOver {
    root: tempfile::TempDir,
    report: Report,
}

impl TakenOver {
    fn repo(&self) -> std::path::PathBuf {
        self.root.path().join("repo")
    }

    fn hrefs(&self) -> Vec<String> {
        let repository = Repository::read(&self.repo()).unwrap();
        repository.packages.into_keys().collect()
    }
}

/// Publishes one package where `make` has made a repository of `p0` to `p7` in two folders.
async fn eight_taken_over(make: impl Fn(&Path)) -> TakenOver {
    let root = tempfile::tempdir().unwrap();
    let repo = root.path().join("repo");
    for number in 0..8 {
        let path = repo.join(format!("{}/p{number}.rpm", number / 6));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, rpm(&format!("p{number}"), "1").build()).unwrap();
    }
    make(&repo);
    std::fs::create_dir_all(root.path().join("inbox")).unwrap();
    std::fs::write(root.path().join("inbox/one-more.rpm"), rpm("one-more", "1").build()).unwrap();
    let publisher = Publisher::new(Arc::new(DirectoryStore::open(root.path()).unwrap()), policy()).unwrap();
    let report = publisher.run(RunId { id: ulid::Ulid::new(), started: Timestamp::now() }, &Unwatched).await.unwrap();
    if report.errors.is_empty() {
        assert!(check(publisher.bucket(), Depth::Deep).await.unwrap().clean());
    }
    TakenOver { root, report }
}

fn createrepo_c(repo: &Path, more: &[&str]) {
    assert_eq!(Reference::Newest.index_with(repo, repo, more).0, Some(0));
}

#[tokio::test]
async fn what_createrepo_c_was_told_to_leave_out_stays_out() {
    let list = |repo: &Path| {
        let list = repo.join("list");
        std::fs::write(&list, ["0", "1", "2", "3", "4", "5"].map(|number| format!("0/p{number}.rpm\n")).concat())
            .unwrap();
        createrepo_c(repo, &["--pkglist", list.to_str().unwrap()]);
    };
    for (how, taken) in [
        ("-x", eight_taken_over(|repo| createrepo_c(repo, &["-x", "1/*"])).await),
        ("--pkglist", eight_taken_over(list).await),
        ("-x and sha512", eight_taken_over(|repo| createrepo_c(repo, &["-x", "1/*", "-s", "sha512"])).await),
    ] {
        assert_eq!(taken.report.errors, Vec::<String>::new(), "{how}");
        let adoption = taken.report.repositories[0].adoption.as_ref().unwrap();
        assert_eq!(
            (adoption.packages, &adoption.not_offered.first[..]),
            (6, &["1/p6.rpm".to_owned(), "1/p7.rpm".to_owned()][..]),
            "{how}"
        );
        assert_eq!(
            taken.hrefs(),
            ["0/p0.rpm", "0/p1.rpm", "0/p2.rpm", "0/p3.rpm", "0/p4.rpm", "0/p5.rpm", "one-more.rpm"],
            "{how}"
        );
    }
}

#[tokio::test]
async fn packages_that_createrepo_c_names_elsewhere_are_refused_by_name() {
    let merge = |repo: &Path| {
        for part in ["0", "1"] {
            createrepo_c(&repo.join(part), &[]);
        }
        let mut command = std::process::Command::new(prepared("venv/bin/mergerepo_c"));
        command.arg("-r").arg(repo.join("0")).arg("-r").arg(repo.join("1")).arg("-o").arg(repo);
        succeed(&mut command);
    };
    for (how, taken) in [
        ("--baseurl", eight_taken_over(|repo| createrepo_c(repo, &["--baseurl", "https://cdn.example/pool/"])).await),
        ("mergerepo_c", eight_taken_over(merge).await),
    ] {
        let error = taken.report.errors.first().unwrap_or_else(|| panic!("{how}: {:?}", taken.report));
        assert!(error.contains("not below repo/ of this bucket") && error.contains("p0.rpm"), "{how}: {error}");
        assert_eq!(taken.report.published.len(), 0, "{how}");
    }
}

#[tokio::test]
async fn metadata_by_sha512_guards_too() {
    let taken = eight_taken_over(|repo| {
        createrepo_c(repo, &["-s", "sha512"]);
        for number in 0..3 {
            std::fs::remove_file(repo.join(format!("0/p{number}.rpm"))).unwrap();
        }
    });
    let report = taken.await.report;
    assert!(
        report.errors[0].contains("3 of its 8 packages would disappear: 0/p0.rpm, 0/p1.rpm, 0/p2.rpm"),
        "{report:?}"
    );
}
