//! Publishing one package into a large repository on the S3 test server, with what the server
//! counted. The server answers one request at a time and is slow: requests and bytes are the
//! figures here, and the program's own CPU; its wall time is the server's.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::campaign::{Campaign, Supply, expect_published, warm_with};
use crate::fault::{Doing as _, Result};
use crate::measure::{self, Cost, folder_bytes};
use crate::results::{Requests, S3Row};
use crate::say::report;
use crate::tools::{Method, Tool};
use crate::warm::{Step, Task};
use crate::world::{Weight, World};

/// The bucket's name on the server.
pub(crate) const BUCKET: &str = "bench";
/// What the largest case publishes.
const LARGE_PACKAGE_BYTES: usize = 100_000_000;

/// A client with the program's own TLS: there is no other.
fn web() -> reqwest::Client {
    yrm::authorities::Authorities::default().web().map(|client| client.build().unwrap_or_default()).unwrap_or_default()
}

/// The server process; it ends when its standard input closes.
pub(crate) struct Server {
    endpoint: String,
    child: Child,
}

impl Server {
    /// With the folder's files as the bucket's objects.
    pub(crate) fn start(workspace: &Path, folder: &Path) -> Result<Self> {
        let python = workspace.join(".test/venv/bin/python");
        let mut child = Command::new(&python)
            .arg(workspace.join("scripts/s3-server"))
            .args(["--port", "0", "--load"])
            .arg(format!("{BUCKET}={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing(|| format!("{}: run scripts/test once", python.display()))?;
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).doing(|| "waiting for the S3 server".to_owned())?;
        let endpoint = line.trim().to_owned();
        if !endpoint.starts_with("http://127.0.0.1:") {
            return Err("scripts/s3-server did not start".to_owned().into());
        }
        Ok(Self { endpoint, child })
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("YRM_PATH_STYLE", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// What was asked of it since the last time.
    pub(crate) fn requests(&self) -> Result<BTreeMap<String, Requests>> {
        #[derive(Deserialize)]
        struct Answer {
            methods: BTreeMap<String, Requests>,
        }
        let url = format!("{}/_requests?bucket={BUCKET}", self.endpoint);
        wait(async {
            let client = web();
            let text = client.get(&url).send().await.doing(|| url.clone())?.bytes().await.doing(|| url.clone())?;
            client.delete(&url).send().await.doing(|| url.clone())?;
            let answer: Answer = serde_json::from_slice(&text).doing(|| format!("reading {url}"))?;
            Ok(answer.methods)
        })
    }

    /// Makes requests go wrong, or take their time.
    pub(crate) fn fault(&self, fault: &serde_json::Value) -> Result<()> {
        let url = format!("{}/_fault", self.endpoint);
        wait(async {
            let answer = web().post(&url).json(fault).send().await.doing(|| url.clone())?;
            answer.error_for_status().map(drop).doing(|| url.clone())
        })
    }

    /// Whether there is anything below `prefix`.
    pub(crate) fn holds(&self, prefix: &str) -> Result<bool> {
        let url = format!("{}/{BUCKET}?list-type=2&max-keys=1&prefix={prefix}", self.endpoint);
        wait(async {
            let answer = web().get(&url).send().await.doing(|| url.clone())?;
            let text = answer.error_for_status().doing(|| url.clone())?.text().await.doing(|| url.clone())?;
            Ok(text.contains("<Contents>"))
        })
    }

    /// Puts a file into the inbox; the request is not counted.
    fn drop_into_inbox(&self, path: &str, file: &Path) -> Result<()> {
        let bytes = std::fs::read(file).doing(|| format!("reading {}", file.display()))?;
        let url = format!("{}/{BUCKET}/inbox/{}", self.endpoint, path.replace('+', "%2B"));
        wait(async {
            let answer = web().put(&url).body(bytes).send().await.doing(|| url.clone())?;
            answer.error_for_status().map(drop).doing(|| url.clone())
        })?;
        self.requests().map(drop)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop).doing(|| "stopping the S3 server".to_owned())
    }
}

/// Does it on a runtime of its own.
fn wait<T>(doing: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.doing(|| "starting the runtime".to_owned())?.block_on(doing)
}

/// Publishes one package at a time into so many.
pub(crate) fn publish(campaign: &mut Campaign, workspace: &Path, packages: usize) -> Result<()> {
    report(&format!("publishing into {packages} packages on S3"));
    let base = campaign.world.packages(Weight::Light, packages)?;
    let extras = campaign.world.extras()?;
    let folder = campaign.world.empty("s3-bucket")?;
    let repo = folder.join("repo");
    base.link_all(&repo)?;
    measure::command(&campaign.tools.build(Tool::Yrm, Method::Gz, &repo, &repo))?;
    let metadata_bytes = folder_bytes(&repo.join("repodata"))?;
    let large = campaign.world.empty("s3-large")?.join("large-1-1.noarch.rpm");
    std::fs::write(&large, large_package()).doing(|| format!("writing {}", large.display()))?;

    let server = Server::start(workspace, &folder)?;
    let environment = server.environment();
    let bucket = format!("s3://{BUCKET}");
    let mut supply = Supply { packages: &extras, used: 0 };
    let mut cache = campaign.world.empty("s3-cache")?;
    let cases = [
        ("taking over what createrepo_c or `yrm index` made", false, false),
        ("one package, a fresh process, the cache kept", false, false),
        ("one package, a fresh process, nothing cached", true, false),
        ("one package of 100 MB, a fresh process, the cache kept", false, true),
    ];
    for (case, without_cache, is_large) in cases {
        if without_cache {
            cache = campaign.world.empty("s3-cache")?;
        }
        let path = supply.take(1).remove(0);
        if is_large {
            server.drop_into_inbox("large/large-1-1.noarch.rpm", &large)?;
        } else {
            server.drop_into_inbox(&path, &extras.folder.join(&path))?;
        }
        let (cost, said) = measure::command(&campaign.tools.run(&bucket, &cache, &environment))?;
        expect_published(&said, 1)?;
        put(campaign, packages, case, cost, metadata_bytes, server.requests()?);
    }
    let steps = vec![Step::Add(supply.take(1)), Step::Add(supply.take(1))];
    let task = Task { bucket, cache, packages: extras.folder.clone(), steps };
    let done = warm_with(&task, &campaign.world, &environment)?;
    // The server counted both steps and the uploads to the inbox; yrm's own count is of the last step.
    let usage = done[0].usage;
    let requests = BTreeMap::from([
        ("reads".to_owned(), Requests { count: usage.reads, bytes_in: 0, bytes_out: usage.bytes_in }),
        ("writes".to_owned(), Requests { count: usage.writes, bytes_in: usage.bytes_out, bytes_out: 0 }),
    ]);
    put(
        campaign,
        packages,
        "one package, a process that has published before (its own count)",
        done[0].cost,
        metadata_bytes,
        requests,
    );
    server.stop()?;
    World::discard(&folder)?;
    campaign.save()
}

fn put(
    campaign: &mut Campaign,
    packages: usize,
    case: &str,
    cost: Cost,
    metadata_bytes: u64,
    requests: BTreeMap<String, Requests>,
) {
    let count: u64 = requests.values().map(|row| row.count).sum();
    report(&format!("  {case}: {count} requests, {:.2} s CPU, {:.1} s wall", cost.cpu, cost.wall));
    campaign.results.put_s3(S3Row { packages, case: case.to_owned(), cost, metadata_bytes, requests });
}

fn large_package() -> Vec<u8> {
    let mut payload = vec![0; LARGE_PACKAGE_BYTES];
    crate::dice::Dice::new(1, 1).fill(&mut payload);
    forge::Rpm::new("large", "1", "1", "noarch").file("/usr/share/large").payload(payload).build()
}
