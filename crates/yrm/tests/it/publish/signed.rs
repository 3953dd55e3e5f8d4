//! Signed publishing: the pair of repomd.xml and its signature, whatever happens between the two puts.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::FutureExt as _;
use jiff::Timestamp;
use yrm::check::RepositoryFindings;
use yrm::config::SignWith;
use yrm::openpgp::key::{Algorithm, Made, PublicKey, SecretKey, generate};
use yrm::openpgp::sign::Signer;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::Store as _;
use yrm::store::memory::MemoryStore;

use super::world::{Call, DAY, Effect, World, policy, put, rpm, settle_for};

const REPOMD: &str = "repo/repodata/repomd.xml";
const SIGNATURE: &str = "repo/repodata/repomd.xml.asc";

/// Two keys, made once: their bytes do not matter.
pub(super) static KEYS: LazyLock<[Made; 2]> = LazyLock::new(|| {
    let made = Timestamp::from_second(1_700_000_000).unwrap();
    ["first", "second"].map(|name| generate(Algorithm::Ed25519, name, made, None).unwrap())
});

pub(super) fn signer(order: &[usize]) -> Signer {
    let keys = order.iter().map(|&at| SecretKey::read(KEYS[at].secret.as_bytes(), None).unwrap()).collect();
    Signer::new(keys, SignWith::First, "tests".to_owned()).unwrap()
}

/// A publisher of the bucket, freshly started, that signs with these keys.
fn signing(world: &World, order: &[usize]) -> Publisher {
    Publisher::new(world.hooked.clone(), policy()).unwrap().with_signer(Some(signer(order)))
}

/// A bucket whose publisher signs, with one package published.
async fn signed_world() -> World {
    let mut world = World::new(policy());
    world.publisher = signing(&world, &[0]);
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    world
}

async fn is_signed_by(world: &World, key: &PublicKey) -> bool {
    let (repomd, signature) = (world.bytes(REPOMD).await.unwrap(), world.bytes(SIGNATURE).await);
    signature.is_some_and(|signature| key.has_signed(&repomd, &signature))
}

async fn assert_signed(world: &World, what: &str) {
    assert!(is_signed_by(world, &KEYS[0].key).await, "G7: {what}: the signature does not go with repomd.xml");
    world.assert_clean().await;
}

async fn findings(publisher: &Publisher) -> RepositoryFindings {
    let found = yrm::check::check(publisher.bucket(), yrm::check::Depth::Deep).await.unwrap();
    found.repositories.into_iter().next().unwrap()
}

fn remove_signature(memory: Arc<MemoryStore>) -> futures::future::BoxFuture<'static, ()> {
    async move {
        let there = memory.head(SIGNATURE).await.unwrap().unwrap();
        memory.delete(SIGNATURE, &there.etag).await.unwrap();
    }
    .boxed()
}

