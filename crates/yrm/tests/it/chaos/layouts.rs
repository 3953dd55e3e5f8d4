//! The layout changes: every call of a change goes wrong, a writer sleeps at any call while it changes, whoever changes it
//! sleeps while somebody else finishes, and days on which it changes among all that happens. No package is lost or comes
//! back by it, and who reads by an earlier layout reads on for the grace period.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, select};
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::time::Instant;
use yrm::config::{Policy, Repositories};
use yrm::publish::Unwatched;
use yrm::store::fault::Fate;
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::every_call::{FAILURES, Sleeps, asleep_at, troubled};
use super::judge::Who;
use super::seeds::{DAY, Day, INTERVAL, LONGEST_NAP, reader, somewhere, weather};
use super::stories::Story;
use super::world::{GRACE, HOUR, MINUTE, Signing, World, policy, retaining, rpm};
use super::{play, remembered, size, tell};

#[test]
fn f1_f2_a_change_of_the_layout_that_goes_wrong_at_any_call_loses_nothing() {
    let mut played = 0;
    let fates: Vec<Fate> = [Fate::DiesBefore, Fate::DiesAfter].into_iter().chain(FAILURES).collect();
    for story in Story::LAYOUTS {
        for signing in [Signing::Off, Signing::Mirrored] {
            let calls = play(troubled(story, signing, BTreeMap::new(), "in peace"));
            // Deaths, and what is lost on the way there or back; in the long campaign, and one way of changing, all of it.
            let is_whole = std::env::var_os("YRM_CHAOS_ALL").is_some() || story == Story::Split;
            let few = match signing {
                Signing::Off if is_whole => &fates[..],
                Signing::Off => &fates[..4],
                _ => &fates[..2],
            };
            for (fate, call) in few.iter().flat_map(|fate| (0..calls).map(move |call| (fate, call))) {
                let what = format!("{story:?}, signing {signing:?}, with {fate:?} at call {call}");
                play(troubled(story, signing, BTreeMap::from([(call, *fate)]), &what));
                played += 1;
            }
        }
    }
    tell(&format!("F1, F2: {played} changes of the layout, each with one call going wrong; 0 violations"));
    assert!(played > 1_000, "{played}");
}

/// Who sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleeper {
    /// Who publishes into a folder that is a repository, and into one that is none yet.
    Writer,
    /// Who changes the layout.
    Changer,
}

/// Somebody falls asleep at a call, others change the layout and go on, and he wakes up.
async fn asleep(story: Story, sleeper: Sleeper, at: u64, sleeps: Sleeps, nap: Duration, what: &str) -> u64 {
    let world = World::of(story, Signing::Off).await;
    if story == Story::Join {
        world.drop_rpm("w/e-1.rpm", &rpm("e", "1", 0)).await;
    }
    let asleep = Arc::new(Notify::new());
    let who = if sleeper == Sleeper::Writer { Who::Manager(0) } else { Who::LayingOut };
    let (publisher, faults) = world.publisher(who, asleep_at(at, sleeps, nap, &asleep));
    let others = async {
        asleep.notified().await;
        let calm = world.calm(Who::LayingOut);
        if let Err(error) = story.play(&world, &calm).await {
            world.judge.broken(format!("the change of the layout failed: {}", error.chain()));
        }
        world.run_by(&world.calm(Who::Manager(1))).await.unwrap();
        let there = world.judge.published();
        let (folder, hrefs) = there.iter().find(|(_, hrefs)| !hrefs.is_empty()).unwrap();
        let (repository, hrefs) = (folder.clone(), hrefs[..1].to_vec());
        let run = world.run_id(SignedDuration::ZERO);
        let who = Who::Removing { repository, hrefs: hrefs.clone() };
        world.calm(who).remove(&RepositoryDir::new(folder), hrefs, run).await.unwrap();
        if nap > GRACE {
            tokio::time::sleep(nap.saturating_sub(HOUR)).await;
            let other = world.calm(Who::Manager(1));
            for repository in yrm::bucket::generations::all(other.bucket()).await.unwrap() {
                sweep::sweep(other.bucket(), &repository).await.unwrap();
            }
        }
    };
    let act = async {
        match sleeper {
            Sleeper::Writer => drop(world.run_by(&publisher).await),
            Sleeper::Changer => drop(story.play(&world, &publisher).await),
        }
    };
    match select(others.boxed_local(), act.boxed_local()).await {
        Either::Left(((), act)) => act.await,
        Either::Right(((), others)) if faults.calls() > at => others.await,
        Either::Right(_) => {}
    }
    tokio::time::sleep(MINUTE).await;
    if world.judge.is_migrating() {
        world.judge.broken("G12: a change of the layout that was finished goes on".to_owned());
    }
    world.heal(what).await;
    world.assert_kept(what);
    faults.calls()
}

