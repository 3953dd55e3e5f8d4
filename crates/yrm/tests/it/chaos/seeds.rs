//! Days in the life of a bucket: one to three publishers, uploaders who replace and delete, a reader
//! who holds old generations, an operator who removes, promotes and rolls back; clocks that are wrong
//! and jump; calls that fail, come late, take long or never return (F4, F6, F8, with F2 and F5 mixed
//! in). The seed decides everything.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rpmmd::checksum::Sha256;
use tokio::sync::Notify;
use tokio::time::Instant;
use yrm::config::{OnConflict, Policy, Repositories};
use yrm::publish::Unwatched;
use yrm::publish::operations::errand::Promotion;
use yrm::store::fault::{Call, Fate, Turn, Verb};
use yrm::store::key::RepositoryDir;
use yrm::store::{Attributes, PutIf, Store as _};

use super::judge::{Judge, Who};
use super::world::{GRACE, MINUTE, RETIRED_AFTER, SECURE, Signing, World, policy, retaining, rpm};
use super::world::{signed_by_the_team, two_rules};
use super::{play, remembered, size, tell};

/// How long everybody does as they like, and things go wrong.
pub(super) const DAY: Duration = Duration::from_hours(9);
/// Between a publisher's runs.
pub(super) const INTERVAL: Duration = Duration::from_mins(4);
/// No sleep is longer.
pub(super) const LONGEST_NAP: Duration = Duration::from_hours(2);
/// The very same bytes come again only so long after an operator removed them: until then a publisher
/// may be about to delete the upload that it has published (docs/guarantees.md, what is not promised).
const SAME_BYTES_AFTER: SignedDuration = SignedDuration::from_mins(20);

/// The bucket, and whether the trouble is over.
pub(super) struct Day {
    pub(super) world: World,
    pub(super) calm: AtomicBool,
    pub(super) began: Instant,
    /// When uploads may not be deleted: a policy, or a folder that is the uploader's own.
    pub(super) denied: Range<Duration>,
}

impl Day {
    pub(super) fn is_over(&self) -> bool {
        self.began.elapsed() >= DAY
    }

    fn denies(&self, call: Call<'_>) -> bool {
        call.verb == Verb::Delete && call.key.starts_with("inbox/") && self.denied.contains(&self.began.elapsed())
    }
}

fn rules(dice: &mut StdRng) -> Policy {
    let repositories = if dice.random_bool(0.25) { Repositories::Depth(1) } else { Repositories::Single };
    let on_conflict = if dice.random_bool(0.3) { OnConflict::Replace } else { OnConflict::Reject };
    let policy = if dice.random_bool(0.5) { retaining() } else { policy() };
    let policy = if dice.random_bool(0.3) { two_rules(policy) } else { policy };
    Policy { repositories, on_conflict, ..policy }
}

/// What goes wrong at a publisher's calls. It hears of its death by `died`.
pub(super) fn weather(
    day: &Arc<Day>,
    mut dice: StdRng,
    died: &Arc<Notify>,
) -> impl Fn(Call<'_>) -> Turn + Send + Sync + use<> {
    let (day, died) = (Arc::clone(day), Arc::clone(died));
    // How bad this process has it: some meet nothing at all.
    let badness = [0.0, 0.3, 1.0, 3.0][dice.random_range(0..4)];
    let dice = std::sync::Mutex::new(dice);
    move |call| {
        let mut dice = dice.lock().unwrap();
        let latency = Duration::from_millis(dice.random_range(1..80));
        if day.calm.load(Ordering::Relaxed) {
            return Turn { before: Some(tokio::time::sleep(latency).boxed()), ..Turn::default() };
        }
        let fate = if dice.random_bool(0.03 * badness) {
            match dice.random_range(0..9) {
                0 => Fate::Refused,
                1 | 2 => Fate::Lost,
                3 | 4 => Fate::Unanswered,
                5 => Fate::Late(Duration::from_secs(dice.random_range(0..800))),
                6 => Fate::Conflicts,
                7 => Fate::DiesBefore,
                _ => Fate::DiesAfter,
            }
        } else {
            Fate::Goes
        };
        let nap = if dice.random_bool(0.003 * badness) { LONGEST_NAP.mul_f64(dice.random()) } else { Duration::ZERO };
        let first = dice.random_bool(0.5);
        let (wait, rest) = if first { (latency + nap, Duration::ZERO) } else { (latency, nap) };
        // AWS takes no request that was signed more than 15 minutes ago.
        let refused = wait > 15 * MINUTE && call.verb.writes();
        let fate = if refused || day.denies(call) { Fate::Refused } else { fate };
        let deadly = matches!(fate, Fate::DiesBefore | Fate::DiesAfter);
        let died = Arc::clone(&died);
        let before = async move {
            tokio::time::sleep(wait).await;
            if deadly {
                died.notify_one();
            }
        };
        Turn { before: Some(before.boxed()), fate, after: Some(tokio::time::sleep(rest).boxed()) }
    }
}

