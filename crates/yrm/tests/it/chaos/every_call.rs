//! Every call of every story goes wrong, one at a time and in pairs: the process dies at it, it fails
//! before or after it applied, it comes late, the process sleeps at it while others go on, and the
//! uploader changes his mind at it (F1, F2, F5, F7).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, select};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use yrm::config::Repositories;
use yrm::error::ErrorKind;
use yrm::store::fault::{Call, Fate, Turn};
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::judge::Who;
use super::stories::Story;
use super::world::{GRACE, HOUR, MINUTE, Signing, World, rpm};
use super::{play, remembered, size, tell};

/// Plays `story` with these fates, by number of the call; then again in peace. Answers how many calls
/// the troubled play made.
pub(super) async fn troubled(story: Story, signing: Signing, fates: BTreeMap<u64, Fate>, what: &str) -> u64 {
    let world = World::of(story, signing).await;
    let who = story.player(&world);
    let died = Arc::new(Notify::new());
    let tell = Arc::clone(&died);
    let script = move |call: Call<'_>| {
        let fate = fates.get(&call.number).copied().unwrap_or_default();
        let deadly = matches!(fate, Fate::DiesBefore | Fate::DiesAfter);
        let tell = Arc::clone(&tell);
        let before = deadly.then(|| async move { tell.notify_one() }.boxed());
        Turn { before, fate, after: None }
    };
    let (publisher, faults) = world.publisher(who.clone(), script);
    tokio::select! {
        biased;
        // What was asked for fails or does not; only what is left behind counts.
        _ = story.play(&world, &publisher) => {}
        () = died.notified() => {}
    }
    let calls = faults.calls();
    drop((publisher, faults));
    // What was still under way has arrived.
    tokio::time::sleep(MINUTE).await;
    if let Err(error) = story.play(&world, &world.calm(who)).await {
        world.judge.broken(format!("G12: played again in peace: {}", error.chain()));
    }
    world.heal(what).await;
    if !story.is_at_its_end(&world) {
        world.judge.broken(format!("the end is not reached: {:?}", world.hrefs()));
    }
    world.assert_kept(what);
    calls
}

/// With signed metadata too, wherever the campaign is not the long one: each way to a switch once.
const SIGNED: [Story; 7] = [
    Story::FirstRun,
    Story::PublishOne,
    Story::TakeOver,
    Story::Promote,
    Story::RollBack,
    Story::Sweep,
    Story::LoseState,
];

/// Every story, unsigned; with signed metadata these; with signed packages too those whose own way they change
/// (all of them where `YRM_CHAOS_ALL` is set); and these in mirrorlist mode.
fn plays(mirrored: &[Story]) -> impl Iterator<Item = (Story, Signing)> {
    let all = std::env::var_os("YRM_CHAOS_ALL").is_some();
    let packages = if all { &Story::ALL[..] } else { &[Story::PublishOne, Story::Replace] };
    let signed = if all { &Story::ALL[..] } else { &SIGNED };
    let flat = Story::ALL.into_iter().map(|story| (story, Signing::Off));
    let flat = flat.chain(signed.iter().map(|&story| (story, Signing::On)));
    let packages = packages.iter().map(|&story| (story, Signing::Packages));
    let beside = [Signing::Off, Signing::On].map(|signing| (Story::TakeOverBeside, signing));
    flat.chain(packages).chain(beside).chain(mirrored.iter().map(|&story| (story, Signing::Mirrored)))
}

/// How many ways to go wrong a story is played with, wherever the campaign is not the long one: what operators do goes down the
/// line that the other stories are about.
fn few(story: Story) -> usize {
    let all = std::env::var_os("YRM_CHAOS_ALL").is_some();
    if all || !Story::OF_OPERATORS.contains(&story) { usize::MAX } else { 2 }
}

/// Plays every story once for every call and fate. Answers how often.
fn singles(fates: &[Fate], mirrored: &[Story]) -> u64 {
    let mut played = 0;
    for (story, signing) in plays(mirrored) {
        let calls = play(troubled(story, signing, BTreeMap::new(), "in peace"));
        for fate in &fates[..fates.len().min(few(story))] {
            for call in 0..calls {
                let what = format!("{story:?}, signing {signing:?}, with {fate:?} at call {call}");
                play(troubled(story, signing, BTreeMap::from([(call, *fate)]), &what));
                played += 1;
            }
        }
    }
    played
}

#[test]
fn f1_a_process_that_dies_at_any_call_loses_nothing() {
    let played = singles(&[Fate::DiesBefore, Fate::DiesAfter], &Story::MIRRORED);
    tell(&format!("F1: {played} stories, each with a death before or after one call; 0 violations"));
    assert!(played > 500, "{played}");
}

pub(super) const FAILURES: [Fate; 5] =
    [Fate::Lost, Fate::Unanswered, Fate::Late(Duration::from_secs(20)), Fate::Conflicts, Fate::Refused];