#[test]
fn f5_who_sleeps_at_any_call_while_the_layout_changes_does_no_harm_when_he_wakes() {
    let mut played = 0;
    for story in [Story::Split, Story::Join] {
        for sleeper in [Sleeper::Writer, Sleeper::Changer] {
            let calls = play(asleep(story, sleeper, u64::MAX, Sleeps::Before, MINUTE, "nobody sleeps"));
            // Shorter than what is known of the settings is believed, longer, and longer than the grace period.
            for nap in [MINUTE / 3, 10 * MINUTE, GRACE + 3 * HOUR] {
                for (sleeps, at) in [Sleeps::Before, Sleeps::After]
                    .into_iter()
                    .flat_map(|sleeps| (0..calls).map(move |at| (sleeps, at)))
                {
                    let what = format!("{story:?}, {sleeper:?} asleep {sleeps:?} call {at} for {nap:?}");
                    play(asleep(story, sleeper, at, sleeps, nap, &what));
                    played += 1;
                }
            }
        }
    }
    tell(&format!("F5: {played} changes of the layout, each with a sleep at one call; 0 violations"));
    assert!(played > 500, "{played}");
}

/// All that are tried.
fn layouts() -> [Repositories; 5] {
    let globs = |globs: &[&str]| Repositories::Globs(globs.iter().map(|glob| (*glob).to_owned()).collect());
    [
        Repositories::Single,
        Repositories::Depth(1),
        Repositories::Depth(2),
        globs(&["x", "y/*"]),
        globs(&["x/*", "y", "z/*"]),
    ]
}

/// A publisher that dies and is started again, and goes by the bucket's layout when it finds another.
async fn manager(day: Arc<Day>, number: usize, mut dice: StdRng) {
    loop {
        let died = Arc::new(Notify::new());
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let (mut publisher, seat) = day.world.seated(Who::Manager(number), script);
        let life = async {
            loop {
                drop(publisher.run(day.world.run_id(SignedDuration::ZERO), &Unwatched).await);
                if publisher.is_at_odds() {
                    publisher = day.world.takes_over_the_layout(&publisher, &seat);
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

/// Drops packages, three levels down.
async fn uploader(day: Arc<Day>, mut dice: StdRng) {
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(1..1_200))).await;
        let name = ["a", "b", "c", "d"][dice.random_range(0..4)];
        let version = dice.random_range(1..4).to_string();
        let folder = ["x/p/", "x/q/r/", "y/p/", "y/q/", "z/p/"][dice.random_range(0..5)];
        // Names are each folder's own, so that repositories can become one.
        let package = rpm(&format!("{name}{}", folder.replace('/', "")), &version, 0);
        let bytes = bytes::Bytes::from(package.build());
        if !day.world.judge.left_lately(&bytes, SignedDuration::from_mins(20)) {
            day.world.judge.upload(&format!("{folder}{name}-{version}.rpm"), bytes).await;
        }
    }
}

/// Removes and rolls back.
async fn operator(day: Arc<Day>, mut dice: StdRng) {
    let judge = &day.world.judge;
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(60..3_600))).await;
        let Some((folder, href)) = somewhere(judge, &mut dice) else { continue };
        let (repository, died) = (RepositoryDir::new(&folder), Arc::new(Notify::new()));
        let run = day.world.run_id(SignedDuration::ZERO);
        let rolls_back = dice.random_bool(0.3);
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let errand = async {
            if rolls_back {
                let revisions = judge.revisions(&folder);
                let revision = revisions[dice.random_range(0..revisions.len())];
                let who = Who::RollingBack { repository: folder.clone(), revision };
                drop(day.world.publisher(who, script).0.roll_back(&repository, revision, run).await);
            } else {
                let who = Who::Removing { repository: folder.clone(), hrefs: vec![href.clone()] };
                drop(day.world.publisher(who, script).0.remove(&repository, vec![href.clone()], run).await);
            }
        };
        tokio::select! {
            biased;
            () = died.notified() => {}
            () = errand => {}
        }
    }
}

