//! Keys in KMS: what they sign, gpg and dnf take; a restart changes nothing; a KMS that refuses costs
//! time and nothing else.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json as input};
use tempfile::TempDir;

use super::clients::{Client, Service, drop_samples, json, samples};
use super::gpg::Gpg;
use super::packages::rpmkeys_takes;
use crate::cli::yrm;
use crate::publish::world::rpm;
use crate::s3_server::server;
use crate::service::{Serve, drop_file};

/// More requests than any of these tests makes.
const FOR_LONG: u32 = 1_000_000;

/// A new key's id, and an alias of it.
async fn make_key(spec: &str) -> (String, String) {
    let made = kms("CreateKey", &input!({"KeyUsage": "SIGN_VERIFY", "KeySpec": spec})).await;
    let id = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let alias = format!("alias/yrm/{id}");
    kms("CreateAlias", &input!({"AliasName": alias, "TargetKeyId": id})).await;
    (id, alias)
}

async fn kms(operation: &str, input: &Value) -> Value {
    server().ask("kms", &format!("TrentService.{operation}"), input).await
}

/// `yrm` on the directory bucket `./b`, signing with `key`.
fn signing(folder: &Path, key: &str, verb: &[&str]) -> Command {
    let mut command = yrm(folder);
    command.envs(server().environment()).env("YRM_SIGNING_KEY", key).env("YRM_BUCKET", "./b").args(verb);
    command
}

/// Imports the key file that clients fetch.
fn gpg_of(folder: &Path) -> Gpg {
    let gpg = Gpg::new();
    gpg.import(&folder.join("b/repo/RPM-GPG-KEY-yrm"));
    gpg
}