#[test]
fn f2_a_call_that_fails_loses_nothing_whether_it_applied_or_not() {
    let played = singles(&FAILURES, &[Story::PublishOne, Story::MirrorOff]);
    tell(&format!("F2: {played} stories, each with one call failing in one way; 0 violations"));
    assert!(played > 1_000, "{played}");
}

#[test]
fn f2_pairs_of_failures_lose_nothing() {
    let pairs = size("YRM_CHAOS_PAIRS", 150);
    let from = size("YRM_CHAOS_SEED", 0);
    for seed in remembered(&[1, 229], from).chain(from..from + pairs) {
        let mut dice = StdRng::seed_from_u64(seed);
        let story = Story::ALL[dice.random_range(0..Story::ALL.len())];
        let signing = Signing::ALL[dice.random_range(0..4)];
        let longest = if story == Story::PublishMany { 250 } else { 45 };
        let first = dice.random_range(0..longest);
        // The second is often met while the first is being mended.
        let second =
            first + if dice.random_bool(0.5) { dice.random_range(1..4) } else { dice.random_range(1..longest) };
        let mut fate = || match dice.random_range(0..8) {
            0 => Fate::DiesBefore,
            1 => Fate::DiesAfter,
            other => FAILURES[other % FAILURES.len()],
        };
        let fates = BTreeMap::from([(first, fate()), (second, fate())]);
        let what = format!(
            "{story:?}, signing {signing:?}, with {fates:?}; again: YRM_CHAOS_SEED={seed} YRM_CHAOS_PAIRS=1 just chaos-one f2_pairs"
        );
        play(troubled(story, signing, fates, &what));
    }
    tell(&format!("F2: {pairs} pairs from seed {from}; 0 violations"));
}

/// What others do while a publisher sleeps.
async fn meanwhile(world: &World) {
    let other = world.calm(Who::Manager(1));
    for _ in 0..2 {
        world.run_by(&other).await.unwrap();
    }
    let is_split = !matches!(world.policy.repositories, Repositories::Single);
    let z = if is_split { "x86_64/z-1.rpm" } else { "z-1.rpm" };
    world.drop_rpm(z, &rpm("z", "1", 0)).await;
    world.run_by(&other).await.unwrap();
    // The operator takes out what the sleeper may be about to publish.
    if let Some(path) = world.hrefs().into_iter().find(|path| *path != z && *path != "b-1.rpm") {
        let (repository, href) = if is_split { path.split_once('/').unwrap() } else { ("", path.as_str()) };
        let (repository, hrefs) = (repository.to_owned(), vec![href.to_owned()]);
        let run = world.run_id(jiff::SignedDuration::ZERO);
        let who = Who::Removing { repository: repository.clone(), hrefs: hrefs.clone() };
        let removed = world.calm(who).remove(&RepositoryDir::new(&repository), hrefs, run).await;
        // Where repomd.xml is damaged, until the watch has mended it.
        if let Err(error) = removed {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.chain());
        }
    }
}

/// Whether the sleeper slept before the call was made, or before it heard the answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sleeps {
    Before,
    After,
}

/// A script by which somebody falls asleep at a call, and tells so.
pub(super) fn asleep_at(
    at: u64,
    sleeps: Sleeps,
    how_long: Duration,
    asleep: &Arc<Notify>,
) -> impl Fn(Call<'_>) -> Turn + Send + Sync + use<> {
    let asleep = Arc::clone(asleep);
    move |call: Call<'_>| {
        if call.number != at {
            return Turn::default();
        }
        let tell = Arc::clone(&asleep);
        let sleep = async move {
            tell.notify_one();
            tokio::time::sleep(how_long).await;
        }
        .boxed();
        match sleeps {
            // AWS takes no request that was signed more than 15 minutes ago.
            Sleeps::Before if how_long > 15 * MINUTE && call.verb.writes() => {
                Turn { before: Some(sleep), fate: Fate::Refused, after: None }
            }
            Sleeps::Before => Turn { before: Some(sleep), ..Turn::default() },
            Sleeps::After => Turn { after: Some(sleep), ..Turn::default() },
        }
    }
}

/// One publisher falls asleep at a call, others go on, and it wakes up.
async fn stalled((story, signing): (Story, Signing), at: u64, sleeps: Sleeps, how_long: Duration, what: &str) {
    let world = World::of(story, signing).await;
    let who = story.player(&world);
    let asleep = Arc::new(Notify::new());
    let (publisher, faults) = world.publisher(who, asleep_at(at, sleeps, how_long, &asleep));
    let others = async {
        asleep.notified().await;
        Box::pin(meanwhile(&world)).await;
        // Long enough asleep for what is named by nothing to be swept.
        if how_long > GRACE {
            tokio::time::sleep(how_long.saturating_sub(HOUR)).await;
            let other = world.calm(Who::Manager(1));
            for repository in yrm::bucket::generations::repositories(other.bucket()).await.unwrap() {
                sweep::sweep(other.bucket(), &repository).await.unwrap();
            }
        }
    };
    let sleeper = story.play(&world, &publisher);
    match select(others.boxed_local(), sleeper.boxed_local()).await {
        // What it was asked for fails or does not; only what is left behind counts.
        Either::Left(((), sleeper)) => drop(sleeper.await),
        // A sleeper that never slept woke nobody.
        Either::Right((_, others)) if faults.calls() > at => others.await,
        Either::Right(_) => {}
    }
    world.heal(what).await;
    world.assert_kept(what);
}

