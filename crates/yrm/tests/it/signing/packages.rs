//! Packages that yrm signs, as clients meet them: `rpmkeys` with nothing but the published key, dnf with
//! `gpgcheck=1` over HTTP and from S3, and createrepo_c over what was published.

use std::path::Path;
use std::process::Command;

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use super::clients::{Client, Service, drop_samples, json, samples};
use crate::cli::yrm;
use crate::equality::{Reference, Repository};

/// Whether `rpmkeys`, in a database that knows this key file alone, takes the package and sees who signed.
pub(super) fn rpmkeys_takes(key: &Path, package: &Path) -> (bool, String) {
    let database = TempDir::new().unwrap();
    let rpmkeys = || {
        let mut command = Command::new("rpmkeys");
        command.args(["--define", &format!("_dbpath {}", database.path().display())]).env("LC_ALL", "C");
        command.args(["--define", "_pkgverify_level all"]);
        command
    };
    let imported = rpmkeys().arg("--import").arg(key).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let output = rpmkeys().args(["--checksig", "--verbose"]).arg(package).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && said.contains("Signature, key ID"), said)
}

fn rpms(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rpm")).collect()
}

#[test]
fn rpm_and_dnf_take_what_was_unsigned_and_metadata_describes_what_was_signed() {
    let folder = TempDir::new().unwrap();
    let made = json(yrm(folder.path()).args(["key", "generate", "--out", "signing.key"]));
    let toml = "bucket = \"./bucket\"\nsigning-key = \"signing.key\"\nsign-packages = \"missing\"\n";
    std::fs::write(folder.path().join("yrm.toml"), toml).unwrap();
    drop_samples(folder.path());
    let inbox = folder.path().join("bucket/inbox");
    let report = json(yrm(folder.path()).arg("run"));
    assert_eq!(report["errors"], Value::Array(Vec::new()));
    let published = report["published"].as_array().unwrap();
    assert_eq!(published.len(), samples().len());
    assert!(published.iter().all(|package| package["signed_with"] == made["fingerprint"]), "{published:#?}");

    let repo = folder.path().join("bucket/repo");
    for package in rpms(&repo) {
        let (takes, said) = rpmkeys_takes(&repo.join("RPM-GPG-KEY-yrm"), &package);
        assert!(takes, "{}: {said}", package.display());
        let before = samples().into_iter().find(|(name, _)| package.ends_with(name)).unwrap().1;
        let unsigned = folder.path().join("unsigned.rpm");
        std::fs::write(&unsigned, &before).unwrap();
        assert!(!rpmkeys_takes(&repo.join("RPM-GPG-KEY-yrm"), &unsigned).0);
        // rpmbuild leaves room for a signature, so nothing moves.
        assert_eq!(std::fs::metadata(&package).unwrap().len(), before.len() as u64);
    }

    // What createrepo_c says of the published files is what yrm says of them, but for when they were put there.
    let ours = Repository::read(&repo).unwrap();
    for reference in Reference::ALL {
        let output = TempDir::new().unwrap();
        let (code, said) = reference.index(&repo, output.path());
        assert_eq!(code, Some(0), "{said}");
        let theirs = Repository::read(output.path()).unwrap();
        let differences = ours.differences(&theirs);
        let others: Vec<&String> = differences.iter().filter(|line| !line.contains("/time@file:")).collect();
        assert_eq!(others, Vec::<&String>::new());
        assert_eq!(ours.packages.len(), samples().len());
    }
    let check = json(yrm(folder.path()).args(["check", "--deep"]));
    assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()));

    let service = Service::start(folder.path());
    Client::of_signed_packages(&service.1, "yrm").assert_installs_greeter();
    // The same again is there already; nothing is left on the way.
    drop_samples(folder.path());
    let again = json(yrm(folder.path()).arg("run"));
    assert!(again["published"].as_array().unwrap().iter().all(|package| package["already_there"] == true), "{again:#}");
    assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 0);
    let left = std::fs::read_dir(folder.path().join("bucket/.yrm/signed")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn dnf_refuses_what_is_not_signed() {
    let folder = TempDir::new().unwrap();
    json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
    std::fs::write(folder.path().join("yrm.toml"), "bucket = \"./bucket\"\nsigning-key = \"signing.key\"\n").unwrap();
    drop_samples(folder.path());
    json(yrm(folder.path()).arg("run"));
    let service = Service::start(folder.path());
    let output = Client::of_signed_packages(&service.1, "yrm").dnf(&["install", "greeter"]);
    assert!(!output.status.success(), "what the other tests install is signed, and this is not");
}

#[cfg(feature = "aws")]
mod on_s3 {
    use yrm::config::{Policy, SignPackages, SignWith, Trust};
    use yrm::openpgp::key::{Algorithm, SecretKey, generate};
    use yrm::openpgp::sign::Signer;
    use yrm::publish::{Publisher, Unwatched};
    use yrm::store::s3::Limits;

    use super::*;
    use crate::publish::world::policy;
    use crate::s3_server::server;

    #[tokio::test(flavor = "multi_thread")]
    async fn dnf_installs_signed_packages_from_s3() {
        let folder = TempDir::new().unwrap();
        let bucket = server().make_bucket().await;
        let key = ["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"];
        let made = json(yrm(folder.path()).args(key));
        for (name, bytes) in samples() {
            let put = server().client().put_object().bucket(&bucket).key(format!("inbox/{name}"));
            put.body(bytes.into()).send().await.unwrap();
        }
        let on_bucket = |verb: &[&str]| {
            let mut command = yrm(folder.path());
            server().lead(&mut command, &bucket);
            command.env("YRM_SIGNING_KEY", "signing.key").env("YRM_SIGN_PACKAGES", "always").args(verb);
            command
        };
        let report = json(&mut on_bucket(&["run"]));
        assert_eq!(report["errors"], Value::Array(Vec::new()));
        let published = report["published"].as_array().unwrap();
        assert!(published.iter().all(|package| package["signed_with"] == made["fingerprint"]), "{published:#?}");
        let base = format!("{}/{bucket}/repo", server().endpoint());
        Client::of_signed_packages(&base, &bucket).assert_installs_greeter();
        let check = json(&mut on_bucket(&["check", "--deep"]));
        assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()));
        let report = json(&mut on_bucket(&["run"]));
        assert_eq!(report["usage"]["writes"], 0, "{}", report["usage"]);
    }

    #[expect(clippy::print_stdout, reason = "what signing costs belongs into the test's record")]
    #[tokio::test(flavor = "multi_thread")]
    async fn signing_a_large_package_on_s3_sends_its_beginning_only() {
        let bucket = server().make_bucket().await;
        let made = generate(Algorithm::Ed25519, "tests", jiff::Timestamp::now(), None).unwrap();
        let key = SecretKey::read(made.secret.as_bytes(), None).unwrap();
        let signer = Signer::new(vec![key], SignWith::First, "tests".to_owned()).unwrap();
        let trust = Trust { sign_packages: SignPackages::Always, ..Trust::default() };
        let store = std::sync::Arc::new(server().store(&bucket, "", Limits::default()));
        let publisher = Publisher::new(store, Policy { trust, ..policy() }).unwrap().with_signer(Some(signer));
        yrm::publish::abilities::abilities(publisher.bucket()).await.unwrap();
        let large = Rpm::new("large", "1", "1", "noarch").payload(vec![7; 20_000_000]).build();
        let put = server().client().put_object().bucket(&bucket).key("inbox/large.rpm");
        put.body(large.clone().into()).send().await.unwrap();
        server().reset_requests(&bucket).await;
        let report = publisher.run(yrm::serve::new_run(), &Unwatched).await.unwrap();
        assert_eq!((report.errors.as_slice(), report.published.len()), (&[][..], 1), "{report:?}");
        let yrm::bucket::report::Usage { bytes_in, bytes_out, reads, writes } = report.usage;
        println!(
            "20 MB signed and published on S3: {bytes_in} bytes received, {bytes_out} bytes sent, {reads} reads, {writes} \
             writes; requests: {}",
            server().requests(&bucket).await["methods"]
        );
        assert!(bytes_in < 20_000_000 + (6 << 20), "read once, and what is sent: {bytes_in}");
        assert!(bytes_out < 6 << 20, "{bytes_out}");

        let folder = TempDir::new().unwrap();
        for (name, key) in [("large.rpm", "repo/large.rpm"), ("key", "repo/RPM-GPG-KEY-tests")] {
            let object = server().client().get_object().bucket(&bucket).key(key).send().await.unwrap();
            let bytes = object.body.collect().await.unwrap().to_vec();
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let (takes, said) = rpmkeys_takes(&folder.path().join("key"), &folder.path().join("large.rpm"));
        assert!(takes, "{said}");
        let now = std::fs::read(folder.path().join("large.rpm")).unwrap();
        assert_eq!(report.published[0].pkgid, rpmmd::checksum::Sha256::of(&now).to_string());
        assert!(now[now.len() - 20_000_000..] == large[large.len() - 20_000_000..]);
        let left = server().client().list_objects_v2().bucket(&bucket).prefix(".yrm/signed/").send().await.unwrap();
        assert!(left.contents().is_empty());
        assert!(yrm::check::check(publisher.bucket(), yrm::check::Depth::Deep).await.unwrap().clean());
    }
}

