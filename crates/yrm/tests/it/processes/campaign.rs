//! Two services on one bucket that are killed and stopped at random, behind a store that breaks
//! one request in seven, while packages arrive and `dnf` reads: no read may fail, and every upload
//! must be published or set aside, once. In a directory the same goes among users of the machine, one of whom is
//! evil: what it uploads is published only as it passed its folder's rule.
//!
//! `YRM_CHAOS_SEED` repeats a campaign, as far as real processes can be repeated: the uploads, the
//! faults and the blows come in the same order. `YRM_CHAOS_PACKAGES` makes it longer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rpmmd::checksum::Sha256;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::chance::stream;
use super::clients::{Dnf, Generation, Got, Onlooker, Reads};
use super::evil::{self, Deeds, Evil};
use super::ledger::{Holdings, Ledger, Tally, uploads};
use super::place::{Among, Place};
use super::proxy::{Fault, Proxy};
use super::services::{Blows, Service, torment};
use crate::users::can_become_others;

/// Packages of a campaign in `cargo test`.
const PACKAGES: usize = 40;
/// A campaign of so many or more is held to what only chance can bring about.
const LONG: usize = 100;
/// Between two uploads, at most.
const UPLOAD_PAUSE: Duration = Duration::from_millis(1_100);
/// Between two blows, at most: a service on S3 needs seconds to begin, with one request in seven broken.
const QUIET_ON_S3: Duration = Duration::from_secs(6);
/// The same in a directory.
const QUIET_IN_A_DIRECTORY: Duration = Duration::from_secs(3);
/// Between two looks of the onlooker, at most; there the proxy tells of a new generation.
const LOOK_EVERY_ON_S3: Duration = Duration::from_millis(200);
/// The same where nobody tells.
const LOOK_EVERY_IN_A_DIRECTORY: Duration = Duration::from_millis(10);
/// Between two times that evil is told where the services answer: one that was killed comes back elsewhere.
const GUIDE_EVERY: Duration = Duration::from_millis(500);
/// For everything to be published once the faults stop; the machine may be busy.
const HEALS_WITHIN: Duration = Duration::from_mins(3);
/// A campaign that takes longer than this and a few seconds for each package hangs.
const HANGS_AFTER: Duration = Duration::from_mins(8);

/// What the services are called, in their folders' names.
const SERVICES: [&str; 2] = ["one", "two"];

/// How large, and which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    packages: usize,
    pub(super) seed: u64,
}

impl Scale {
    pub(super) fn wanted() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let packages = number("YRM_CHAOS_PACKAGES").map_or(PACKAGES, |packages| usize::try_from(packages).unwrap());
        Self { packages, seed: number("YRM_CHAOS_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>())) }
    }

    /// Machines with dnf.
    fn clients(self) -> usize {
        if self.packages >= LONG { 2 } else { 1 }
    }
}

/// How far a campaign is.
#[derive(Debug, Default)]
struct Course {
    /// Everything is uploaded: no further blow.
    uploaded: AtomicBool,
    /// Everything is published or set aside: nobody reads any more.
    healed: AtomicBool,
}

/// A campaign on one bucket.
#[derive(Debug)]
struct Campaign<'a> {
    scale: Scale,
    place: &'a Place,
    proxy: Option<&'a Proxy>,
    directory: &'a Path,
    course: Course,
    onlooker: Onlooker,
    ledger: Mutex<Ledger>,
}

/// What a campaign that went well has to tell.
#[derive(Debug)]
struct Outcome {
    tally: Tally,
    /// Packages that found their path taken by what a dead service left, and have one of their own.
    beside: usize,
    deeds: Option<Deeds>,
    blows: Blows,
    reads: Vec<Reads>,
    healed_in: Duration,
}