/// A publisher that dies and is started again, until it is told to stop.
async fn manager(day: Arc<Day>, number: usize, mut dice: StdRng) {
    // Hosts' clocks are off by minutes; now and then one jumps by a day.
    let ahead = SignedDuration::from_secs(dice.random_range(-600..600));
    loop {
        let died = Arc::new(Notify::new());
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let (publisher, _) = day.world.publisher(Who::Manager(number), script);
        let life = async {
            loop {
                let jump = if dice.random_bool(0.02) && !day.calm.load(Ordering::Relaxed) {
                    SignedDuration::from_hours(if dice.random_bool(0.5) { 24 } else { -24 })
                } else {
                    SignedDuration::ZERO
                };
                // A failing run is tried again at the next interval.
                drop(publisher.run(day.world.run_id(ahead + jump), &Unwatched).await);
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

/// Drops, replaces, withdraws.
pub(super) async fn uploader(day: Arc<Day>, mut dice: StdRng) {
    let judge = &day.world.judge;
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(1..1_200))).await;
        let inbox = judge.inbox();
        match dice.random_range(0..20) {
            0 | 1 if !inbox.is_empty() => judge.withdraw(&inbox[dice.random_range(0..inbox.len())]).await,
            2 => judge.upload("x/junk.rpm", Bytes::from_static(b"no package, but long enough to be looked at")).await,
            3 => {
                // A folder marker: no work, and nobody's to delete.
                let marker = ["inbox/x/", "inbox/", "inbox/empty.rpm"][dice.random_range(0..3)];
                judge.memory.put(marker, Bytes::new(), &Attributes::default(), PutIf::Always).await.unwrap();
            }
            _ => {
                let name = ["a", "b", "c", "d"][dice.random_range(0..4)];
                let version = dice.random_range(1..5).to_string();
                let secure = format!("{SECURE}/");
                let has_rules = !day.world.policy.trust.rules.is_empty();
                let folders = ["", "x/", "y/z/", &secure];
                let folder = folders[dice.random_range(0..if has_rules { 4 } else { 3 })];
                let package = rpm(name, &version, dice.random_range(0..2));
                // Now and then by somebody who may not, or into a folder where nobody asks.
                let is_signed = has_rules && dice.random_bool(if folder == secure { 0.8 } else { 0.2 });
                let bytes = if is_signed { signed_by_the_team(&package).await } else { package.build().into() };
                if !judge.left_lately(&bytes, SAME_BYTES_AFTER) {
                    judge.upload(&format!("{folder}{name}-{version}.rpm"), bytes).await;
                }
            }
        }
    }
}

/// Takes what a generation names and fetches it just before its grace is over.
pub(super) async fn reader(day: Arc<Day>, mut dice: StdRng) {
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(1..7_200))).await;
        let held = day.world.judge.held();
        let patience = GRACE.mul_f64(dice.random::<f64>()).saturating_sub(Duration::from_secs(1));
        tokio::time::sleep(patience.min(DAY)).await;
        for (key, sha256) in held {
            let read = day.world.judge.memory.get(&key, None).await.unwrap();
            let good = read.is_some_and(|read| sha256.is_none_or(|sha256| sha256 == Sha256::of(&read.bytes)));
            if !good {
                day.world.judge.broken(format!("G3: a reader does not find {key} any more"));
            }
        }
    }
}

/// One of the repositories, and a package in it; `None` where there is none to be had.
pub(super) fn somewhere(judge: &Judge, dice: &mut StdRng) -> Option<(String, String)> {
    let published = judge.published();
    let (folder, hrefs) = published.iter().nth(dice.random_range(0..published.len().max(1)))?;
    let href = (!hrefs.is_empty()).then(|| hrefs[dice.random_range(0..hrefs.len())].clone())?;
    Some((folder.clone(), href))
}

/// Removes, promotes, rolls back. What fails is tried again another day.
async fn operator(day: Arc<Day>, mut dice: StdRng) {
    let judge = &day.world.judge;
    while !day.is_over() {
        tokio::time::sleep(Duration::from_secs(dice.random_range(60..5_400))).await;
        let Some((folder, href)) = somewhere(judge, &mut dice) else { continue };
        let (repository, died) = (RepositoryDir::new(&folder), Arc::new(Notify::new()));
        let run = day.world.run_id(SignedDuration::ZERO);
        let what = dice.random_range(0..3);
        let script = weather(&day, StdRng::seed_from_u64(dice.random()), &died);
        let errand = async {
            match what {
                0 => {
                    let who = Who::Removing { repository: folder.clone(), hrefs: vec![href.clone()] };
                    drop(day.world.publisher(who, script).0.remove(&repository, vec![href], run).await);
                }
                1 => {
                    let revisions = judge.revisions(&folder);
                    let revision = revisions[dice.random_range(0..revisions.len())];
                    let who = Who::RollingBack { repository: folder.clone(), revision };
                    drop(day.world.publisher(who, script).0.roll_back(&repository, revision, run).await);
                }
                _ => {
                    let from = if folder.is_empty() { href.clone() } else { format!("{folder}/{href}") };
                    let to = format!("x/{}", href.rsplit('/').next().unwrap());
                    let promotions = [Promotion { from, to }];
                    drop(day.world.publisher(Who::Promoting, script).0.promote(&promotions, run).await);
                }
            }
        };
        tokio::select! {
            biased;
            () = died.notified() => {}
            () = errand => {}
        }
    }
}