#[test]
fn a_large_package_is_signed_in_a_directory_too() {
    let folder = TempDir::new().unwrap();
    json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
    let toml = "bucket = \"./bucket\"\nsigning-key = \"signing.key\"\nsign-packages = \"always\"\n";
    std::fs::write(folder.path().join("yrm.toml"), toml).unwrap();
    let (inbox, repo) = (folder.path().join("bucket/inbox"), folder.path().join("bucket/repo"));
    std::fs::create_dir_all(&inbox).unwrap();
    let large = Rpm::new("large", "1", "1", "noarch").payload(vec![7; 12_000_000]).build();
    std::fs::write(inbox.join("large.rpm"), &large).unwrap();
    let report = json(yrm(folder.path()).arg("run"));
    assert_eq!((&report["errors"], report["published"].as_array().unwrap().len()), (&Value::Array(Vec::new()), 1));
    let (takes, said) = rpmkeys_takes(&repo.join("RPM-GPG-KEY-yrm"), &repo.join("large.rpm"));
    assert!(takes, "{said}");
    let check = json(yrm(folder.path()).args(["check", "--deep"]));
    assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()));
    for left in ["bucket/.yrm/signed", "bucket/.yrm/tmp", "bucket/inbox"] {
        assert_eq!(std::fs::read_dir(folder.path().join(left)).map_or(0, Iterator::count), 0, "{left}");
    }
}