/// Changes the layout; where that fails, it is finished, taken back or made another.
async fn changer(day: Arc<Day>, mut dice: StdRng) {
    while !day.is_over() {
        let pause = if day.world.judge.is_migrating() { 60..600 } else { 600..7_200 };
        tokio::time::sleep(Duration::from_secs(dice.random_range(pause))).await;
        let to = &layouts()[dice.random_range(0..5)];
        let died = Arc::new(Notify::new());
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let (publisher, _) = day.world.publisher(Who::LayingOut, script);
        let run = day.world.run_id(SignedDuration::ZERO);
        tokio::select! {
            biased;
            () = died.notified() => {}
            outcome = publisher.lay_out(to, run) => drop(outcome),
        }
    }
}

async fn live(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut dice = StdRng::seed_from_u64(seed);
    let signing = [Signing::Off, Signing::On, Signing::Mirrored][usize::try_from(seed % 3).unwrap()];
    let rules = if dice.random_bool(0.3) { retaining() } else { Policy { allow_shrink: true, ..policy() } };
    let world = World::new(Policy { repositories: layouts()[dice.random_range(0..5)].clone(), ..rules }, signing, seed);
    world.drop_rpm("x/p/first-1.rpm", &rpm("first", "1", 0)).await;
    world.run_by(&world.calm(Who::Manager(8))).await.unwrap();
    let day =
        Day { world, calm: AtomicBool::new(false), began: Instant::now(), denied: Duration::ZERO..Duration::ZERO };
    let day = Arc::new(day);
    let mut dice_of = || StdRng::seed_from_u64(dice.random());
    let all = vec![
        manager(Arc::clone(&day), 0, dice_of()).boxed_local(),
        manager(Arc::clone(&day), 1, dice_of()).boxed_local(),
        uploader(Arc::clone(&day), dice_of()).boxed_local(),
        operator(Arc::clone(&day), dice_of()).boxed_local(),
        reader(Arc::clone(&day), dice_of()).boxed_local(),
        changer(Arc::clone(&day), dice_of()).boxed_local(),
        changer(Arc::clone(&day), dice_of()).boxed_local(),
    ];
    let evening = async {
        tokio::time::sleep(DAY + LONGEST_NAP).await;
        day.calm.store(true, Ordering::Relaxed);
        tokio::time::sleep(LONGEST_NAP + HOUR).await;
        if day.world.judge.is_migrating() {
            let run = day.world.run_id(SignedDuration::ZERO);
            let back = day.world.judge.layout().unwrap();
            if let Err(error) = day.world.calm(Who::LayingOut).lay_out(&back, run).await {
                day.world.judge.broken(format!("G12: a change cannot be taken back: {}", error.chain()));
            }
        }
        tokio::time::sleep(3 * INTERVAL + MINUTE).await;
    };
    tokio::select! {
        biased;
        () = evening => {}
        _ = futures::future::join_all(all) => {}
    }
    day.world.heal("in the end").await;
    day.world.judge.verdict()
}

#[test]
fn days_on_which_the_layout_changes_break_no_promise() {
    let (from, seeds) = (size("YRM_CHAOS_SEED", 0), size("YRM_CHAOS_SEEDS", 40));
    let mut changes = 0;
    for seed in remembered(&[227], from).chain(from..from + seeds) {
        let (violations, trace) = play(live(seed));
        if let Some(file) = std::env::var_os("YRM_CHAOS_TRACE") {
            std::fs::write(file, trace.join("\n")).unwrap();
        }
        let tail: Vec<&String> = trace.iter().rev().take(80).rev().collect();
        assert!(
            violations.is_empty(),
            "seed {seed}:\n{}\nthe last writes:\n{tail:#?}\nagain: YRM_CHAOS_SEED={seed} YRM_CHAOS_SEEDS=1 just chaos-one days_on_which_the_layout",
            violations.join("\n")
        );
        changes += trace.iter().filter(|line| line.contains("the layout is ")).count();
    }
    tell(&format!("G1, G3, G5: {seeds} days from seed {from} with {changes} changes of the layout; 0 violations"));
    assert!(changes as u64 > seeds, "{changes}");
}