#[tokio::test(flavor = "multi_thread")]
async fn dnf_installs_from_s3_what_kms_has_signed() {
    let (folder, bucket) = (TempDir::new().unwrap(), server().make_bucket().await);
    let (id, alias) = make_key("RSA_4096").await;
    for (name, bytes) in samples() {
        let put = server().client().put_object().bucket(&bucket).key(format!("inbox/{name}"));
        put.body(bytes.into()).send().await.unwrap();
    }
    let with = |key: &str, verb: &[&str]| {
        let mut command = signing(folder.path(), &format!("awskms:{key}"), verb);
        command.env("YRM_PATH_STYLE", "true").env("YRM_BUCKET", format!("s3://{bucket}"));
        command
    };
    let report = json(&mut with(&alias, &["run"]));
    assert_eq!(report["errors"], Value::Array(Vec::new()));
    let client = Client::new(&format!("{}/{bucket}/repo", server().endpoint()), &bucket);
    client.assert_installs_greeter();

    // The same key by each of its names, in a new process each time: the same to the last byte.
    let export = |key: &str| with(key, &["key", "export"]).output().unwrap().stdout;
    let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{id}");
    let alias_arn = format!("arn:aws:kms:us-east-1:123456789012:{alias}");
    let exported = export(&alias);
    assert!(exported.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    let get = server().client().get_object().bucket(&bucket).key(format!("repo/RPM-GPG-KEY-{bucket}"));
    let published = get.send().await.unwrap().body.collect().await.unwrap().to_vec();
    for other in [export(&id), export(&arn), export(&alias_arn), published] {
        assert_eq!(String::from_utf8_lossy(&other).trim_end(), String::from_utf8_lossy(&exported).trim_end());
    }
    let report = json(&mut with(&arn, &["run"]));
    assert_eq!((&report["usage"]["writes"], &report["errors"]), (&0.into(), &Value::Array(Vec::new())));

    let listed = json(&mut with(&alias, &["key", "list"]));
    assert_eq!((&listed[0]["role"], &listed[0]["published"]), (&"signs".into(), &true.into()));
    assert_eq!((&listed[0]["algorithm"], &listed[0]["user_id"]), (&"RSA 4096".into(), &bucket.as_str().into()));
    let signed_by = format!("signed by {}", listed[0]["fingerprint"].as_str().unwrap());
    assert_eq!(json(&mut with(&id, &["key", "verify"]))[0]["state"], signed_by);
    let check = json(&mut with(&alias, &["check", "--deep"]));
    assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()));
    assert_eq!(check["repositories"][0]["notes"][0], signed_by);
    assert!(json(&mut with(&alias, &["config", "check"]))["warnings"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_kms_signs_packages_and_knows_them_again() {
    for spec in ["RSA_2048", "ECC_NIST_P256"] {
        let folder = TempDir::new().unwrap();
        let is_rsa = spec == "RSA_2048";
        let key = format!("awskms:{}", make_key(spec).await.0);
        let run = || json(signing(folder.path(), &key, &["run"]).env("YRM_SIGN_PACKAGES", "always"));
        drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
        let report = run();
        assert_eq!(report["errors"], Value::Array(Vec::new()));
        let fingerprint = json(&mut signing(folder.path(), &key, &["key", "list"]))[0]["fingerprint"].clone();
        assert_eq!(report["published"][0]["signed_with"], fingerprint);
        // rpm 4.18 reads no ECDSA keys.
        if is_rsa {
            let published = folder.path().join("b/repo");
            let (takes, said) = rpmkeys_takes(&published.join("RPM-GPG-KEY-yrm"), &published.join("a.rpm"));
            assert!(takes, "{said}");
        }
        drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
        assert_eq!(run()["published"][0]["already_there"], true, "RSA: {is_rsa}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gpg_finds_every_kind_of_key_good_and_a_restart_keeps_its_fingerprint_and_writes_nothing() {
    for (spec, kind) in [("RSA_2048", "RSA 2048"), ("ECC_NIST_P256", "ECDSA P-256"), ("ECC_NIST_P384", "ECDSA P-384")] {
        let folder = TempDir::new().unwrap();
        let key = format!("awskms:{}", make_key(spec).await.0);
        drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
        let report = json(&mut signing(folder.path(), &key, &["run"]));
        assert_eq!(report["errors"], Value::Array(Vec::new()), "{kind}");
        let gpg = gpg_of(folder.path());
        assert!(gpg.verifies(&folder.path().join("b")), "{kind}");
        let listed = json(&mut signing(folder.path(), &key, &["key", "list"]));
        assert_eq!((&listed[0]["algorithm"], &listed[0]["published"]), (&kind.into(), &true.into()));

        // Another process, and then one that publishes: the key that gpg has is still the key.
        let report = json(&mut signing(folder.path(), &key, &["run"]));
        assert_eq!(report["usage"]["writes"], 0, "{kind}: {}", report["usage"]);
        let before = std::fs::read(folder.path().join("b/repo/RPM-GPG-KEY-yrm")).unwrap();
        drop_file(folder.path(), "b.rpm", &rpm("b", "1").build());
        json(&mut signing(folder.path(), &key, &["run"]));
        assert_eq!(std::fs::read(folder.path().join("b/repo/RPM-GPG-KEY-yrm")).unwrap(), before, "{kind}");
        assert!(gpg.verifies(&folder.path().join("b")), "{kind}");

        // What somebody put into the key's place does not stay.
        let other = signing(folder.path(), &key, &["key", "export", "--key-name", "other"]).output().unwrap().stdout;
        let more = [&before[..], b"something else\n"].concat();
        for wrong in [other, more, b"no key".to_vec()] {
            std::fs::write(folder.path().join("b/repo/RPM-GPG-KEY-yrm"), wrong).unwrap();
            json(&mut signing(folder.path(), &key, &["run"]));
            assert!(gpg_of(folder.path()).verifies(&folder.path().join("b")), "{kind}");
            let published = std::fs::read(folder.path().join("b/repo/RPM-GPG-KEY-yrm")).unwrap();
            let owner = &yrm::openpgp::key::PublicKey::read_all(&published).unwrap()[0];
            assert_eq!(owner.user_id(), "yrm", "{kind}");
            assert!(!String::from_utf8_lossy(&published).contains("something else"), "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_follow_from_a_key_in_a_file_to_one_in_kms() {
    let folder = TempDir::new().unwrap();
    let next = format!("awskms:{}", make_key("RSA_2048").await.1);
    let command = |verb: &[&str]| {
        let mut command = yrm(folder.path());
        command.envs(server().environment()).args(verb);
        command
    };
    let old = json(&mut command(&["key", "generate", "--algorithm", "ed25519", "--out", "old.key"]));
    let toml = folder.path().join("yrm.toml");
    std::fs::write(&toml, "bucket = \"./bucket\"\nsigning-key = \"old.key\"\n").unwrap();
    drop_samples(folder.path());
    json(&mut command(&["run"]));
    // It only serves files here; the runs are made by hand.
    let service = Service::start(folder.path());
    let client = Client::new(&service.1, "yrm");
    client.assert_reads("the key in a file");
    let signed_by = || json(&mut command(&["key", "verify"]))[0]["state"].as_str().unwrap().to_owned();
    let by = |key: &Value| format!("signed by {}", key["fingerprint"].as_str().unwrap());

    let twice = command(&["key", "rotate", "--next", "old.key"]).output().unwrap();
    assert_eq!(twice.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("it is one of the present keys"));
    let new = json(&mut command(&["key", "rotate", "--next", &next]));
    let says = std::fs::read_to_string(&toml).unwrap();
    assert!(says.contains(&format!("signing-key = [\"old.key\", \"{next}\"]")), "{says}");
    json(&mut command(&["run"]));
    assert_eq!(signed_by(), by(&old));
    let published = std::fs::read(folder.path().join("bucket/repo/RPM-GPG-KEY-yrm")).unwrap();
    assert_eq!(yrm::openpgp::key::PublicKey::read_all(&published).unwrap().len(), 2);
    client.assert_reads("both keys published, the file's signs");
    json(&mut command(&["key", "rotate", "--promote"]));
    json(&mut command(&["run"]));
    assert_eq!(signed_by(), by(&new));
    client.assert_reads("the key in KMS");
    Client::new(&service.1, "yrm").assert_installs_greeter();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kms_refuses_nothing_is_lost_readers_are_safe_and_the_next_run_heals() {
    let folder = TempDir::new().unwrap();
    let (id, _) = make_key("RSA_2048").await;
    let signs = format!("^Sign .*{id}");
    drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "-t", "1", "--log-format", "json", "-v"];
    let mut serve = Serve::spawn(&mut signing(folder.path(), &format!("awskms:{id}"), &arguments));
    assert_eq!(serve.logged("run done")["published"], 1);
    let (gpg, bucket) = (gpg_of(folder.path()), folder.path().join("b"));
    assert!(gpg.verifies(&bucket));
    for (trouble, kind) in [("disabled", "unavailable"), ("403", "denied"), ("500", "unavailable")] {
        match trouble {
            "disabled" => drop(kms("DisableKey", &input!({"KeyId": id})).await),
            fault => server().break_next(fault, &signs, FOR_LONG).await,
        }
        let name = format!("b-{trouble}");
        drop_file(folder.path(), &format!("{name}.rpm"), &rpm(&name, "1").build());
        // Later runs fail too; a line that says the same is not logged again so soon.
        let failed = serve.logged("part of the run failed");
        assert_eq!(failed["kind"], kind, "{failed}");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("signing with arn:aws:kms:") && message.contains(&id), "{message}");
        assert!(bucket.join(format!("inbox/{name}.rpm")).exists(), "{trouble}: the upload is lost");
        assert!(gpg.verifies(&bucket), "{trouble}: the pair does not match");
        let check = json(yrm(folder.path()).args(["check", "--deep", "-b", "./b"]));
        assert_eq!(check["repositories"][0]["problems"], Value::Array(Vec::new()), "{trouble}");
        match trouble {
            "disabled" => drop(kms("EnableKey", &input!({"KeyId": id})).await),
            _ => server().mend(&id).await,
        }
        while serve.logged("run done")["published"] != 1 {}
        assert!(!bucket.join(format!("inbox/{name}.rpm")).exists());
        assert!(gpg.verifies(&bucket), "{trouble}");
    }
    assert_eq!(serve.terminate().0, Some(0));
    let check = json(yrm(folder.path()).args(["check", "--deep", "-b", "./b"]));
    assert_eq!((&check["repositories"][0]["packages"], &check["repositories"][0]["hashed"]), (&4.into(), &4.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_sign_ends_the_start_and_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
    let encrypts = kms("CreateKey", &input!({})).await["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let disabled = make_key("ECC_NIST_P256").await.0;
    let unknown_curve = make_key("ECC_SECG_P256K1").await.0;
    let no_sign = make_key("RSA_2048").await.0;
    let no_public = make_key("RSA_2048").await.0;
    let no_describe = make_key("RSA_2048").await.0;
    kms("DisableKey", &input!({"KeyId": disabled})).await;
    for (call, id) in [("Sign", &no_sign), ("GetPublicKey", &no_public), ("DescribeKey", &no_describe)] {
        server().break_next("403", &format!("^{call} .*{id}"), FOR_LONG).await;
    }
    for (key, why) in [
        ("alias/there-is-none", "check the key's id or alias"),
        (&encrypts, "it is not there to sign"),
        (&disabled, "its state is Disabled"),
        (&unknown_curve, "(ECC_SECG_P256K1)"),
        (&no_sign, "AccessDenied"),
        (&no_public, "AccessDenied"),
        (&no_describe, "AccessDenied"),
    ] {
        for verb in [&["run"][..], &["config", "check"]] {
            let output = signing(folder.path(), &format!("awskms:{key}"), verb).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{key}: {said}");
            assert!(said.contains(&format!("reading the signing key awskms:{key}")), "{said}");
            assert!(said.contains(why), "{why:?} is not in {said}");
            assert!(said.contains("allow kms:Sign, kms:GetPublicKey and kms:DescribeKey"), "{said}");
        }
    }
    // KMS is reached where its own variable says, and a KMS that does not answer is no mistake in the
    // configuration.
    let mut away = signing(folder.path(), &format!("awskms:{disabled}"), &["run"]);
    let output = away.env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let mut nowhere = signing(folder.path(), &format!("awskms:{disabled}"), &["run"]);
    let output = nowhere.env_remove("AWS_REGION").env_remove("AWS_ENDPOINT_URL").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("finding the AWS region"), "{said}");
    assert!(!folder.path().join("b/repo").exists(), "nothing is done without the key");

    // And with the variable alone it is reached.
    let (id, _) = make_key("ECC_NIST_P256").await;
    let mut reached = signing(folder.path(), &format!("awskms:{id}"), &["run"]);
    reached.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ENDPOINT_URL_KMS", server().endpoint());
    // Nor is it looked for where the bucket's endpoint is.
    reached.args(["--endpoint", "http://127.0.0.1:9"]);
    assert_eq!(json(&mut reached)["published"].as_array().unwrap().len(), 1);
}
