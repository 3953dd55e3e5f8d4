//! Pruning where a repository offers modules: each stream keeps its own newest.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use forge::{Rpm, Value};
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repomd::{AnyChecksum, Repomd};
use yrm::config::{Policy, Retention};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::local::DirectoryStore;

use super::world::{Call, Effect, World, policy, put};
use crate::equality::succeed;

const REPOMD: &str = "repo/repodata/repomd.xml";
const MODULARITYLABEL: u32 = 5096;

fn keeping(keep_at_least: usize) -> Policy {
    let retention = Some(Retention { keep_at_least, older_than: Duration::ZERO });
    Policy { retention, allow_shrink: true, ..policy() }
}

/// Of a module, or of none where `label` is empty.
fn rpm(name: &str, version: &str, label: &str) -> Rpm {
    let rpm = Rpm::new(name, version, "1", "noarch");
    if label.is_empty() { rpm } else { rpm.tag(MODULARITYLABEL, Value::Text(label.into())) }
}

/// Name, version and module of each package: two streams with two versions of a module each, of whose newer
/// one there are two contexts; and packages that are of no module.
const PACKAGES: [(&str, &str, &str); 9] = [
    ("node", "10.1", "node:10:1:aaaa"),
    ("node", "10.2", "node:10:2:aaaa"),
    ("node", "10.3", "node:10:2:bbbb"),
    ("node", "12.1", "node:12:1:aaaa"),
    ("node", "12.2", "node:12:2:aaaa"),
    ("npm", "9", "node:10:2:aaaa"),
    ("npm", "8", "node:12:2:aaaa"),
    ("plain", "1", ""),
    ("plain", "2", ""),
];

/// Without the old module versions, whose packages are other streams' newer ones' elders.
const KEPT: [&str; 6] = ["node-10.2", "node-10.3", "node-12.2", "npm-8", "npm-9", "plain-2"];

fn kept() -> Vec<String> {
    KEPT.iter().map(|name| format!("{name}.rpm")).collect()
}

/// What `modifyrepo_c` would put beside the metadata.
fn modules_yaml() -> String {
    let mut yaml = String::new();
    let mut labels: Vec<&str> = PACKAGES.iter().map(|(.., label)| *label).filter(|label| !label.is_empty()).collect();
    labels.sort_unstable();
    labels.dedup();
    for label in labels {
        let [name, stream, version, context] = label.split(':').collect::<Vec<_>>()[..] else { panic!("{label}") };
        let of = PACKAGES.iter().filter(|(.., of)| *of == label);
        let artifacts: String = of.fold(String::new(), |mut all, (name, version, _)| {
            writeln!(all, "    - {name}-0:{version}-1.noarch").unwrap();
            all
        });
        write!(
            yaml,
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: \"{stream}\"\n  version: {version}\n  \
             context: \"{context}\"\n  arch: x86_64\n  summary: s\n  description: >-\n    d\n  license:\n    module: [MIT]\n  \
             dependencies:\n  - {{}}\n  artifacts:\n    rpms:\n{artifacts}...\n"
        )
        .unwrap();
    }
    yaml
}

/// A repository of something else's, with modules or without: no metadata says what is of which module.
async fn foreign(policy: Policy, offers_modules: bool) -> World {
    let mut world = World::new(Policy { retention: None, ..policy.clone() });
    for (name, version, label) in PACKAGES {
        world.drop_rpm(&format!("{name}-{version}.rpm"), &rpm(name, version, label)).await;
    }
    world.run().await;
    let bytes = world.bytes(REPOMD).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("<revision>", "<!-- by hand --><revision>");
    let mut repomd = Repomd::read(text.as_bytes()).unwrap();
    if offers_modules {
        let yaml = modules_yaml();
        let mut record = repomd.records[0].clone();
        (record.kind, record.href) = ("modules".to_owned(), "repodata/modules.yaml".to_owned());
        (record.checksum, record.size) = (AnyChecksum::sha256(Sha256::of(yaml.as_bytes())), Some(yaml.len() as u64));
        repomd.records.push(record);
        put(world.memory.as_ref(), "repo/repodata/modules.yaml", yaml).await;
    }
    put(world.memory.as_ref(), REPOMD, repomd.write()).await;
    for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        world.remove(key).await;
    }
    world.publisher = Publisher::new(world.hooked.clone(), policy).unwrap();
    world
}

