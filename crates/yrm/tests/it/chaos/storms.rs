//! The store answers nothing but 503 for a while (F3): everything is published when it is over, and
//! the store was not asked for much more than without the storm.

use std::time::Duration;

use tokio::time::Instant;
use yrm::store::fault::{Call, Fate, Turn};

use super::judge::Who;
use super::stories::Story;
use super::world::{MINUTE, Signing, World};
use super::{play, tell};

/// Publishes a batch every minute until all is published; the storm begins at a call and lasts. How
/// many calls the store got.
async fn weathered(story: Story, bad_weather: Option<(u64, Duration)>) -> u64 {
    let world = World::of(story, Signing::Off).await;
    let began = std::sync::OnceLock::new();
    let script = move |call: Call<'_>| {
        let Some((at, lasts)) = bad_weather.filter(|(at, _)| call.number >= *at) else { return Turn::default() };
        debug_assert!(call.number >= at);
        let is_silent = began.get_or_init(Instant::now).elapsed() < lasts;
        if is_silent { Fate::Lost.into() } else { Turn::default() }
    };
    let (publisher, faults) = world.publisher(Who::Manager(0), script);
    for _ in 0..60 {
        // A listing that fails ends the run; the next minute tries again.
        drop(world.run_by(&publisher).await);
        if world.judge.inbox().is_empty() {
            break;
        }
        tokio::time::sleep(MINUTE).await;
    }
    let calls = faults.calls();
    let what = format!("{story:?} in {bad_weather:?}");
    world.heal(&what).await;
    if !story.is_at_its_end(&world) {
        world.judge.broken(format!("the end is not reached: {:?}", world.hrefs()));
    }
    world.assert_kept(&what);
    calls
}

#[test]
fn f3_a_storm_of_503_is_weathered_without_a_storm_of_requests() {
    // Calls that go ahead to look, beside the work: for one package they weigh as much.
    let (mut worst, scouts) = (Vec::new(), 8);
    for (story, step) in [(Story::PublishMany, 5), (Story::PublishOne, 1)] {
        let quiet = play(weathered(story, None));
        let mut most = 0;
        for lasts in [Duration::from_secs(1), Duration::from_secs(30), 5 * MINUTE] {
            for at in (0..quiet).step_by(step) {
                let calls = play(weathered(story, Some((at, lasts))));
                let storm = format!("{story:?}: {calls} calls in a storm of {lasts:?} from call {at}, {quiet} without");
                assert!(calls <= 2 * quiet + scouts, "{storm}");
                most = most.max(calls);
            }
        }
        worst.push(format!("{story:?}: at most {most} calls, {quiet} without a storm"));
    }
    tell(&format!("F3: {}", worst.join("; ")));
}
