//! `yrm serve` as a process that gets no mercy: killed and started again, or stopped in the
//! middle of whatever it does and continued when the world has moved on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::chance::Deck;
use super::place::Place;

/// A killed service stays away so long, at most.
const AWAY_AT_MOST: Duration = Duration::from_secs(1);
/// Generations that pass before a stopped service may go on.
const OVERTAKEN_BY: u64 = 3;
/// It goes on after this in any case: the other one may be waiting for a lock that this one holds.
const STOPPED_AT_MOST: Duration = Duration::from_secs(10);
/// A service promises to end within 10 seconds of SIGTERM; the machine may be busy.
const TERMINATES_WITHIN: Duration = Duration::from_mins(1);

/// A running `yrm serve`; killed when dropped.
#[derive(Debug)]
pub(super) struct Service<'a> {
    place: &'a Place,
    endpoint: Option<&'a str>,
    home: PathBuf,
    child: Child,
}

/// What the services had to take.
#[derive(Debug, Default)]
pub(super) struct Blows {
    pub(super) kills: usize,
    /// One for each time that one was stopped: the generations that the other published meanwhile.
    pub(super) overtaken_by: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Kill,
    KillBoth,
    Stop,
}

/// Strikes one of `services` or both, again and again, until each kind of blow has fallen and
/// `over`. `generations` tells how many were published so far. An error is a service that ended by
/// itself.
pub(super) async fn torment(
    services: &mut [Service<'_>; 2],
    mut random: StdRng,
    quiet_at_most: Duration,
    generations: impl Fn() -> u64,
    over: impl Fn() -> bool,
) -> Result<Blows, String> {
    let mut blows = Blows::default();
    let mut deck =
        Deck::new(&[(Blow::Kill, 4), (Blow::KillBoth, 1), (Blow::Stop, 3)], super::chance::fork(&mut random));
    while !over() || blows.kills == 0 || blows.overtaken_by.is_empty() {
        sleep(quiet_at_most.mul_f64(random.random())).await;
        services.iter_mut().try_for_each(Service::lives)?;
        let blow = deck.draw();
        let victim = random.random_range(0..services.len());
        if blow == Blow::Stop {
            let (began, before) = (Instant::now(), generations());
            services[victim].signal(Signal::STOP);
            while began.elapsed() < STOPPED_AT_MOST && generations() < before + OVERTAKEN_BY && !over() {
                sleep(Duration::from_millis(100)).await;
            }
            services[victim].signal(Signal::CONT);
            blows.overtaken_by.push(generations() - before);
            continue;
        }
        let away = AWAY_AT_MOST.mul_f64(random.random());
        for (at, service) in services.iter_mut().enumerate() {
            if at == victim || blow == Blow::KillBoth {
                service.child.kill().await.unwrap();
                blows.kills += 1;
            }
        }
        sleep(away).await;
        services.iter_mut().for_each(Service::revive);
    }
    services.iter_mut().try_for_each(Service::lives).map(|()| blows)
}

impl<'a> Service<'a> {
    /// With its log and its cache in `home`, on `place` by way of `endpoint`.
    pub(super) fn start(place: &'a Place, home: &Path, endpoint: Option<&'a str>) -> Self {
        place.furnish(home);
        let child = spawn(place.yrm(home, endpoint), &log_of(home));
        Self { place, endpoint, home: home.to_owned(), child }
    }

    /// Starts it again if it was killed.
    fn revive(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = spawn(self.place.yrm(&self.home, self.endpoint), &log_of(&self.home));
        }
    }

    fn lives(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => Err(format!("the service in {} ended by itself: {status}", self.home.display())),
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it was not waited for")).unwrap();
        kill_process(Pid::from_raw(id).expect("no child is process 0"), signal).unwrap();
    }

    /// Ends it as systemd does.
    pub(super) async fn terminate(mut self) -> Result<(), String> {
        self.lives()?;
        self.signal(Signal::TERM);
        match timeout(TERMINATES_WITHIN, self.child.wait()).await {
            Ok(status) if status.as_ref().unwrap().success() => Ok(()),
            Ok(status) => Err(format!("the service in {} ended with {}", self.home.display(), status.unwrap())),
            Err(_) => Err(format!("the service in {} does not end", self.home.display())),
        }
    }

    /// Where the one in `home` answers HTTP, or answered last.
    pub(super) fn port(home: &Path) -> Option<u16> {
        let log = std::fs::read_to_string(log_of(home)).ok()?;
        let (_, rest) = log.rsplit_once(" listen=127.0.0.1:")?;
        rest.split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
    }

    /// The last lines of its log.
    pub(super) fn last_words(home: &Path) -> String {
        let log = std::fs::read(log_of(home)).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

fn log_of(home: &Path) -> PathBuf {
    home.join("log")
}

fn spawn(mut command: Command, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    command.args(["serve", "--listen", "127.0.0.1:0", "--time-interval", "1"]);
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