/// How often a published package's bytes were asked for.
fn reads(world: &World) -> usize {
    world.hooked.gets().iter().filter(|(key, _)| key.starts_with("repo/") && key.contains(".rpm")).count()
}

#[tokio::test(start_paused = true)]
async fn pruning_counts_by_module_stream() {
    let world = World::new(keeping(1));
    for (name, version, label) in PACKAGES {
        world.drop_rpm(&format!("{name}-{version}.rpm"), &rpm(name, version, label)).await;
        world.run().await;
    }
    world.run().await;
    assert_eq!(world.hrefs("").await, kept());
    assert_eq!(reads(&world), 0, "what came through the inbox is known");
    // A newer module of one stream is no concern of the other.
    world.drop_rpm("node-10.4.rpm", &rpm("node", "10.4", "node:10:3:aaaa")).await;
    let report = world.run().await;
    let retired: Vec<&str> = report.pruned.iter().map(|retired| retired.href.as_str()).collect();
    assert_eq!(retired, ["node-10.2.rpm", "node-10.3.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_with_modules_is_asked_once_which_it_is_of() {
    let mut world = foreign(keeping(1), true).await;
    world.drop_rpm("new.rpm", &rpm("new", "1", "")).await;
    let report = world.run().await;
    assert!(report.repositories[0].adopted && report.errors.is_empty(), "{report:?}");
    assert_eq!((report.pruned.len(), reads(&world)), (0, 0), "nothing leaves as it is taken over");
    assert_eq!(world.run().await.errors, Vec::<String>::new());
    let mut all = kept();
    all.insert(0, "new.rpm".to_owned());
    assert_eq!(world.hrefs("").await, all);
    assert_eq!(reads(&world), PACKAGES.len());
    // Another process knows it from the catalog.
    world.advance(Duration::from_hours(1));
    world.publisher = Publisher::new(world.hooked.clone(), keeping(1)).unwrap();
    assert_eq!((world.run().await.pruned.len(), reads(&world)), (0, PACKAGES.len()));
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_kept_although_nothing_retires() {
    // Taken over by who keeps everything, and asks nobody.
    let mut world = foreign(Policy { retention: None, ..keeping(2) }, true).await;
    world.drop_rpm("new.rpm", &rpm("new", "1", "")).await;
    run_quietly(&world).await;
    assert_eq!(reads(&world), 0);
    for (asked, news) in [(5, true), (5, false), (5, false)] {
        world.advance(Duration::from_hours(7));
        world.publisher = Publisher::new(world.hooked.clone(), keeping(2)).unwrap();
        let report = world.run().await;
        assert_eq!((report.errors.len(), report.pruned.len()), (0, 0));
        let is_news = report.repositories.iter().any(|settled| settled.revision_after != settled.revision_before);
        assert_eq!((reads(&world), is_news), (asked, news), "of those that cannot be too many nobody is asked");
    }
    assert_eq!(world.hrefs("").await.len(), PACKAGES.len() + 1);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_header_cannot_be_read_its_kin_stay() {
    let world = foreign(keeping(1), true).await;
    world.drop_rpm("new.rpm", &rpm("new", "1", "")).await;
    // Nothing leaves as it is taken over.
    run_quietly(&world).await;
    world.hooked.at(Call::Get, "repo/node-12.1.rpm", Effect::Refuse);
    let report = world.run().await;
    assert!(report.errors[0].contains("reading which modules packages are of"), "{:?}", report.errors);
    let hrefs = world.hrefs("").await;
    assert_eq!(hrefs.iter().filter(|href| href.starts_with("node")).count(), 5, "{hrefs:?}");
    assert!(!hrefs.contains(&"plain-1.rpm".to_owned()), "the others are no concern of theirs");
    world.advance(Duration::from_hours(1));
    run_quietly(&world).await;
    assert_eq!(world.hrefs("").await.len(), KEPT.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn where_no_modules_are_offered_no_header_is_read() {
    let world = foreign(keeping(1), false).await;
    world.drop_rpm("new.rpm", &rpm("new", "1", "")).await;
    run_quietly(&world).await;
    run_quietly(&world).await;
    assert_eq!(world.hrefs("").await, ["new.rpm", "node-12.2.rpm", "npm-9.rpm", "plain-2.rpm"]);
    assert_eq!(reads(&world), 0);
}

async fn run_quietly(world: &World) {
    assert_eq!(world.run().await.errors, Vec::<String>::new());
}

/// What `dnf repomanage --old` would take out, by file names.
fn repomanage(folder: &Path, keep: usize) -> Vec<String> {
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new("dnf");
    command.args(["--quiet", "--releasever=1", "--disableplugin=*", "--enableplugin=repomanage"]);
    command.args(["--setopt=reposdir=/dev/null", "--setopt=module_platform_id=platform:el8"]);
    command.arg(format!("--setopt=cachedir={}", cache.path().display()));
    command.args(["repomanage", "--old", &format!("--keep={keep}")]).arg(folder);
    let said = succeed(&mut command);
    let name = |line: &str| Path::new(line.trim()).file_name().unwrap().to_str().unwrap().to_owned();
    let mut old: Vec<String> = said.lines().filter(|line| !line.trim().is_empty()).map(name).collect();
    old.sort();
    old
}

#[tokio::test]
async fn dnf_repomanage_takes_the_same() {
    for keep in [1, 2] {
        let root = tempfile::tempdir().unwrap();
        let (repo, inbox) = (root.path().join("repo"), root.path().join("inbox"));
        for folder in [&repo, &inbox] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for (name, version, label) in PACKAGES {
            std::fs::write(repo.join(format!("{name}-{version}.rpm")), rpm(name, version, label).build()).unwrap();
        }
        let yaml = root.path().join("modules.yaml");
        std::fs::write(&yaml, modules_yaml()).unwrap();
        succeed(Command::new("/usr/bin/createrepo_c").args(["--quiet", "--no-database"]).arg(&repo));
        succeed(Command::new("/usr/bin/modifyrepo_c").arg(&yaml).arg(repo.join("repodata")));
        let theirs = repomanage(&repo, keep);
        assert_eq!(theirs.len(), if keep == 1 { 3 } else { 0 }, "{theirs:?}");

        std::fs::write(inbox.join("new.rpm"), rpm("new", "1", "").build()).unwrap();
        let uploaded = std::fs::File::options().append(true).open(inbox.join("new.rpm")).unwrap();
        uploaded.set_modified(std::time::SystemTime::now() - Duration::from_mins(5)).unwrap();
        let store = Arc::new(DirectoryStore::open(root.path()).unwrap());
        let publisher = Publisher::new(store, keeping(keep)).unwrap();
        // The first run takes the repository over, and the next one prunes.
        let mut retired = Vec::new();
        for _ in 0..2 {
            let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
            let report = publisher.run(run, &Unwatched).await.unwrap();
            assert_eq!(report.errors, Vec::<String>::new());
            retired.push(report.pruned);
        }
        assert_eq!(retired[0], [], "nothing leaves as it is taken over");
        let mut ours: Vec<String> = retired.into_iter().flatten().map(|retired| retired.href).collect();
        ours.sort();
        assert_eq!(ours, theirs, "keeping {keep}");
    }
}
