//! Several folders with rules of their own in one repository: what happens in one decides nothing in another.

use std::sync::Arc;
use std::time::Duration;

use forge::Rpm as Package;
use yrm::bucket::report::Report;
use yrm::config::{KeyringPlace, Level, OnConflict, Policy, Retention, Rule, SignPackages, SignWith, Trust};
use yrm::openpgp::key::SecretKey;
use yrm::openpgp::sign;
use yrm::publish::operations::errand::Promotion;
use yrm::publish::{Publisher, RunId};
use yrm::store::Store;

use super::corpus::world;
use super::signers::{Signer, Signers};
use crate::publish::world::{World, policy};

/// Each call's bytes differ by their build.
fn package(version: &str, build: u32) -> Vec<u8> {
    Package::new("foo", version, "1", "noarch").build_time(1_700_000_000 + build).build()
}

fn rule(folder: &str, keys: Vec<String>) -> Rule {
    Rule { folders: vec![folder.to_owned()], signatures: Some(Level::Require), keys, ..Rule::default() }
}

/// One repository: `secure` takes what Ed25519 has signed, `team-b` what RSA has, and `both` either; the
/// other folders take anything.
fn rules(by: &Signers) -> Vec<Rule> {
    let [ed25519, rsa] = [Signer::Ed25519, Signer::Rsa].map(|signer| by.fingerprint(signer));
    vec![rule("secure", vec![ed25519.clone()]), rule("team-b", vec![rsa.clone()]), rule("both", vec![ed25519, rsa])]
}

fn trusting(by: &Signers, rules: Vec<Rule>, on_conflict: OnConflict) -> Policy {
    let keyrings = vec![KeyringPlace::Path(by.keyring())];
    Policy { trust: Trust { keyrings, rules, ..Trust::default() }, on_conflict, ..policy() }
}

async fn run(world: &World) -> Report {
    world.advance(Duration::from_mins(1));
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    world.assert_clean().await;
    report
}

/// The folders of the packages that clients see.
async fn folders(world: &World) -> Vec<String> {
    let hrefs = world.hrefs("").await;
    hrefs.iter().map(|href| href.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()).collect()
}

fn codes(report: &Report) -> Vec<(&str, &str)> {
    report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect()
}

const ALL: [OnConflict; 2] = [OnConflict::Reject, OnConflict::Replace];

#[tokio::test]
async fn no_folder_decides_for_another() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    let signed = |signer, build| by.rpmsign(signer, &package("1", build), &[]);
    let [by_ed25519, by_rsa] = [Signer::Ed25519, Signer::Rsa].map(|signer| move |build| signed(signer, build));
    let unsigned = |build| package("1", build);
    let open = |on_conflict| world(trusting(&by, rules(&by), on_conflict));

    for on_conflict in ALL {
        // A twin that would not be let in neither takes the package's place nor gets in beside it.
        let twins = [("open", unsigned(1)), ("team-b", by_rsa(2)), ("", unsigned(3))];
        for (folder, twin) in twins {
            let world = open(on_conflict);
            world.drop_bytes("secure/foo.rpm", by_ed25519(0)).await;
            run(&world).await;
            let path = format!("{folder}/foo.rpm");
            world.drop_bytes(path.trim_start_matches('/'), twin).await;
            let report = run(&world).await;
            let key = format!("inbox/{}", path.trim_start_matches('/'));
            assert_eq!(codes(&report), [(key.as_str(), "E_CONFLICT")], "{on_conflict:?}");
            assert!(report.rejected[0].message.contains("would not be let into that folder"), "{report:?}");
            assert_eq!((folders(&world).await, report.replaced), (vec!["secure".to_owned()], vec![]));
        }

        // The other way round the one that is trusted less is in nobody's way, however often it is dropped.
        for again in [false, true] {
            let world = open(on_conflict);
            world.drop_bytes("open/foo.rpm", unsigned(1)).await;
            run(&world).await;
            world.drop_bytes("secure/foo.rpm", by_ed25519(0)).await;
            if again {
                world.drop_bytes("open/foo.rpm", unsigned(1)).await;
            }
            let report = run(&world).await;
            assert_eq!(report.published.len(), 1, "{on_conflict:?} {again}: {report:?}");
            assert_eq!(report.replaced[0].href, "open/foo.rpm");
            assert_eq!(codes(&report), if again { vec![("inbox/open/foo.rpm", "E_CONFLICT")] } else { vec![] });
            assert_eq!(folders(&world).await, ["secure"]);
            if on_conflict == OnConflict::Reject {
                assert_eq!(world.hrefs("").await, ["secure/foo.rpm"]);
            }
            assert_eq!(run(&world).await.published.len(), 0, "and that is all");
        }

        // Both at once, whichever comes first by its key.
        for folder in ["a-open", "z-open"] {
            let world = open(on_conflict);
            world.drop_bytes("secure/foo.rpm", by_ed25519(0)).await;
            world.drop_bytes(&format!("{folder}/foo.rpm"), unsigned(1)).await;
            let first = run(&world).await;
            assert_eq!(first.published[0].inbox_key, "inbox/secure/foo.rpm", "{on_conflict:?}");
            run(&world).await;
            assert_eq!((folders(&world).await, world.inbox()), (vec!["secure".to_owned()], vec![]));
        }
    }
}