#[test]
fn f5_a_publisher_that_sleeps_at_any_call_does_no_harm_when_it_wakes() {
    // Less and more than S3 takes a signed request for, than a publisher trusts what it has seen, and
    // than the grace period.
    let naps = [10 * MINUTE, 40 * MINUTE, GRACE + 3 * HOUR];
    let mut played = 0;
    for (story, signing) in plays(&[Story::PublishOne]) {
        let calls = play(troubled(story, signing, BTreeMap::new(), "in peace"));
        for sleeps in [Sleeps::Before, Sleeps::After] {
            // What signing adds to a sleep is a sleeper's stale signature, after whatever nap.
            let naps = match signing {
                // After the shortest a writer goes on by what it has seen. One story shows what it has to look at again; the
                // others are the long campaign's.
                Signing::Off if story != Story::PublishOne && std::env::var_os("YRM_CHAOS_ALL").is_none() => &naps[1..],
                Signing::Off => &naps[..],
                Signing::On => &naps[1..2],
                // What signing packages adds is what lies aside, and was swept by somebody else meanwhile.
                Signing::Packages => &naps[2..],
                Signing::Mirrored => &naps[1..],
            };
            let naps = if few(story) == usize::MAX { naps } else { &naps[naps.len() / 2..=naps.len() / 2] };
            for &nap in naps {
                for at in 0..calls {
                    let what = format!("{story:?}, signing {signing:?}, asleep {sleeps:?} call {at} for {nap:?}");
                    play(stalled((story, signing), at, sleeps, nap, &what));
                    played += 1;
                }
            }
        }
    }
    tell(&format!("F5: {played} stories, each with a sleep at one call; 0 violations"));
    assert!(played > 1_000, "{played}");
}

#[test]
fn whoever_sleeps_while_a_repository_is_deleted_takes_nothing_of_what_was_published_there_since() {
    let which = (Story::Delete, Signing::On);
    let calls = play(troubled(which.0, which.1, BTreeMap::new(), "in peace"));
    assert!(calls > 20, "a deletion takes some calls: {calls}");
    for at in 0..calls {
        let what = format!("{which:?}, asleep before call {at}");
        play(stalled(which, at, Sleeps::Before, 40 * MINUTE, &what));
    }
}

/// What the uploader does.
#[derive(Debug, Clone, Copy)]
enum Mind {
    Replaces,
    Withdraws,
    DropsTheSame,
}

/// Just before a call the uploader of `x/c-1.rpm` changes his mind.
async fn second_thoughts(at: u64, mind: Mind, signing: Signing, what: &str) -> u64 {
    let world = Arc::new(World::of(Story::PublishOne, signing).await);
    let acts = Arc::new(Mutex::new(Some(Arc::clone(&world))));
    let script = move |call: Call<'_>| {
        if call.number != at {
            return Turn::default();
        }
        let world = acts.lock().unwrap().take().expect("a number comes once");
        let act = async move {
            match mind {
                Mind::Replaces => world.drop_rpm("x/c-1.rpm", &rpm("c", "1", 1)).await,
                Mind::Withdraws => world.judge.withdraw("inbox/x/c-1.rpm").await,
                Mind::DropsTheSame => world.drop_rpm("x/c-1.rpm", &rpm("c", "1", 0)).await,
            }
        };
        Turn { before: Some(act.boxed()), ..Turn::default() }
    };
    let (publisher, faults) = world.publisher(Who::Manager(0), script);
    world.run_by(&publisher).await.unwrap();
    world.heal(what).await;
    world.assert_kept(what);
    faults.calls()
}

#[test]
fn f7_an_inbox_object_that_changes_at_any_call_is_published_or_rejected_as_what_it_is() {
    // A story in which nothing changes says how many calls there are: one that changes early may be short.
    let mut played = 0;
    for signing in [Signing::On, Signing::Packages] {
        let calls = play(second_thoughts(u64::MAX, Mind::Withdraws, signing, "the uploader does nothing"));
        for mind in [Mind::Replaces, Mind::Withdraws, Mind::DropsTheSame] {
            for at in 0..calls {
                let what = format!("signing {signing:?}, the uploader {mind:?} before call {at}");
                play(second_thoughts(at, mind, signing, &what));
                played += 1;
            }
        }
    }
    tell(&format!("F7: {played} stories, each with a change before one call; 0 violations"));
    assert!(played > 40, "{played}");
}
