//! Two shapes: three publishers of which one has other settings than the bucket, while an operator changes those
//! settings. No switch goes by others than the bucket's (G16), and nothing of what else is promised breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rpmmd::compress::Compression;
use tokio::sync::Notify;
use tokio::time::Instant;
use yrm::bucket::settings;
use yrm::config::{OnConflict, Policy, Repositories};
use yrm::publish::settings::own;
use yrm::publish::{Publisher, Unwatched};

use super::judge::Who;
use super::seeds::{DAY, Day, INTERVAL, LONGEST_NAP, uploader, weather};
use super::world::{HOUR, MINUTE, OTHER, Signing, World, policy, rpm, signer};
use super::{play, size, tell};

/// What a service does that finds other settings in the bucket: it goes by those.
async fn takes_over(world: &World, publisher: Publisher, seat: &super::judge::Seat) -> Publisher {
    let Ok(Some(stored)) = settings::load(world.judge.memory.as_ref()).await else { return publisher };
    let compression = match stored.shape.value("compression") {
        Some("zstd") => Compression::Zstd,
        _ => Compression::Gz,
    };
    let policy = Policy { compression, ..world.policy.clone() };
    let signer = (world.signing != Signing::Off).then(signer);
    let after = publisher.going_by(policy, signer).unwrap();
    seat.goes_by(own(after.bucket()));
    after
}

/// A publisher that dies and is started again, and goes by the bucket's settings when it finds others; but for the one that
/// insists on its own.
async fn manager(day: Arc<Day>, number: usize, mut dice: StdRng) {
    let ahead = SignedDuration::from_secs(dice.random_range(-600..600));
    loop {
        let died = Arc::new(Notify::new());
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let (mut publisher, seat) = day.world.seated(Who::Manager(number), script);
        let life = async {
            loop {
                drop(publisher.run(day.world.run_id(ahead), &Unwatched).await);
                if publisher.is_at_odds() && number != OTHER {
                    publisher = takes_over(&day.world, publisher, &seat).await;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            () = died.notified() => {}
            () = life => {}
        }
        tokio::time::sleep(Duration::from_secs(dice.random_range(1..900))).await;
    }
}

/// Changes how metadata is compressed, now and then.
async fn changer(day: Arc<Day>, mut dice: StdRng) {
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(600..7_200))).await;
        let value = if dice.random_bool(0.5) { "zstd" } else { "gz" };
        day.world.set("compression", value).await;
    }
}

async fn live(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut dice = StdRng::seed_from_u64(seed);
    let signing = if seed.is_multiple_of(2) { Signing::Off } else { Signing::On };
    let mut world = World::new(policy(), signing, seed);
    // What a laptop would do that was told nothing: another layout, another format, no signature.
    let compression = if dice.random_bool(0.5) { Compression::Zstd } else { Compression::Gz };
    let on_conflict = OnConflict::Replace;
    world.other = Some(Policy { repositories: Repositories::Depth(1), compression, on_conflict, ..policy() });
    world.drop_rpm("a-1.rpm", &rpm("a", "1", 0)).await;
    world.run_by(&world.calm(Who::Manager(8))).await.unwrap();
    let day =
        Day { world, calm: AtomicBool::new(false), began: Instant::now(), denied: Duration::ZERO..Duration::ZERO };
    let day = Arc::new(day);
    let all =
        (0..=OTHER).map(|number| manager(Arc::clone(&day), number, StdRng::seed_from_u64(dice.random())).boxed_local());
    let all: Vec<_> = all.collect();
    let others = [
        uploader(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local(),
        changer(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local(),
    ];
    let evening = async {
        tokio::time::sleep(DAY + LONGEST_NAP).await;
        day.calm.store(true, Ordering::Relaxed);
        tokio::time::sleep(LONGEST_NAP + HOUR).await;
        // Who heals it by the first settings finds them.
        day.world.set("compression", "gz").await;
        tokio::time::sleep(2 * INTERVAL + MINUTE).await;
    };
    tokio::select! {
        biased;
        () = evening => {}
        _ = futures::future::join(futures::future::join_all(all), futures::future::join_all(others)) => {}
    }
    let judge = &day.world.judge;
    if judge.published().keys().any(|repository| !repository.is_empty()) {
        judge.broken(format!("G16: there is a second repository: {:?}", judge.published().keys()));
    }
    day.world.heal("in the end").await;
    judge.verdict()
}

#[test]
fn two_shapes() {
    let (from, seeds) = (size("YRM_CHAOS_SEED", 0), size("YRM_CHAOS_SEEDS", 40));
    for seed in from..from + seeds {
        let (violations, trace) = play(live(seed));
        let tail: Vec<&String> = trace.iter().rev().take(80).rev().collect();
        assert!(
            violations.is_empty(),
            "seed {seed}:\n{}\nthe last writes:\n{tail:#?}\nagain: YRM_CHAOS_SEED={seed} YRM_CHAOS_SEEDS=1 just chaos-one two_shapes",
            violations.join("\n")
        );
    }
    tell(&format!(
        "G16: {seeds} days of three publishers, one of which has other settings, from seed {from}; 0 violations"
    ));
}
