//! Where the machine's credentials come from, and that they change under way.

use std::time::{Duration, SystemTime};

use crate::machine::{Machine, SECRET, TOKEN, said};
use crate::metadata::{Metadata, rfc3339};
use crate::repository::{BUCKET, folder};
use crate::requests::get;
use crate::store::Store;

const FIXED: [&str; 2] = ["--bucket", "s3://my-bucket?region=eu-west-1"];

/// What a `credential_process` prints.
fn process_answer(access_key: &str, good_for: Option<Duration>) -> String {
    let mut answer = serde_json::json!({
        "Version": 1, "AccessKeyId": access_key, "SecretAccessKey": SECRET, "SessionToken": TOKEN,
    });
    if let Some(good_for) = good_for {
        answer["Expiration"] = rfc3339(SystemTime::now() + good_for).into();
    }
    answer.to_string()
}

#[test]
fn credentials_that_rotate_under_way_are_taken_over_before_they_expire() {
    let machine = Machine::new();
    let answer = machine.write("answer.json", &process_answer("AKIAFIRST", Some(Duration::from_secs(50))));
    machine.write(".aws/config", &format!("[default]\ncredential_process = cat {}\n", answer.display()));
    let service = machine.serve(&FIXED);
    let first = get(&service, "/my-bucket/a");
    assert_eq!(first.signed_by(), "AKIAFIRST");
    let seconds: u64 = first.parameter("X-Amz-Expires").parse().unwrap();
    assert!((1..=50).contains(&seconds), "an address outlives its credentials: {seconds}");

    std::fs::write(&answer, process_answer("AKIASECOND", Some(Duration::from_hours(1)))).unwrap();
    let second = get(&service, "/my-bucket/a");
    assert_eq!((second.signed_by(), second.parameter("X-Amz-Expires")), ("AKIASECOND", "300"));

    // The process is broken now, and nobody notices for as long as what it gave is good.
    std::fs::write(&answer, "broken").unwrap();
    assert_eq!(get(&service, "/my-bucket/a").signed_by(), "AKIASECOND");
    assert!(!service.log().contains(SECRET) && !service.log().contains(TOKEN), "{}", service.log());
}

#[test]
fn what_has_expired_already_is_not_signed_with() {
    let machine = Machine::new();
    let answer = machine.write("answer.json", "");
    let past = rfc3339(SystemTime::now() - Duration::from_mins(1));
    let expired = process_answer("AKIAOLD", Some(Duration::ZERO));
    let expired = expired.replace(expired.split("\"Expiration\":\"").nth(1).unwrap().split('"').next().unwrap(), &past);
    std::fs::write(&answer, expired).unwrap();
    machine.write(".aws/config", &format!("[default]\ncredential_process = cat {}\n", answer.display()));
    let service = machine.serve(&FIXED);
    let reply = get(&service, "/my-bucket/a");
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("expired"), "{}", reply.body);
}

#[test]
fn a_process_that_prints_nonsense_is_told_of_without_what_it_printed() {
    for printed in
        [format!("{{\"Version\": 1, \"SecretAccessKey\": \"{SECRET}\""), format!("secret {SECRET}"), "[]".to_owned()]
    {
        let machine = Machine::new();
        let answer = machine.write("answer.json", &printed);
        machine.write(".aws/config", &format!("[default]\ncredential_process = cat {}\n", answer.display()));
        let mut service = machine.serve(&FIXED);
        let reply = get(&service, "/my-bucket/a");
        assert_eq!(reply.status, 503);
        assert!(reply.body.contains("could not parse"), "{reply:?}");
        let (_, log) = service.stop();
        assert!(log.contains("could not parse"), "{log}");
        assert!(!log.contains(SECRET) && !reply.body.contains(SECRET), "{log}");
    }
}

