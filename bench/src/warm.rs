//! `bench publish-warm`: what a run costs in a process that has published before, as the service
//! does every minute. The first step only warms; each later one is measured by itself.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rpmmd::repomd::Repomd;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;
use yrm::bucket::report::{Report, Usage};
use yrm::config::settings::setting;
use yrm::config::{BucketUrl, Config, Low, Retention, Typed};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::{Attributes, Store};

use crate::fault::{Doing as _, Result};
use crate::generate::MAX_VERSIONS;
use crate::measure::{Cost, Watch};

/// Old enough to retire; what the process waits for before it lets retention remove something.
const RETIREMENT_AGE: Duration = Duration::from_secs(3);

/// What to do, one run each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The bucket's URL.
    pub(crate) bucket: String,
    /// Where yrm may keep its local cache.
    pub(crate) cache: PathBuf,
    /// Where the packages to drop are.
    pub(crate) packages: PathBuf,
    /// The runs.
    pub(crate) steps: Vec<Step>,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Publishes these.
    Add(Vec<String>),
    /// Retention removes one.
    Retire,
}

/// What a step cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) cost: Cost,
    /// Of it, at the machine's speed: hashing the new metadata files and writing them to disk.
    /// Measured by doing just that again; nothing when the bucket is no directory.
    pub(crate) files: Option<Cost>,
    /// The new metadata files.
    pub(crate) files_bytes: u64,
    pub(crate) usage: Usage,
}

/// Does the task; the first step is done but not reported.
pub(crate) fn publish(task: &Task) -> Result<Vec<Done>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().doing(|| "starting the runtime".to_owned())?;
    runtime.block_on(async {
        let config = configuration(task)?;
        let store = yrm::store::open(&config).await.map_err(|error| error.chain())?;
        let publisher = Publisher::new(store.clone(), config.policy.clone()).map_err(|error| error.chain())?;
        let mut done = Vec::new();
        for step in &task.steps {
            drop_into_inbox(store.as_ref(), &task.packages, step).await?;
            let before = publisher.usage();
            let watch = Watch::start()?;
            let run = RunId { id: Ulid::new(), started: Timestamp::now() };
            let report = publisher.run(run, &Unwatched).await.map_err(|error| error.chain())?;
            let cost = watch.stop()?;
            expect(&report, step)?;
            let (files_bytes, files) = match &config.bucket {
                BucketUrl::Directory(root) => hash_and_write(root)?,
                BucketUrl::S3 { .. } => (0, None),
            };
            done.push(Done { cost, files, files_bytes, usage: publisher.usage() - before });
        }
        done.remove(0);
        Ok(done)
    })
}

fn configuration(task: &Task) -> Result<Config> {
    let mut flags = vec![("bucket", task.bucket.clone()), ("path-style", "true".to_owned())];
    flags.push(("cache-dir", task.cache.display().to_string()));
    // A setting that this version of yrm does not have is left out.
    let flags = flags.into_iter().filter_map(|(name, text)| Some((setting(name)?, text))).collect();
    let typed = Typed { file: None, environment: std::env::vars().collect(), flags };
    let (mut config, _) = Config::of(&Low::gather(&typed)).map_err(|error| error.chain())?;
    if task.steps.iter().any(|step| matches!(step, Step::Retire)) {
        config.policy.retention = Some(Retention { keep_at_least: MAX_VERSIONS, older_than: RETIREMENT_AGE });
    }
    Ok(config)
}

async fn drop_into_inbox(store: &dyn Store, packages: &Path, step: &Step) -> Result<()> {
    match step {
        Step::Add(paths) => {
            for path in paths {
                let key = format!("inbox/{path}");
                let attributes = Attributes::default();
                store.put_file(&key, &packages.join(path), &attributes).await.map_err(|error| error.chain())?;
            }
        }
        Step::Retire => tokio::time::sleep(RETIREMENT_AGE + Duration::from_secs(2)).await,
    }
    Ok(())
}

/// A run that did something else is no measurement.
fn expect(report: &Report, step: &Step) -> Result<()> {
    let (published, retired) = match step {
        Step::Add(paths) => (paths.len(), 0),
        Step::Retire => (0, 1),
    };
    if report.published.len() == published && report.pruned.len() == retired && report.errors.is_empty() {
        return Ok(());
    }
    let (found, gone) = (report.published.len(), report.pruned.len());
    Err(format!("wanted {published} published and {retired} retired, not {found} and {gone}: {:?}", report.errors)
        .into())
}

/// Times hashing and writing is done; the median counts, as everywhere.
const TIMES: usize = 5;

/// The current metadata files' bytes, and what hashing and writing them costs alone.
fn hash_and_write(root: &Path) -> Result<(u64, Option<Cost>)> {
    let repository = root.join("repo");
    let read = |path: PathBuf| std::fs::read(&path).doing(|| format!("reading {}", path.display()));
    let repomd =
        Repomd::read(&read(repository.join("repodata/repomd.xml"))?).doing(|| "reading repomd.xml".to_owned())?;
    let files: Vec<Vec<u8>> =
        repomd.records.iter().map(|record| read(repository.join(&record.href))).collect::<Result<_>>()?;
    let mut costs = Vec::with_capacity(TIMES);
    // Each is a new file, as a generation's are: writing over one that was just written finds its pages in
    // the processor's cache.
    let scratch = |time: usize, at: usize| root.join(format!("scratch-{time}-{at}.tmp"));
    for time in 0..TIMES {
        let watch = Watch::start()?;
        for (at, file) in files.iter().enumerate() {
            std::hint::black_box(Sha256::digest(file));
            let written = File::create(scratch(time, at)).and_then(|mut out| {
                out.write_all(file)?;
                out.sync_all()
            });
            written.doing(|| format!("writing {}", scratch(time, at).display()))?;
        }
        costs.push(watch.stop()?);
    }
    for path in (0..TIMES).flat_map(|time| (0..files.len()).map(move |at| scratch(time, at))) {
        std::fs::remove_file(&path).doing(|| format!("removing {}", path.display()))?;
    }
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Ok((files.iter().map(|file| file.len() as u64).sum(), Some(costs.swap_remove(TIMES / 2))))
}