impl Campaign<'_> {
    async fn run(&self) -> Result<Outcome, String> {
        let endpoint = self.proxy.map(Proxy::endpoint);
        let mut services = SERVICES.map(|name| Service::start(self.place, &self.directory.join(name), endpoint));
        let evil = self.place.is_among_users().then(|| {
            let lasts = UPLOAD_PAUSE / 2 * u32::try_from(self.scale.packages * 3 / 2).unwrap();
            Evil::begin(self.directory, self.place, self.scale.seed, lasts.as_secs())
        });
        let events = async {
            let (blows, ()) = tokio::try_join!(self.torment(&mut services), self.upload())?;
            let deeds = match evil {
                Some(evil) => Some(evil.end(self.place).await?),
                None => None,
            };
            self.proxy.inspect(|proxy| proxy.calm_down());
            let calm = Instant::now();
            self.heal().await?;
            self.course.healed.store(true, Ordering::Relaxed);
            Ok((blows, deeds, calm.elapsed()))
        };
        let guide = async {
            while self.place.is_among_users() && !self.course.healed.load(Ordering::Relaxed) {
                sleep(GUIDE_EVERY).await;
                let ports = SERVICES.iter().filter_map(|name| Service::port(&self.directory.join(name)));
                evil::tell_ports(self.directory, &ports.collect::<Vec<_>>());
            }
            Ok(())
        };
        let url = self.place.repository_url();
        let watch =
            self.onlooker.watch(&url, async || self.look_again().await, || self.course.healed.load(Ordering::Relaxed));
        let reads = futures::future::try_join_all((0..self.scale.clients()).map(|client| self.read(client)));
        let ((blows, deeds, healed_in), (), reads, ()) = tokio::try_join!(events, watch, reads, guide)?;
        futures::future::try_join_all(services.map(Service::terminate)).await?;
        let (tally, beside) = self.settle(&reads).await?;
        Ok(Outcome { tally, beside, deeds, blows, reads, healed_in })
    }

    fn random(&self, actor: &str) -> StdRng {
        stream(self.scale.seed, actor)
    }

    async fn torment(&self, services: &mut [Service<'_>; 2]) -> Result<Blows, String> {
        let quiet_at_most = if self.proxy.is_some() { QUIET_ON_S3 } else { QUIET_IN_A_DIRECTORY };
        let generations = || self.onlooker.generations.load(Ordering::Relaxed);
        let over = || self.course.uploaded.load(Ordering::Relaxed);
        torment(services, self.random("blows"), quiet_at_most, generations, over).await
    }

    /// Returns when it is worth looking for a new generation.
    async fn look_again(&self) {
        match self.proxy {
            Some(proxy) => drop(timeout(LOOK_EVERY_ON_S3, proxy.switched()).await),
            None => sleep(LOOK_EVERY_IN_A_DIRECTORY).await,
        }
    }

    async fn upload(&self) -> Result<(), String> {
        let mut random = self.random("uploads");
        for upload in uploads(self.scale.packages, &mut random) {
            let found_another = self.place.read(&format!("inbox/{}", upload.path)).await.is_some();
            self.ledger.lock().await.note(&upload, found_another);
            self.place.upload(&upload.path, &upload.bytes).await;
            sleep(UPLOAD_PAUSE.mul_f64(random.random())).await;
        }
        self.course.uploaded.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A client, from the first generation on.
    async fn read(&self, client: usize) -> Result<Reads, String> {
        while self.onlooker.generations.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        let home = self.directory.join(format!("client-{client}"));
        let mut dnf = Dnf::new(&home, &self.place.repository_url(), self.random(&format!("client {client}")));
        dnf.read(|| self.course.healed.load(Ordering::Relaxed)).await
    }

    /// Waits until nothing is left in the inbox.
    async fn heal(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let mut left = self.place.keys("inbox/").await;
            left.retain(|key| !key["inbox/".len()..].starts_with(evil::FOLDER));
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > HEALS_WITHIN {
                return Err(format!("{HEALS_WITHIN:?} after the last fault the inbox still holds {left:?}"));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// `yrm` without faults; what it printed as JSON.
    async fn yrm(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut command = self.place.yrm(self.directory, None);
        let output = command.args(arguments).args(["--output", "json"]).output().await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("yrm {arguments:?}: {}\n{out}{err}", output.status));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("yrm {arguments:?}: {error}\n{out}{err}"))
    }

    /// Whether everything is accounted for, by everybody who kept an account; and how many packages
    /// have a path of their own.
    async fn settle(&self, reads: &[Reads]) -> Result<(Tally, usize), String> {
        let holdings = self.holdings().await?;
        let ledger = self.ledger.lock().await;
        let tally = ledger.settle(&holdings).map_err(|wrong| wrong.join("\n"))?;
        for (href, sha256) in reads.iter().map(|reads| &reads.got).flat_map(Got::iter) {
            let named = holdings.named.get(href).or_else(|| holdings.evil.get(href));
            if named.and_then(|pkgids| pkgids.first()) != Some(sha256) {
                return Err(format!("a client got {href} as {sha256}, which is not what is published"));
            }
        }
        let findings = self.yrm(&["check", "--deep"]).await?;
        let found = &findings["repositories"][0];
        let packages = ledger.packages() + holdings.evil.len();
        if found["packages"] != packages || found["hashed"] != packages || found["problems"] != Value::Array(vec![]) {
            return Err(format!("{packages} packages, and check --deep says {findings:#}"));
        }
        self.settle_records(&ledger, &holdings).await?;
        let beside = holdings.named.keys().filter(|href| !holdings.published.contains_key(*href)).count();
        Ok((tally, beside))
    }

    /// Whether receipts and history agree: each upload that nothing took the place of has one
    /// receipt, and no upload was published twice.
    async fn settle_records(&self, ledger: &Ledger, holdings: &Holdings) -> Result<(), String> {
        let mut receipts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for key in self.place.keys(".yrm/receipts/").await {
            let receipt = self.record(&key).await?;
            let (_, said) = receipt.as_object().and_then(|answer| answer.iter().next()).ok_or("an empty receipt")?;
            receipts.entry(said["inbox_key"].as_str().unwrap_or_default().to_owned()).or_default().push(receipt);
        }
        for path in ledger.uploaded_once() {
            let receipts = receipts.get(&format!("inbox/{path}")).map_or(&[][..], Vec::as_slice);
            let published = holdings.published.get(path).map(|pkgids| pkgids[0].to_string());
            let agrees = |receipt: &Value| receipt["published"]["pkgid"].as_str() == published.as_deref();
            if receipts.len() != 1 || !agrees(&receipts[0]) {
                return Err(format!("{path} is published as {published:?}, and its receipts say {receipts:?}"));
            }
        }
        let mut publications: BTreeMap<(String, String), usize> = BTreeMap::new();
        for key in self.place.keys(".yrm/history/").await {
            let run = self.record(&key).await?;
            for package in run["published"].as_array().into_iter().flatten() {
                let is_evils = package["inbox_key"].as_str().is_some_and(|key| key.starts_with("inbox/evil/"));
                if package["already_there"] == false && !is_evils {
                    let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
                    *publications.entry((text("inbox_key"), text("etag"))).or_default() += 1;
                }
            }
        }
        match publications.into_iter().find(|(_, times)| *times > 1) {
            Some(((key, etag), times)) => {
                Err(format!("the history says {times} times that {key} ({etag}) was published"))
            }
            None => Ok(()),
        }
    }

    async fn record(&self, key: &str) -> Result<Value, String> {
        let bytes = self.place.read(key).await.ok_or_else(|| format!("{key} was listed and is gone"))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{key}: {error}"))
    }

    async fn holdings(&self) -> Result<Holdings, String> {
        let current = Generation::read(&self.place.repository_url()).await?.ok_or("there is no repomd.xml")?;
        let is_evils = |path: &str| path.starts_with(evil::FOLDER);
        let (named, evil) = current.packages.into_iter().partition(|(href, _)| !is_evils(href));
        let mut holdings = Holdings { evil, ..Holdings::naming(named) };
        for key in self.place.keys("inbox/").await {
            holdings.inbox.insert(key["inbox/".len()..].to_owned());
        }
        holdings.inbox.retain(|path| !is_evils(path));
        let quarantine = self.place.keys("quarantine/").await;
        for key in quarantine.iter().filter(|key| key.strip_suffix(".json").is_none()) {
            if !quarantine.contains(&format!("{key}.json")) {
                return Err(format!("{key} has no record"));
            }
            let bytes = self.place.read(key).await.ok_or_else(|| format!("{key} was listed and is gone"))?;
            let path = key["quarantine/".len()..].rsplit_once('.').map_or("", |(path, _id)| path);
            if !is_evils(path) {
                holdings.quarantined.push((path.to_owned(), Sha256::of(&bytes)));
            }
        }
        Ok(holdings)
    }
}

#[expect(clippy::print_stdout, reason = "the seed and the figures belong into the test's record")]
pub(super) async fn campaign(name: &str, directory: TempDir, place: &Place, proxy: Option<&Proxy>, scale: Scale) {
    let Scale { packages, seed } = scale;
    let replay = format!("YRM_CHAOS_SEED={seed} YRM_CHAOS_PACKAGES={packages} cargo test -p yrm --test it {name}");
    let campaign = Campaign {
        scale,
        place,
        proxy,
        directory: directory.path(),
        course: Course::default(),
        onlooker: Onlooker::default(),
        ledger: Mutex::default(),
    };
    let began = Instant::now();
    let limit = HANGS_AFTER + Duration::from_secs(3) * u32::try_from(packages).unwrap();
    let outcome =
        timeout(limit, campaign.run()).await.unwrap_or_else(|_| Err(format!("it is not over after {limit:?}")));
    let generations = campaign.onlooker.generations.load(Ordering::Relaxed);
    let looks = campaign.onlooker.reads.load(Ordering::Relaxed);
    let faults = proxy.map(Proxy::counts).unwrap_or_default();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(wrong) => {
            for service in SERVICES {
                println!("service {service}, at the end:\n{}\n", Service::last_words(&directory.path().join(service)));
            }
            panic!("{wrong}\nfaults: {faults:?}\neverything is in {}; again: {replay}", directory.keep().display());
        }
    };
    println!("{replay}: {:.0?}", began.elapsed());
    println!("  {}; {} under a path of their own", outcome.tally, outcome.beside);
    if let Some(Deeds { did, published }) = &outcome.deeds {
        println!("  evil: {did}; {published} of its packages published, all as they passed the rule");
        assert!(!did.is_empty() && *published > 0, "{replay}: evil did nothing");
        assert!(packages < LONG || did.contains("guest="), "{replay}: nobody read slowly");
    }
    let Blows { kills, overtaken_by } = &outcome.blows;
    println!("  {kills} kills; {} stops, overtaken by {overtaken_by:?} generations", overtaken_by.len());
    println!("  faults: {faults:?}");
    let (refreshes, downloads) = outcome
        .reads
        .iter()
        .fold((0, 0), |(refreshes, downloads), reads| (refreshes + reads.refreshes, downloads + reads.downloads));
    println!("  dnf: {refreshes} refreshes, {downloads} downloads; onlooker: {looks} reads, {generations} generations");
    println!("  everything settled {:.1?} after the last fault", outcome.healed_in);
    // A campaign without faults or readers proves nothing.
    if proxy.is_some() {
        assert!(Fault::INJECTED.iter().all(|fault| faults.contains_key(fault)), "{replay}: {faults:?}");
    }
    assert!(refreshes > 0 && downloads > 0 && generations > 1, "{replay}");
    let overtaken = overtaken_by.iter().any(|generations| *generations > 0);
    assert!(packages < LONG || overtaken, "{replay}: nothing happened while a service was stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_killed_and_stopped_lose_nothing_and_readers_never_fail_in_a_directory() {
    let (directory, scale) = (TempDir::new().unwrap(), Scale::wanted());
    let place = Place::directory(directory.path(), Among::Ourselves).await;
    let name = "services_that_are_killed_and_stopped_lose_nothing_and_readers_never_fail_in_a_directory";
    campaign(name, directory, &place, None, scale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evil_uploader_beside_honest_ones_and_killed_services_gets_nothing_in_that_was_not_judged() {
    if !can_become_others() {
        return;
    }
    let (directory, scale) = (TempDir::new().unwrap(), Scale::wanted());
    let place = Place::directory(directory.path(), Among::Users).await;
    evil::prepare(directory.path());
    let name = "an_evil_uploader_beside_honest_ones_and_killed_services_gets_nothing_in_that_was_not_judged";
    campaign(name, directory, &place, None, scale).await;
}
