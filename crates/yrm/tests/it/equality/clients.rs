//! What clients make of `yrm index`'s output: libxml2, libsolv, dnf.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rpmmd::compress::Compression;

use super::repository::{self, Repository};
use super::tools::{Reference, prepared, succeed};
use super::{COMPRESSIONS, demo_packages, forged, index, rpmbuild, written};

/// Panics unless libxml2 finds every document of the repository well-formed.
pub(crate) fn assert_well_formed(folder: &Path) {
    let open = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.join("repodata")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap();
        let document = if path.extension().unwrap() == "xml" { bytes } else { repository::decompress(&bytes).unwrap() };
        fs::write(open.path().join(name), document).unwrap();
        succeed(Command::new("xmllint").args(["--noout", "--nonet", "--huge"]).arg(open.path().join(name)));
    }
}

/// dnf, with this repository as its only one.
fn dnf(repository: &Path, cache: &Path) -> Command {
    let mut command = Command::new("dnf");
    command
        .args(["--quiet", "--releasever=1", "--disableplugin=*", "--enableplugin=repoclosure", "--repo=ours"])
        .args(["--setopt=reposdir=/dev/null", "--setopt=ours.gpgcheck=0"])
        .arg(format!("--repofrompath=ours,{}", repository.display()))
        .arg(format!("--setopt=cachedir={}", cache.display()));
    command
}

fn repoquery(repository: &Path) -> Vec<String> {
    let cache = tempfile::tempdir().unwrap();
    let format = "%{name}-%{epoch}:%{version}-%{release}.%{arch}";
    let list = succeed(dnf(repository, cache.path()).args(["repoquery", "--queryformat", format]));
    list.lines().map(str::to_owned).collect()
}

fn names(repository: &Repository) -> Vec<String> {
    let mut names: Vec<String> = repository
        .packages
        .values()
        .map(|[primary, ..]| {
            let text = |name: &str| &primary.child(name).unwrap().text;
            let version = primary.child("version").unwrap();
            let [epoch, ver, rel] = ["epoch", "ver", "rel"].map(|name| version.attribute(name));
            format!("{}-{epoch}:{ver}-{rel}.{}", text("name"), text("arch"))
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_client_reads_every_package() {
    let folder = tempfile::tempdir().unwrap();
    rpmbuild("small", folder.path());
    // Links to packages and to folders are followed, as createrepo_c does.
    symlink(prepared("real"), folder.path().join("real")).unwrap();
    symlink(demo_packages(), folder.path().join("demo")).unwrap();
    for compression in COMPRESSIONS {
        let output = tempfile::tempdir().unwrap();
        index(folder.path(), output.path(), compression);
        let repository = Repository::read(output.path()).unwrap();
        assert!(repository.packages.len() > 60);
        assert_well_formed(output.path());
        succeed(Command::new("repo2solv").arg("-o").arg(output.path().join("solv")).arg(output.path()));
        let mut listed = repoquery(output.path());
        listed.sort();
        assert_eq!(listed, names(&repository));
    }
}

#[test]
fn odd_packages_look_to_clients_as_in_createrepo_c_repositories() {
    let folder = written(&forged::all());
    let theirs = tempfile::tempdir().unwrap();
    Reference::Newest.index(folder.path(), theirs.path());
    for compression in COMPRESSIONS {
        let ours = tempfile::tempdir().unwrap();
        index(folder.path(), ours.path(), compression);
        assert_well_formed(ours.path());
        succeed(Command::new("repo2solv").arg("-o").arg(ours.path().join("solv")).arg(ours.path()));
        let listed = repoquery(ours.path());
        assert!(listed.len() > 60, "{listed:?}");
        assert_eq!(listed, repoquery(theirs.path()));
    }
}

#[test]
fn a_closed_repository_is_closed_for_dnf() {
    let output = tempfile::tempdir().unwrap();
    index(&demo_packages(), output.path(), Compression::Gz);
    let cache = tempfile::tempdir().unwrap();
    succeed(dnf(output.path(), cache.path()).arg("repoclosure"));
}

#[test]
fn what_a_repository_lacks_is_the_same_as_in_a_createrepo_c_repository() {
    let unresolved = |repository: &Path| {
        let cache = tempfile::tempdir().unwrap();
        let output = dnf(repository, cache.path()).arg("repoclosure").env("LC_ALL", "C").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "packages of Debian need more than this folder holds");
        String::from_utf8(output.stdout).unwrap()
    };
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    index(&prepared("real"), ours.path(), Compression::Zstd);
    Reference::Newest.index(&prepared("real"), theirs.path());
    let missing = unresolved(ours.path());
    assert!(missing.contains("unresolved deps"), "{missing}");
    assert_eq!(missing, unresolved(theirs.path()));
}