#[tokio::test(start_paused = true)]
async fn every_generation_is_signed_just_before_it_is_the_truth() {
    let world = signed_world().await;
    assert_signed(&world, "the first generation").await;
    assert_eq!(
        PublicKey::read_all(&world.bytes("repo/RPM-GPG-KEY-tests").await.unwrap()).unwrap(),
        [KEYS[0].key.clone()]
    );
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    // At the switch the signature of what comes is there, and that of what was is not.
    let before = world.bytes(SIGNATURE).await.unwrap();
    let seen: Arc<std::sync::Mutex<Option<Bytes>>> = Arc::default();
    let look = Arc::clone(&seen);
    world.hooked.at(Call::Put, "repodata/repomd.xml", Effect::Before(Box::new(|_| async {}.boxed())));
    world.hooked.at(
        Call::Put,
        "repodata/repomd.xml",
        Effect::Before(Box::new(move |memory| {
            async move {
                let there = memory.get(SIGNATURE, None).await.unwrap().unwrap();
                *look.lock().unwrap() = Some(there.bytes);
            }
            .boxed()
        })),
    );
    world.run().await;
    assert!(world.hooked.all_happened());
    let at_switch = seen.lock().unwrap().clone().unwrap();
    assert_ne!(at_switch, before);
    assert_eq!(world.bytes(SIGNATURE).await.unwrap(), at_switch);
    assert_signed(&world, "the second generation").await;
    // Each generation's copy has its signature's beside it.
    let copies: Vec<String> =
        world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/generations/")).collect();
    assert_eq!(copies.len(), 4, "{copies:?}");
    for copy in copies.iter().filter_map(|key| key.strip_suffix(".asc")) {
        let (bytes, signature) = (world.bytes(copy).await.unwrap(), world.bytes(&format!("{copy}.asc")).await.unwrap());
        assert!(KEYS[0].key.has_signed(&bytes, &signature), "{copy}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_of_a_signing_publisher_makes_one_list_request_and_no_write() {
    let world = signed_world().await;
    let report = world.run().await;
    assert_eq!((report.usage.reads, report.usage.writes), (1, 0));
    // The first one after a start looks at the pair too, and finds it good.
    let report = world.run_by(&signing(&world, &[0])).await;
    assert_eq!((report.usage.writes, report.errors.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn signing_turned_on_off_and_on_leaves_no_stale_signature() {
    let mut world = signed_world().await;
    // Off: what is there stays while it is right, and goes before the next generation is the truth.
    world.restart();
    world.run().await;
    assert!(is_signed_by(&world, &KEYS[0].key).await, "an idle run changes nothing");
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let look = Arc::clone(&gone);
    world.hooked.at(
        Call::Put,
        REPOMD,
        Effect::Before(Box::new(move |memory| {
            async move {
                let there = memory.head(SIGNATURE).await.unwrap();
                look.store(there.is_none(), std::sync::atomic::Ordering::Relaxed);
            }
            .boxed()
        })),
    );
    world.run().await;
    assert!(world.hooked.all_happened() && gone.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(world.bytes(SIGNATURE).await, None);
    world.assert_clean().await;
    // On: the start signs what was published meanwhile.
    world.publisher = signing(&world, &[0]);
    assert_eq!(findings(&world.publisher).await.problems, [format!("{SIGNATURE} is missing, and signing is on")]);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_signed(&world, "on again").await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_two_puts_is_mended_by_the_next_start_even_with_nothing_to_do() {
    let mut world = signed_world().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    // The first put of that name is the signature's.
    world.hooked.at(Call::Put, SIGNATURE, Effect::Before(Box::new(|_| async {}.boxed())));
    world.hooked.at(Call::Put, REPOMD, Effect::Die);
    let run = RunId { id: ulid::Ulid::new(), started: world.now() };
    let died = tokio::time::timeout(std::time::Duration::from_secs(9), world.publisher.run(run, &Unwatched)).await;
    assert!(died.is_err() && world.hooked.all_happened());
    assert!(!is_signed_by(&world, &KEYS[0].key).await, "the crash left a pair that does not match");
    assert!(!findings(&world.publisher).await.problems.is_empty());
    world.remove("inbox/b.rpm").await;
    world.publisher = signing(&world, &[0]);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_signed(&world, "after the start").await;
    assert_eq!(world.hrefs("").await, ["a.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn two_signing_writers_that_race_leave_a_good_pair() {
    // Another one publishes before our first put, between our two, and after both.
    for (call, part) in [(Call::Put, SIGNATURE), (Call::Put, REPOMD), (Call::Head, SIGNATURE)] {
        let world = signed_world().await;
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        let (other, now) = (signing(&world, &[0]), world.now());
        if part == REPOMD {
            world.hooked.at(Call::Put, SIGNATURE, Effect::Before(Box::new(|_| async {}.boxed())));
        }
        world.hooked.another_publishes_at(call, part, (other, now));
        let report = world.run().await;
        assert!(world.hooked.all_happened(), "{part}");
        assert_eq!(report.errors, Vec::<String>::new(), "{part}");
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"], "{part}");
        assert_signed(&world, part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_winner_whose_signature_was_replaced_meanwhile_signs_again() {
    let world = signed_world().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let old = world.bytes(SIGNATURE).await.unwrap();
    // Somebody mended the pair that he saw in our gap, and was slow.
    world.hooked.at(
        Call::Head,
        SIGNATURE,
        Effect::Before(Box::new(move |memory| {
            async move {
                put(memory.as_ref(), SIGNATURE, old).await;
            }
            .boxed()
        })),
    );
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!(report.errors, Vec::<String>::new());
    assert_signed(&world, "after the winner's look").await;
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_looked_at_again_after_the_clock_was_set_back() {
    let world = signed_world().await;
    let (yesterday, other) = (world.now() - DAY, signer(&[1]));
    // An operator's removal died between its two puts.
    let never_came = other.finish(other.begin(b"what never came", yesterday).unwrap()).await.unwrap();
    put(world.memory.as_ref(), SIGNATURE, never_came).await;
    world.publisher.run(RunId { id: ulid::Ulid::new(), started: yesterday }, &Unwatched).await.unwrap();
    assert_signed(&world, "by a clock of yesterday").await;
}

#[tokio::test(start_paused = true)]
async fn who_mends_looks_whether_what_was_signed_is_still_there() {
    let world = signed_world().await;
    remove_signature(Arc::clone(&world.memory)).await;
    // Somebody who does not sign, and finds no signature to remove, publishes just before it is put.
    let (other, now) = (world.another(), world.now());
    world.hooked.at(
        Call::Put,
        SIGNATURE,
        Effect::Before(Box::new(move |memory| {
            async move {
                put(memory.as_ref(), "inbox/b.rpm", rpm("b", "1").build()).await;
                settle_for(memory.as_ref(), &other).await;
                other.run(RunId { id: ulid::Ulid::new(), started: now }, &Unwatched).await.unwrap();
            }
            .boxed()
        })),
    );
    let report = world.run_by(&signing(&world, &[0])).await;
    assert!(world.hooked.all_happened());
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
    assert_signed(&world, "after the mender's look").await;
}

#[tokio::test(start_paused = true)]
async fn an_errand_whose_switch_fails_leaves_the_signature_of_what_is_there() {
    let world = signed_world().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    // The first put of that name is the signature's.
    world.hooked.at(Call::Put, SIGNATURE, Effect::Before(Box::new(|_| async {}.boxed())));
    world.hooked.at(Call::Put, REPOMD, Effect::Refuse);
    let run = RunId { id: ulid::Ulid::new(), started: world.now() };
    let repository = yrm::store::key::RepositoryDir::new("");
    world.publisher.remove(&repository, vec!["a.rpm".to_owned()], run).await.unwrap_err();
    assert!(world.hooked.all_happened());
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
    assert_signed(&world, "after the refusal").await;
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_vanishes_is_made_again_by_whoever_looks() {
    let world = signed_world().await;
    remove_signature(Arc::clone(&world.memory)).await;
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert!(report.published[0].already_there);
    assert_signed(&world, "after a run with nothing new").await;
}

#[tokio::test(start_paused = true)]
async fn what_something_else_wrote_is_not_signed_as_it_is() {
    let mut world = signed_world().await;
    let text = String::from_utf8(world.bytes(REPOMD).await.unwrap().to_vec()).unwrap();
    put(world.memory.as_ref(), REPOMD, text.replace("<revision>", "<!-- by hand --><revision>")).await;
    world.publisher = signing(&world, &[0]);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert!(!is_signed_by(&world, &KEYS[0].key).await);
    let problems = findings(&world.publisher).await.problems;
    assert_eq!(problems, [format!("{SIGNATURE} does not go with repomd.xml: it is stale, or forged")]);
    // What is taken over is described anew from the packages, and signed.
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    assert_signed(&world, "after it was taken over").await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_key_is_published_and_a_new_first_key_signs_at_the_start() {
    let mut world = signed_world().await;
    world.publisher = signing(&world, &[0, 1]);
    world.run().await;
    assert_signed(&world, "with a second key").await;
    let keys = PublicKey::read_all(&world.bytes("repo/RPM-GPG-KEY-tests").await.unwrap()).unwrap();
    assert_eq!(keys, [KEYS[0].key.clone(), KEYS[1].key.clone()]);
    world.publisher = signing(&world, &[1, 0]);
    world.run().await;
    assert!(is_signed_by(&world, &KEYS[1].key).await);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_no_key_judges_by_the_published_one() {
    let world = signed_world().await;
    let onlooker = world.another();
    let found = findings(&onlooker).await;
    assert_eq!((found.problems.len(), found.notes), (0, vec![format!("signed by {}", KEYS[0].key.fingerprint())]));
    put(world.memory.as_ref(), SIGNATURE, "no signature").await;
    assert_eq!(findings(&onlooker).await.problems.len(), 1);
    world.remove("repo/RPM-GPG-KEY-tests").await;
    let found = findings(&onlooker).await;
    let note = format!("{SIGNATURE} is there, and no published key to judge it by");
    assert_eq!((found.problems.len(), found.notes), (0, vec![note]));
}

#[tokio::test(start_paused = true)]
async fn removing_and_rolling_back_sign_what_they_publish() {
    let world = signed_world().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let before = world.run().await.repositories[0].revision_before.unwrap();
    let run = || RunId { id: ulid::Ulid::new(), started: world.now() };
    let repository = yrm::store::key::RepositoryDir::new("");
    world.publisher.remove(&repository, vec!["a.rpm".to_owned()], run()).await.unwrap();
    assert_signed(&world, "after a removal").await;
    world.publisher.roll_back(&repository, before, run()).await.unwrap();
    assert_eq!(world.hrefs("").await, ["a.rpm"]);
    assert_signed(&world, "after going back").await;
}

#[tokio::test(start_paused = true)]
async fn old_generations_signatures_are_swept_with_them() {
    let world = signed_world().await;
    let signatures = || world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/") && key.contains(".asc"));
    for name in ["b", "c"] {
        world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
        world.run().await;
    }
    assert_eq!(signatures().count(), 3);
    world.advance(4 * super::world::DAY);
    world.drop_rpm("d.rpm", &rpm("d", "1")).await;
    world.run().await;
    // The one that was the truth until now stays, and so does the present one.
    assert_eq!(signatures().count(), 2, "{:?}", signatures().collect::<Vec<_>>());
    assert_signed(&world, "after the sweep").await;
}