#[tokio::test]
async fn a_package_that_is_good_enough_for_both_folders_is_treated_as_in_one() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    let signed = |signer, build| by.rpmsign(signer, &package("1", build), &[]);
    // Of two that either folder would let in the second is a conflict, or replaces the first.
    for (first, second) in [("secure", "open"), ("open", "secure"), ("both", "secure"), ("secure", "both")] {
        for (on_conflict, stays) in [(OnConflict::Reject, first), (OnConflict::Replace, second)] {
            let world = world(trusting(&by, rules(&by), on_conflict));
            world.drop_bytes(&format!("{first}/foo.rpm"), signed(Signer::Ed25519, 0)).await;
            run(&world).await;
            world.drop_bytes(&format!("{second}/foo.rpm"), signed(Signer::Ed25519, 1)).await;
            run(&world).await;
            assert_eq!(folders(&world).await, [stays], "{first} {second} {on_conflict:?}");
        }
    }
    // Whose key the folder asks for decides between two that are signed.
    let world = world(trusting(&by, rules(&by), OnConflict::Reject));
    world.drop_bytes("both/foo.rpm", signed(Signer::Rsa, 0)).await;
    run(&world).await;
    world.drop_bytes("secure/foo.rpm", signed(Signer::Ed25519, 1)).await;
    assert_eq!(run(&world).await.replaced[0].href, "both/foo.rpm");
    // The very same bytes are no twin.
    let promotion = Promotion { from: "secure/foo.rpm".to_owned(), to: "open/foo.rpm".to_owned() };
    let id = RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.promote(&[promotion], id).await.unwrap();
    assert_eq!(folders(&world).await, ["open", "secure"]);
    world.drop_bytes("elsewhere/foo.rpm", package("1", 9)).await;
    assert_eq!(codes(&run(&world).await), [("inbox/elsewhere/foo.rpm", "E_CONFLICT")]);
    assert_eq!(folders(&world).await, ["open", "secure"]);
}

#[tokio::test]
async fn versions_count_per_rule() {
    let by = Signers::of(&[Signer::Ed25519]);
    let rules = vec![rule("secure/team-b", Vec::new()), rule("secure/**", Vec::new())];
    let retention = Some(Retention { keep_at_least: 1, older_than: Duration::ZERO });
    let world = world(Policy { retention, ..trusting(&by, rules, OnConflict::Reject) });
    let signed = |version| by.rpmsign(Signer::Ed25519, &package(version, 0), &[]);
    world.drop_bytes("secure/1.rpm", signed("1")).await;
    world.drop_bytes("secure/team-b/2.rpm", signed("2")).await;
    run(&world).await;
    world.drop_bytes("open/8.rpm", package("8", 0)).await;
    world.drop_bytes("9.rpm", package("9", 0)).await;
    run(&world).await;
    // What nobody asks for signatures counts together.
    let all = ["9.rpm", "secure/1.rpm", "secure/team-b/2.rpm"];
    let retired = run(&world).await.pruned;
    assert_eq!((retired.len(), retired[0].href.as_str()), (1, "open/8.rpm"));
    assert_eq!(world.hrefs("").await, all);
    world.drop_bytes("secure/deep/3.rpm", signed("3")).await;
    assert_eq!(run(&world).await.pruned[0].href, "secure/1.rpm");
    assert_eq!(world.hrefs("").await, ["9.rpm", "secure/deep/3.rpm", "secure/team-b/2.rpm"]);
}

