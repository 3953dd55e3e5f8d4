//! Who reads the repository while it is written: real `dnf`, and an onlooker who checks every
//! generation that it sees whole. A read that fails is an error; nothing is read twice to see
//! whether it works then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rpmmd::checksum::Sha256;
use rpmmd::compress::decompress;
use rpmmd::repomd::Repomd;
use tokio::process::Command;

use crate::web::web;

/// No metadata file of a campaign is larger.
const MAX_METADATA_BYTES: u64 = 64 << 20;
/// `dnf download` so often at most with the same metadata, which gets old meanwhile.
const DOWNLOADS_AT_MOST: usize = 3;

/// What clients got, by href: it must never change.
pub(super) type Got = BTreeMap<String, Sha256>;

/// One generation, as a client reads it.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) revision: u64,
    /// The pkgid of every package, by href; more than one would be wrong.
    pub(super) packages: BTreeMap<String, Vec<Sha256>>,
}

/// GET. `None` when it is not there.
async fn get(url: &str) -> Result<Option<Bytes>, String> {
    // Making one reads the machine's certificates.
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(web);
    let read = async {
        let answer = CLIENT.get(url).send().await?;
        // A bucket that may not be listed says 403 of what is not there.
        if matches!(answer.status().as_u16(), 403 | 404) {
            return Ok(None);
        }
        answer.error_for_status()?.bytes().await.map(Some)
    };
    read.await.map_err(|error: reqwest::Error| format!("reading {url}: {error:?}"))
}

async fn get_there(url: &str) -> Result<Bytes, String> {
    get(url).await?.ok_or_else(|| format!("{url} is not there"))
}

impl Generation {
    /// The current one with every file that it names, checked. `None` before the first.
    pub(super) async fn read(repository_url: &str) -> Result<Option<Self>, String> {
        match get(&format!("{repository_url}repodata/repomd.xml")).await? {
            Some(repomd) => Self::read_files(repository_url, &repomd).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read_files(repository_url: &str, repomd: &[u8]) -> Result<Self, String> {
        let repomd = Repomd::read(repomd).map_err(|error| format!("repomd.xml: {error}"))?;
        let mut packages: BTreeMap<String, Vec<Sha256>> = BTreeMap::new();
        for record in &repomd.records {
            let file = get_there(&format!("{repository_url}{}", record.href)).await?;
            let sha256 = Sha256::of(&file).to_string();
            if record.checksum.hex != sha256 || record.size != Some(file.len() as u64) {
                return Err(format!("{} is not what repomd.xml says: {} bytes, {sha256}", record.href, file.len()));
            }
            if record.kind == "primary" {
                let text =
                    decompress(&file, MAX_METADATA_BYTES).map_err(|error| format!("{}: {error}", record.href))?;
                let listed = rpmmd::primary::read(&text).map_err(|error| format!("{}: {error}", record.href))?;
                for package in listed {
                    packages.entry(package.href.to_string()).or_default().push(package.pkgid);
                }
            }
        }
        let revision = repomd.revision.parse().map_err(|error| format!("revision {:?}: {error}", repomd.revision))?;
        Ok(Self { revision, packages })
    }
}

/// Reads repomd.xml again and again, and every new generation whole.
#[derive(Debug, Default)]
pub(super) struct Onlooker {
    /// Generations seen: fewer than there were.
    pub(super) generations: AtomicU64,
    /// Requests that were answered as they should.
    pub(super) reads: AtomicU64,
}

impl Onlooker {
    /// Looks after every `pause` until `over`. An error is a generation that a client must never
    /// see.
    pub(super) async fn watch(
        &self,
        repository_url: &str,
        pause: impl AsyncFn(),
        over: impl Fn() -> bool,
    ) -> Result<(), String> {
        let mut seen: Option<(Bytes, Generation)> = None;
        while !over() {
            pause().await;
            let Some(repomd) = get(&format!("{repository_url}repodata/repomd.xml")).await? else {
                if seen.is_some() {
                    return Err("repomd.xml is gone".to_owned());
                }
                continue;
            };
            self.reads.fetch_add(1, Ordering::Relaxed);
            if seen.as_ref().is_some_and(|(before, _)| *before == repomd) {
                continue;
            }
            let now = Generation::read_files(repository_url, &repomd).await?;
            self.reads.fetch_add(3, Ordering::Relaxed);
            if let Some((_, before)) = &seen {
                follows(before, &now)?;
            }
            self.generations.fetch_add(1, Ordering::Relaxed);
            seen = Some((repomd, now));
        }
        Ok(())
    }
}

/// A later generation has a higher revision and every package of the one before it: nothing
/// retires in a campaign.
fn follows(before: &Generation, now: &Generation) -> Result<(), String> {
    if now.revision <= before.revision {
        return Err(format!("revision {} after {}", now.revision, before.revision));
    }
    for (href, pkgids) in &before.packages {
        let after = now.packages.get(href);
        if after != Some(pkgids) {
            let (was, is) = (before.revision, now.revision);
            return Err(format!("{href} was {pkgids:?} in generation {was} and is {after:?} in {is}"));
        }
    }
    Ok(())
}

/// A machine with `dnf`, apart from the one it runs on.
#[derive(Debug)]
pub(super) struct Dnf {
    home: PathBuf,
    repository_url: String,
    random: StdRng,
}

/// What one `dnf` did.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) refreshes: usize,
    pub(super) downloads: usize,
    pub(super) got: Got,
}

impl Dnf {
    /// With everything it keeps below `home`.
    pub(super) fn new(home: &Path, repository_url: &str, random: StdRng) -> Self {
        std::fs::create_dir_all(home).unwrap();
        Self { home: home.to_owned(), repository_url: repository_url.to_owned(), random }
    }