#[test]
fn a_process_that_fails_is_told_of_in_one_line() {
    let machine = Machine::new();
    let script = machine.write("fails.sh", "printf 'no\\nluck\\033[31m\\n' >&2; exit 3\n");
    machine.write(".aws/config", &format!("[default]\ncredential_process = sh {}\n", script.display()));
    let mut service = machine.serve(&FIXED);
    let reply = get(&service, "/my-bucket/a");
    assert_eq!((reply.status, reply.body.lines().count()), (503, 1));
    assert!(reply.body.contains("no luck [31m"), "{reply:?}");
    let (_, log) = service.stop();
    assert!(log.contains("no luck [31m") && log.lines().all(|line| line.starts_with("yrm-client: ")), "{log}");
}

#[test]
fn a_machine_without_credentials_says_so_and_tells_of_it_once() {
    let mut service = Machine::new().serve(&FIXED);
    for _ in 0..5 {
        let reply = get(&service, "/my-bucket/a");
        assert_eq!(reply.status, 503);
        assert!(
            reply.body.starts_with("this machine has no AWS credentials: there are none in the environment"),
            "{reply:?}"
        );
        assert!(reply.body.contains("yrm-client check"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let (_, log) = service.stop();
    assert_eq!(log.matches("this machine has no AWS credentials").count(), 1, "{log}");
}

#[test]
fn the_metadata_service_of_an_instance_is_asked_by_its_second_version_and_by_no_proxy() {
    let metadata = Metadata::start("ASIAINSTANCE", 3600);
    let machine = Machine::new().knows([
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint),
        // Nothing listens there.
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ]);
    let files = folder();
    let store = Store::of(BUCKET, files.path());
    let bucket = format!("s3://{BUCKET}");
    let service = machine.serve(&[&["-b", &bucket][..], &store.flags()].concat());
    assert!(metadata.asked().is_empty(), "nobody is asked before the first request");
    let reply = get(&service, &format!("/{BUCKET}/repo/repodata/repomd.xml"));
    assert_eq!(reply.signed_by(), "ASIAINSTANCE");
    let asked = metadata.asked();
    assert!(asked.iter().any(|path| path == "/latest/meta-data/iam/security-credentials/the-role"), "{asked:?}");
    assert!(!asked.iter().any(|path| path.contains("no token")), "{asked:?}");
    for _ in 0..20 {
        get(&service, &format!("/{BUCKET}/a"));
    }
    assert_eq!(metadata.asked(), asked, "they are good for an hour");
}

#[test]
fn an_instance_whose_role_comes_later_or_changes_is_followed() {
    let metadata = Metadata::start("ASIAFIRST", 50);
    let machine = Machine::new()
        .knows([("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint)]);
    let service = machine.serve(&FIXED);
    assert_eq!(get(&service, "/my-bucket/a").signed_by(), "ASIAFIRST");
    metadata.gives("ASIASECOND", 50);
    assert_eq!(get(&service, "/my-bucket/a").signed_by(), "ASIASECOND");
    metadata.gives_none();
    assert_eq!(get(&service, "/my-bucket/a").signed_by(), "ASIASECOND", "the old ones are good for a while");
    metadata.gives("ASIATHIRD", 3600);
    // A failure counts for a moment.
    let third = || get(&service, "/my-bucket/a").signed_by() == "ASIATHIRD";
    assert!((0..200).any(|_| third() || {
        std::thread::sleep(Duration::from_millis(50));
        false
    }));
}

#[test]
fn a_container_reads_with_the_role_of_its_task_and_a_pod_with_its_own() {
    let metadata = Metadata::start("ASIATASK", 3600);
    let uri = format!("{}/container", metadata.endpoint);
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-the-pod");
    let machine = Machine::new().knows([("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), token]);
    // Nothing listens there.
    let machine = machine.knows([("HTTP_PROXY", "http://127.0.0.1:9")]);
    assert_eq!(get(&machine.serve(&FIXED), "/my-bucket/a").signed_by(), "ASIATASK");

    let files = folder();
    let store = Store::of(BUCKET, files.path());
    let machine = Machine::new();
    let token = machine.write("token", "eyJhbGciOiJSUzI1NiJ9.e30.x");
    let machine = machine.knows([
        ("AWS_ENDPOINT_URL", store.endpoint.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let reply = get(&machine.serve(&["-b", &format!("s3://{BUCKET}")]), &format!("/{BUCKET}/a"));
    assert!(!reply.parameter("X-Amz-Security-Token").is_empty());
    assert!(reply.location().starts_with(&format!("{}/{BUCKET}/a?", store.endpoint)), "{reply:?}");
}

#[test]
fn a_session_of_single_sign_on_is_used() {
    let portal = Metadata::start("ASIASSO", 3600);
    let machine = Machine::new().knows([("AWS_ENDPOINT_URL_SSO", portal.endpoint.as_str()), ("AWS_PROFILE", "people")]);
    machine.write(
        ".aws/config",
        "[profile people]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n\
         sso_account_id = 123456789012\nsso_role_name = reads-packages\nregion = eu-west-1\n",
    );
    // Named by the SHA-1 of the start address.
    let session = serde_json::json!({
        "accessToken": "sso-session",
        "expiresAt": rfc3339(SystemTime::now() + Duration::from_hours(1)),
        "region": "eu-west-1",
        "startUrl": "https://example.awsapps.com/start",
    });
    machine.write(".aws/sso/cache/e8be5486177c5b5392bd9aa76563515b29358e6e.json", &session.to_string());
    let reply = get(&machine.serve(&FIXED), "/my-bucket/a");
    assert_eq!(reply.status, 302, "{reply:?} {:?}", portal.asked());
    assert_eq!(reply.signed_by(), "ASIASSO");
}

#[test]
fn a_role_that_a_profile_names_is_assumed() {
    let files = folder();
    let store = Store::of(BUCKET, files.path());
    let machine = Machine::new().knows([("AWS_ENDPOINT_URL", &store.endpoint)]);
    machine.write(
        ".aws/config",
        "[profile packages]\nrole_arn = arn:aws:iam::123456789012:role/reads-packages\nsource_profile = base\n\
         role_session_name = tests\nregion = eu-west-1\n",
    );
    machine.write(
        ".aws/credentials",
        &format!("[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = {SECRET}\n"),
    );
    let bucket = format!("s3://{BUCKET}");
    let flags = ["-b", &bucket, "--path-style", "--profile", "packages"];
    let service = machine.serve(&flags);
    let reply = get(&service, &format!("/{BUCKET}/repo/repodata/repomd.xml"));
    assert_ne!(reply.signed_by(), "AKIABASE");
    assert!(!reply.parameter("X-Amz-Security-Token").is_empty());
    assert!(reply.location().starts_with(&format!("{}/{BUCKET}/repo/", store.endpoint)), "{reply:?}");

    let check = machine.client(&["check"]).args(flags).output().unwrap();
    assert!(check.status.success(), "{}", said(&check));
    assert!(said(&check).contains("assumed-role/reads-packages/tests"), "{}", said(&check));
    assert!(said(&check).contains("repo/repodata/repomd.xml can be read"), "{}", said(&check));
}

#[test]
fn a_region_is_asked_for_once_and_goes_before_the_machines_own() {
    let files = folder();
    let store = Store::of(BUCKET, files.path());
    let machine = Machine::with_keys().knows([("AWS_REGION", "eu-west-1")]);
    let headers = serde_json::json!({ "x-amz-bucket-region": "ap-south-1" });
    store.control(&serde_json::json!({
        "kind": "answer", "match": format!("^HEAD /{BUCKET}"), "times": 1, "status": 301, "code": "PermanentRedirect",
        "message": "", "headers": headers,
    }));
    let bucket = format!("s3://{BUCKET}");
    let service = machine.serve(&[&["-b", &bucket][..], &store.flags()].concat());
    for _ in 0..3 {
        let reply = get(&service, &format!("/{BUCKET}/a"));
        assert!(reply.parameter("X-Amz-Credential").contains("%2Fap-south-1%2Fs3%2Faws4_request"), "{reply:?}");
    }
    let heads = store.requests().iter().filter(|line| line.starts_with("HEAD ")).count();
    assert_eq!(heads, 1);
    let fixed = machine.serve(&[&["-b", &bucket, "--region", "us-west-2"][..], &store.flags()].concat());
    assert!(get(&fixed, &format!("/{BUCKET}/a")).parameter("X-Amz-Credential").contains("%2Fus-west-2%2F"));
}
