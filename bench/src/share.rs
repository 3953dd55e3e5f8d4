//! How several instances share the work: so many packages for so many repositories, dropped at once, on
//! the S3 test server, published by one, two and four services.
//!
//! The server does one request at a time, so it would be what is measured. Every request therefore
//! takes as long as one to S3 does, and a service has few in flight: what is told apart is whether
//! services get into each other's way, by time and by requests.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::Campaign;
use crate::fault::{Doing as _, Result};
use crate::results::ShareRow;
use crate::s3::{BUCKET, Server};
use crate::say::report;
use crate::world::{Packages, Weight, World};

const PACKAGES: usize = 2_000;
const REPOSITORIES: usize = 50;
const SERVICES: [usize; 3] = [1, 2, 4];
/// What a request takes at least.
const REQUEST_SECONDS: f64 = 0.1;
/// Requests that a service has in flight, in the repositories it works on together.
const CONCURRENCY: &str = "8";
/// Between looks at whether all is published.
const LOOK: Duration = Duration::from_millis(500);
/// Something is broken when it takes longer.
const PATIENCE: Duration = Duration::from_mins(20);

/// Services that are stopped when this is dropped.
struct Services(Vec<Child>);

impl Services {
    /// None has ended: what would be measured then is nothing.
    fn go_on(&mut self) -> Result<()> {
        for child in &mut self.0 {
            if let Some(status) = child.try_wait().doing(|| "looking at a service".to_owned())? {
                return Err(format!("a service ended: {status}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // They hold nothing that is not in the bucket.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Publishes the same packages with so many services, with and without leases.
pub(crate) fn share(campaign: &mut Campaign, workspace: &Path) -> Result<()> {
    let packages = campaign.world.packages(Weight::Light, 10_000)?;
    for services in SERVICES {
        for leases in [true, false] {
            if services == 1 && !leases {
                continue;
            }
            report(&format!(
                "{PACKAGES} packages into {REPOSITORIES} repositories, {services} services, leases: {leases}"
            ));
            let row = publish(campaign, workspace, &packages, (services, leases))?;
            report(&format!("  {:.1} s, {} requests", row.seconds, row.requests));
            campaign.results.put_share(row);
            campaign.save()?;
        }
    }
    Ok(())
}

fn publish(
    campaign: &Campaign,
    workspace: &Path,
    packages: &Packages,
    (services, leases): (usize, bool),
) -> Result<ShareRow> {
    let folder = campaign.world.empty("share-bucket")?;
    for (number, path) in packages.set.paths.iter().take(PACKAGES).enumerate() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let target = folder.join(format!("inbox/r{:02}/{name}", number % REPOSITORIES));
        let parent = target.parent().expect("it has one");
        std::fs::create_dir_all(parent).doing(|| format!("creating {}", parent.display()))?;
        std::fs::hard_link(packages.folder.join(path), &target).doing(|| format!("linking {}", target.display()))?;
    }
    let server = Server::start(workspace, &folder)?;
    server.fault(&json!({ "kind": "delay", "match": "", "times": 100_000_000, "seconds": REQUEST_SECONDS }))?;
    server.requests()?;
    let began = Instant::now();
    let running = (0..services).map(|number| start(campaign, &server, number, leases)).collect::<Result<_>>()?;
    let mut running = Services(running);
    while server.holds("inbox/")? {
        running.go_on()?;
        if began.elapsed() > PATIENCE {
            return Err("the services do not come to an end".to_owned().into());
        }
        std::thread::sleep(LOOK);
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(running);
    let requests = server.requests()?;
    server.stop()?;
    World::discard(&folder)?;
    let sum = |figure: fn(&crate::results::Requests) -> u64| requests.values().map(figure).sum::<u64>();
    Ok(ShareRow {
        services,
        leases,
        packages: PACKAGES,
        repositories: REPOSITORIES,
        seconds,
        requests: sum(|one| one.count),
    })
}

fn start(campaign: &Campaign, server: &Server, number: usize, leases: bool) -> Result<Child> {
    let cache = campaign.world.empty(&format!("share-cache-{number}"))?;
    let mut command = Command::new(campaign.tools.yrm());
    command.args(["serve", "--bucket", &format!("s3://{BUCKET}"), "--repositories", "per-folder"]);
    command.args(["--listen", "127.0.0.1:0", "--time-interval", "5", "--concurrency", CONCURRENCY]);
    command.arg("--cache-dir").arg(cache);
    command.env("YRM_SHARE", leases.to_string());
    command.envs(server.environment()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().doing(|| "starting yrm serve".to_owned())
}