/// One day by this seed. What was broken, and every write.
async fn live(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut dice = StdRng::seed_from_u64(seed);
    // Three days in four are signed; on one of them packages are too, and on one there are mirrors.
    let signing = Signing::ALL[usize::try_from(seed % 4).unwrap()];
    let world = World::new(rules(&mut dice), signing, seed);
    if !world.policy.trust.rules.is_empty() {
        world.publish_team_key().await;
    }
    // On one day in three nothing may be deleted in the inbox for up to half of it.
    let denied_from = DAY.mul_f64(dice.random_range(0.0..0.8));
    let denied_for =
        if dice.random_range(0..3) == 0 { DAY.mul_f64(dice.random_range(0.1..0.5)) } else { Duration::ZERO };
    let denied = denied_from..denied_from + denied_for;
    let day = Arc::new(Day { world, calm: AtomicBool::new(false), began: Instant::now(), denied });
    let managers = dice.random_range(1..=3);
    let mut everybody = Vec::new();
    for number in 0..managers {
        everybody.push(manager(Arc::clone(&day), number, StdRng::seed_from_u64(dice.random())).boxed_local());
    }
    let mut others = vec![
        uploader(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local(),
        uploader(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local(),
        operator(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local(),
    ];
    let reading = reader(Arc::clone(&day), StdRng::seed_from_u64(dice.random())).boxed_local();
    let evening = async {
        tokio::time::sleep(DAY).await;
        // Whoever sleeps wakes up, and what is under way arrives; then the trouble is over.
        tokio::time::sleep(LONGEST_NAP).await;
        day.calm.store(true, Ordering::Relaxed);
        tokio::time::sleep(LONGEST_NAP + 15 * MINUTE).await;
        // A publisher that died at last is up by now, and has two intervals.
        tokio::time::sleep(15 * MINUTE + 2 * INTERVAL + MINUTE).await;
    };
    others.push(reading);
    let everything = async {
        tokio::join!(futures::future::join_all(everybody), futures::future::join_all(others));
    };
    tokio::select! {
        biased;
        () = evening => {}
        () = everything => {}
    }
    let judge = &day.world.judge;
    if !judge.inbox().is_empty() {
        judge.broken(format!("G12: two intervals after the trouble the inbox holds {:?}", judge.inbox()));
    }
    // Everybody was up and well for longer than a publisher takes to look at all signatures.
    judge.at_rest("in the evening");
    day.world.heal("in the end").await;
    let slack = SignedDuration::try_from(2 * LONGEST_NAP).unwrap();
    let overdue = judge.overdue(slack);
    if !overdue.is_empty() {
        judge.broken(format!("G8: not retired after {RETIRED_AFTER:?} and more: {overdue:?}"));
    }
    judge.verdict()
}

fn assert_lives(seed: u64) -> usize {
    let (violations, trace) = play(live(seed));
    if let Some(file) = std::env::var_os("YRM_CHAOS_TRACE") {
        std::fs::write(file, trace.join("\n")).unwrap();
    }
    if !violations.is_empty() {
        let tail: Vec<&String> = trace.iter().rev().take(80).rev().collect();
        panic!(
            "seed {seed}:\n{}\nthe last writes:\n{tail:#?}\nagain: YRM_CHAOS_SEED={seed} YRM_CHAOS_SEEDS=1 just chaos-one f4_days",
            violations.join("\n")
        );
    }
    trace.len()
}

#[test]
fn f4_days_of_several_publishers_break_no_promise() {
    let (from, seeds) = (size("YRM_CHAOS_SEED", 0), size("YRM_CHAOS_SEEDS", 60));
    let writes: usize = remembered(&[1571], from).chain(from..from + seeds).map(assert_lives).sum();
    tell(&format!("F4, F6, F8: {seeds} days from seed {from}, {writes} writes; 0 violations"));
}

#[test]
fn the_same_seed_gives_the_same_day_write_by_write() {
    for seed in [3, 4, 5] {
        let (first, again) = (play(live(seed)).1, play(live(seed)).1);
        let differs = first.iter().zip(&again).position(|(a, b)| a != b);
        assert!(differs.is_none(), "seed {seed}: {:?} is not {:?}", first[differs.unwrap()], again[differs.unwrap()]);
        assert_eq!(first.len(), again.len());
        assert!(first.len() > 50, "something happens: {}", first.len());
    }
    assert_ne!(play(live(3)).1, play(live(4)).1);
}