#[tokio::test]
async fn what_is_signed_here_is_not_the_same_as_an_unsigned_package_elsewhere() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    for on_conflict in ALL {
        let secure = Rule { sign_packages: Some(SignPackages::Always), ..rule("secure", Vec::new()) };
        let policy = trusting(&by, vec![secure], on_conflict);
        let mut world = world(policy.clone());
        let key = SecretKey::read(&by.secret_key(Signer::Rsa), None).unwrap();
        let signer = sign::Signer::new(vec![key], SignWith::First, "tests".to_owned()).unwrap();
        let store = Arc::clone(&world.hooked) as Arc<dyn Store>;
        world.publisher = Publisher::new(store, policy).unwrap().with_signer(Some(signer));
        world.drop_bytes("open/foo.rpm", package("1", 0)).await;
        run(&world).await;
        // The same main header: but for its signatures it is the same package.
        world.drop_bytes("secure/foo.rpm", by.rpmsign(Signer::Ed25519, &package("1", 0), &[])).await;
        let report = run(&world).await;
        assert_eq!(report.published[0].signed_with, Some(by.fingerprint(Signer::Rsa)), "{on_conflict:?}: {report:?}");
        assert_eq!(folders(&world).await, ["secure"]);
        // And what is not signed here does not take the place of what is.
        world.drop_bytes("open/foo.rpm", by.rpmsign(Signer::Ed25519, &package("1", 1), &[])).await;
        assert_eq!(codes(&run(&world).await), [("inbox/open/foo.rpm", "E_CONFLICT")]);
        assert_eq!(folders(&world).await, ["secure"]);
    }
}

#[tokio::test]
async fn a_rule_that_came_later_guards_what_was_there() {
    let by = Signers::of(&[Signer::Ed25519]);
    for on_conflict in ALL {
        let mut world = world(trusting(&by, Vec::new(), on_conflict));
        world.drop_bytes("secure/foo.rpm", package("1", 0)).await;
        run(&world).await;
        let policy = trusting(&by, vec![rule("secure", Vec::new())], on_conflict);
        world.publisher = Publisher::new(Arc::clone(&world.hooked) as Arc<dyn Store>, policy).unwrap();
        world.drop_bytes("open/foo.rpm", package("1", 1)).await;
        assert_eq!(codes(&run(&world).await), [("inbox/open/foo.rpm", "E_CONFLICT")], "{on_conflict:?}");
        assert_eq!(world.hrefs("").await, ["secure/foo.rpm"]);
    }
}

#[tokio::test]
async fn a_folder_that_looks_like_one_with_a_rule_is_remarked_on() {
    let by = Signers::of(&[Signer::Ed25519]);
    let rules = vec![rule("secure", Vec::new()), rule("caf\u{e9}/*", Vec::new())];
    let world = world(trusting(&by, rules, OnConflict::Reject));
    let look_alikes = ["Secure", "secure ", "\u{ff53}ecure", "secu\u{200b}re", "cafe\u{301}/x"];
    let others = ["secured", "open", "caf\u{e9}", "x/secure"];
    for (at, folder) in look_alikes.iter().chain(&others).enumerate() {
        let package = Package::new(format!("p{at}").as_str(), "1", "1", "noarch").build();
        world.drop_bytes(&format!("{folder}/p.rpm"), package).await;
    }
    let report = run(&world).await;
    let remarked: Vec<&str> = report
        .published
        .iter()
        .filter(|package| package.remarks.iter().any(|remark| remark.code == "W_LOOK_ALIKE"))
        .map(|package| package.href.strip_suffix("/p.rpm").unwrap())
        .collect();
    let mut expected = look_alikes.to_vec();
    expected.sort_unstable();
    assert_eq!((report.published.len(), remarked), (look_alikes.len() + others.len(), expected));
}
