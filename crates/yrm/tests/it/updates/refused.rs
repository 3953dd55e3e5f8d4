//! What is not to be believed or cannot work never runs, and costs nothing but the update.

use std::time::Duration;

use super::{ARCH, Machine, digest, program_of, script};
use crate::s3_server::server;
use crate::service::Serve;

/// The service says why it does not update, stays what it is, and publishes.
async fn assert_stays(machine: &Machine, serve: &mut Serve, why: &str, package: &str) {
    // While the objects of a release are uploaded one by one, something else may be wrong.
    while !serve.logged("no update, and this release goes on")["message"].as_str().unwrap().contains(why) {}
    machine.publishes(serve, package).await;
    assert_eq!(program_of(serve.pid()), machine.file("yrm"));
    assert_eq!(serve.get("/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_that_the_release_key_has_not_signed() {
    let machine = Machine::new().await;
    let key = machine.release_key("ours.pem");
    machine.release_key("theirs.pem");
    let witness = machine.file("witness");
    let mut serve = machine.serve(&["--release-key", &key]);
    machine.publishes(&mut serve, "before").await;
    let wanted = script(&witness, "echo yrm 6.6.6");

    machine.upload(machine.release(&wanted, None)).await;
    assert_stays(&machine, &mut serve, &format!("yrm-{ARCH}.sig is not at the bucket's root"), "unsigned").await;
    machine.upload(machine.release(&wanted, Some("theirs.pem"))).await;
    assert_stays(&machine, &mut serve, "is not signed with the release key", "theirs").await;
    // Signed once, but another list.
    let mut signed = machine.release(&machine.another_build(), Some("ours.pem"));
    signed.insert(format!("yrm-{ARCH}"), wanted.clone());
    let unsigned = machine.release(&wanted, None);
    signed.extend(unsigned.into_iter().filter(|(name, _)| name.ends_with(".sha256")));
    machine.upload(signed).await;
    assert_stays(&machine, &mut serve, "is not signed with the release key", "another-list").await;
    // The list is signed, and another program lies beside it.
    let next = machine.another_build();
    let mut release = machine.release(&next, Some("ours.pem"));
    let program = release.insert(format!("yrm-{ARCH}"), wanted.clone()).unwrap();
    machine.upload(release).await;
    let why = format!("has the SHA-256 {}, and {} is listed", digest(&wanted), digest(&next));
    assert_stays(&machine, &mut serve, &why, "another-program").await;
    assert!(!witness.exists(), "something ran that was not signed");

    // What was refused is looked at again when it changes: an upload that took its time.
    machine.put(&format!("yrm-{ARCH}"), program).await;
    serve.logged("this release works");
    machine.publishes(&mut serve, "after").await;
    assert_eq!(machine.kept(), [format!("yrm-{}", digest(&next))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_yrm_is_tried_once_and_never_started() {
    let machine = Machine::new().await;
    let witness = machine.file("witness");
    let mut serve = machine.serve(&[]);
    machine.publishes(&mut serve, "before").await;
    for (package, program, why) in [
        ("text", b"not a program at all".to_vec(), "it cannot be started"),
        ("empty", Vec::new(), "it cannot be started"),
        ("dies", script(&witness, "exit 7"), "asked for its version it ends with exit status: 7"),
        ("other", script(&witness, "echo bash 5.2"), "it does not call itself yrm"),
        ("steers", script(&witness, r"printf 'yrm \033[2J1'"), "it does not call itself yrm"),
        ("endless", script(&witness, "yes yrm"), "asked for its version it ends with"),
        ("hangs", script(&witness, "exec sleep 3600"), "it does not say its version within 10 seconds"),
    ] {
        machine.upload(machine.release(&program, None)).await;
        assert_stays(&machine, &mut serve, why, package).await;
        assert_eq!(machine.kept(), Vec::<String>::new(), "{package}");
    }
    machine.put(&format!("yrm-{ARCH}.sha256"), vec![b'a'; 70_000]).await;
    assert_stays(&machine, &mut serve, "is larger than 65536 bytes", "large").await;
    // Tried once each: looked at several times since.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(std::fs::read_to_string(&witness).unwrap(), "--version\n".repeat(5));
    server().reset_requests(&machine.bucket).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = server().requests(&machine.bucket).await;
    assert!(requests["methods"]["HEAD"]["count"].as_u64().unwrap() >= 2, "{requests}");
    assert_eq!(requests["methods"].get("GET"), None, "nothing is read again: {requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_to_show_its_root_holds_up_nothing() {
    let machine = Machine::new().await;
    server().break_next("403", &format!("HEAD /{}/yrm-", machine.bucket), 1_000).await;
    let mut serve = machine.serve(&[]);
    let told = serve.logged("no update, and this release goes on");
    assert_eq!(told["kind"], "denied");
    machine.publishes(&mut serve, "a").await;
    assert_eq!(serve.terminate().0, Some(0));
}
