//! Publishers that sign and race, and nothing else goes wrong: for how long does a client meet a
//! signature that does not go with its repomd.xml (G7)?

use std::time::Duration;

use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use yrm::publish::Publisher;
use yrm::store::fault::{Call, Turn};

use super::judge::Who;
use super::world::{MINUTE, Signing, World, policy, rpm};
use super::{play, size, tell};

/// No call takes longer.
const SLOWEST_CALL_MS: u64 = 80;
/// Three publishers that meet in one gap wait for each other, with some jitter.
const LONGEST_GAP: Duration = Duration::from_secs(10);

/// A publisher whose calls take their time.
fn publisher(world: &World, number: usize, seed: u64) -> Publisher {
    let dice = std::sync::Mutex::new(StdRng::seed_from_u64(seed));
    let script = move |_: Call<'_>| {
        let takes = Duration::from_millis(dice.lock().unwrap().random_range(1..=SLOWEST_CALL_MS));
        Turn { before: Some(tokio::time::sleep(takes).boxed()), ..Turn::default() }
    };
    world.publisher(Who::Manager(number), script).0
}

/// So many publishers find a package each, at nearly the same moment, ten times. How long a pair did not
/// match at most.
async fn race(publishers: usize, seed: u64) -> Duration {
    let signing = if seed % 2 == 1 { Signing::Packages } else { Signing::On };
    let world = World::new(policy(), signing, seed);
    let mut dice = StdRng::seed_from_u64(seed);
    let all: Vec<Publisher> = (0..publishers).map(|number| publisher(&world, number, dice.random())).collect();
    for round in 0..10 {
        let name = format!("n{round}");
        world.drop_rpm(&format!("{name}.rpm"), &rpm(&name, "1", 0)).await;
        let runs = all.iter().map(|publisher| {
            let late = Duration::from_millis(dice.random_range(0..400));
            let world = &world;
            async move {
                tokio::time::sleep(late).await;
                // Another package for those who come later: else they only find it published.
                let another = format!("n{round}-{}", late.as_millis());
                world.drop_rpm(&format!("{another}.rpm"), &rpm(&another, "1", 0)).await;
                world.run_by(publisher).await
            }
        });
        for report in futures::future::join_all(runs).await {
            let report = report.unwrap();
            if !report.errors.is_empty() {
                world.judge.broken(format!("G12: {:?}", report.errors));
            }
        }
        // Nobody looks again before the next round.
        world.judge.at_rest(&format!("after round {round}"));
        tokio::time::sleep(MINUTE).await;
    }
    let what = format!("{publishers} publishers from seed {seed}");
    world.heal(&what).await;
    world.assert_kept(&what);
    let gap = world.judge.longest_gap();
    assert!(gap < LONGEST_GAP, "{what}: a signature did not match for {gap:?}");
    gap
}

#[test]
fn g7_publishers_that_race_leave_a_good_signature_each_time() {
    let (from, seeds) = (size("YRM_CHAOS_SEED", 0), size("YRM_CHAOS_RACES", 6));
    for publishers in 1..=3 {
        let gaps: Vec<Duration> = (from..from + seeds).map(|seed| play(race(publishers, seed))).collect();
        let longest = gaps.iter().max().copied().unwrap_or_default();
        tell(&format!(
            "G7: {publishers} publishers, {seeds} races of ten rounds from seed {from}: no signature stayed wrong, the \
             longest gap was {longest:?} with calls of up to {SLOWEST_CALL_MS} ms"
        ));
        let own = Duration::from_millis(SLOWEST_CALL_MS);
        assert!(publishers > 1 || longest <= own, "alone, the gap is one put: {longest:?}");
    }
}