    /// Refreshes, chooses among what the metadata lists and downloads it, until `over`.
    pub(super) async fn read(&mut self, over: impl Fn() -> bool) -> Result<Reads, String> {
        let mut reads = Reads::default();
        while !over() {
            self.run(&["makecache", "--refresh"]).await?;
            reads.refreshes += 1;
            let listed = self.run(&["--cacheonly", "repoquery", "--qf", "%{name} %{relativepath}\n"]).await?;
            // One name may have many paths in the evil uploader's folder, and dnf takes any of them.
            let listed = listed.lines().filter_map(|line| line.trim().split_once(' '));
            let listed: Vec<(&str, &str)> = listed.filter(|(_, href)| !href.starts_with(super::evil::FOLDER)).collect();
            if listed.is_empty() && reads.got.is_empty() {
                // Only the other's packages are published yet.
                continue;
            }
            if listed.is_empty() {
                return Err("repoquery lists no package, and there was one when this client began".to_owned());
            }
            for _ in 0..self.random.random_range(1..=DOWNLOADS_AT_MOST) {
                let (name, href) = listed.choose(&mut self.random).expect("not empty");
                let sha256 = self.download(name, href).await?;
                reads.downloads += 1;
                if let Some(before) = reads.got.insert((*href).to_owned(), sha256).filter(|before| *before != sha256) {
                    return Err(format!("{href} was {before} and is {sha256}"));
                }
            }
        }
        Ok(reads)
    }

    async fn download(&self, name: &str, href: &str) -> Result<Sha256, String> {
        let folder = self.home.join("downloaded");
        self.run(&["download", "--destdir", folder.to_str().unwrap(), name]).await?;
        let file = folder.join(Path::new(href).file_name().unwrap());
        let bytes = std::fs::read(&file).map_err(|error| format!("dnf downloaded no {}: {error}", file.display()))?;
        // Else dnf would find it there the next time.
        std::fs::remove_file(&file).unwrap();
        Ok(Sha256::of(&bytes))
    }

    /// What it printed; how it failed, with all that it said.
    async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("dnf");
        command
            .args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--enableplugin=download"])
            .args(["--setopt=reposdir=/dev/null", "--repo=campaign"])
            .arg(format!("--repofrompath=campaign,{}", self.repository_url))
            .args(["--setopt=campaign.gpgcheck=0", "--setopt=campaign.skip_if_unavailable=0", "--setopt=retries=1"])
            .arg(format!("--setopt=cachedir={}", self.home.join("cache").display()))
            .arg(format!("--installroot={}", self.home.join("root").display()))
            .args(arguments)
            .env("LC_ALL", "C")
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(out.into_owned())
        } else {
            Err(format!("dnf {arguments:?}: {}\n{out}{err}", output.status))
        }
    }
}
