//! The command line: helps, the repository file, and what `check` finds wrong.

use std::process::Output;

use serde_json::json;

use crate::machine::{Machine, said, succeed, workspace};
use crate::repository::{BUCKET, folder};
use crate::store::Store;

#[test]
fn helps_are_short_and_fit_a_terminal_and_the_manual_knows_each_flag() {
    let manual = std::fs::read_to_string(workspace().join("deploy/rpm/yrm-client.1")).unwrap().replace('\\', "");
    for verb in [&[][..], &["serve"], &["check"], &["repo"]] {
        let help = said(&succeed(Machine::new().client(verb).arg("-h")));
        assert!(help.contains("Examples:\n  yrm-client "), "{help}");
        assert!(help.lines().count() <= 60, "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{verb:?}: {line}");
            for flag in line.split([' ', ',', ':']).filter(|word| word.starts_with("--")) {
                assert!(["--help", "--version"].contains(&flag) || manual.contains(flag), "the manual lacks {flag}");
            }
        }
    }
    let version = said(&succeed(Machine::new().client(&["--version"]).arg("-V")));
    assert_eq!(version, format!("yrm-client {}\n", env!("CARGO_PKG_VERSION")));
    for (arguments, why) in [
        (&["serve"][..], "--bucket <s3://NAME>"),
        (&["serve", "-b", "my-bucket"], "write s3://NAME or s3://NAME/PREFIX, not \"my-bucket\""),
        (&["serve", "-b", "s3://my-bucket", "--expires", "10m"], "a redirect is valid for 5m at most"),
        (&["serve", "-b", "s3://my-bucket", "--host", "x"], "--anywhere"),
        (&["serve", "-b", "s3://fast--use1-az4--x-s3"], "is a directory bucket"),
    ] {
        let output = Machine::new().client(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(why), "{}", said(&output));
    }
}

/// What `check` says of a bucket at the store.
fn check(machine: &Machine, store: &Store, arguments: &[&str]) -> Output {
    machine.client(&["check"]).args(store.flags()).args(arguments).output().unwrap()
}

#[test]
fn check_says_what_is_wrong_and_what_helps() {
    let files = folder();
    let store = Store::of(BUCKET, files.path());
    let machine = Machine::with_keys().knows([("AWS_REGION", "us-east-1")]);
    let bucket = format!("s3://{BUCKET}");
    let named = ["-b", &bucket];
    let good = check(&machine, &store, &named);
    assert!(good.status.success(), "{}", said(&good));
    assert!(
        said(&good)
            .contains("ok    credentials: access key AKIAENVIRONMENT from EnvironmentVariable, that does not expire"),
        "{}",
        said(&good)
    );
    assert!(
        said(&good).contains(&format!("ok    {bucket}: repo/repodata/repomd.xml can be read (region us-east-1)")),
        "{}",
        said(&good)
    );
    assert!(said(&good).contains("?     service: nothing answers at 127.0.0.1:8735"), "{}", said(&good));

    let service = machine.serve(&[&named[..], &store.flags()].concat());
    let good = check(&machine, &store, &[&named[..], &["--listen", &service.address]].concat());
    assert!(
        said(&good).contains(&format!("ok    service: yrm-client {} signs for", env!("CARGO_PKG_VERSION"))),
        "{}",
        said(&good)
    );

    for (arguments, why) in [
        (&["-b", "s3://no-such-bucket"][..], "WRONG s3://no-such-bucket: there is no bucket no-such-bucket"),
        (&["-b", &bucket, "--folder", "repo/el9"], "the bucket answers, but there is no repo/el9/repodata/repomd.xml"),
    ] {
        let output = check(&machine, &store, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
    let nobody = check(&Machine::new(), &store, &named);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("WRONG credentials: this machine has no AWS credentials"), "{}", said(&nobody));
    assert!(said(&nobody).contains("hint: give it an instance profile"), "{}", said(&nobody));

    let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: s3:GetObject";
    for (status, code, message, headers, why) in [
        (403, "AccessDenied", denied, json!({}), format!("s3:GetObject on arn:aws:s3:::{BUCKET}/repo/*")),
        (
            301,
            "PermanentRedirect",
            "",
            json!({ "x-amz-bucket-region": "eu-north-1" }),
            format!("{BUCKET} is in eu-north-1"),
        ),
        (403, "RequestTimeTooSkewed", "", json!({}), "the clock of this machine is wrong".to_owned()),
    ] {
        store.control(&json!({
            "kind": "answer", "match": "repomd.xml", "times": 2,
            "status": status, "code": code, "message": message, "headers": headers,
        }));
        let output = check(&machine, &store, &named);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(&why), "{why}: {}", said(&output));
        assert!(!said(&output).contains("X-Amz-"), "{}", said(&output));
    }
}

#[test]
fn a_store_that_is_away_is_said_to_be_away() {
    let machine = Machine::with_keys();
    let arguments = ["check", "-b", "s3://my-bucket", "--endpoint", "http://127.0.0.1:9", "--path-style"];
    let output = machine.client(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("127.0.0.1 cannot be reached: "), "{}", said(&output));
    assert!(said(&output).contains("Connection refused"), "{}", said(&output));
}

#[test]
fn the_repository_file_is_printed_for_each_bucket() {
    let arguments = ["repo", "-b", "s3://one,s3://two/team", "--folder", "repo/el9", "--key", "RPM-GPG-KEY-one"];
    let file = said(&succeed(&mut Machine::new().client(&arguments)));
    assert!(file.contains("[one-el9]\nname=one-el9\nbaseurl=http://127.0.0.1:8735/one/repo/el9\n"), "{file}");
    assert!(file.contains("[two-team-el9]\n"), "{file}");
    assert!(file.contains("gpgkey=http://127.0.0.1:8735/two/team/repo/el9/RPM-GPG-KEY-one\n"), "{file}");
}
