//! What may come of taking a repository over: its metadata says what it holds, whatever lies in its folder, and
//! what is lost or left out is told.

use rpmmd::checksum::Sha256;
use rpmmd::compress::decompress;
use rpmmd::repodata::Document;
use rpmmd::repomd::{AnyChecksum, Record, Repomd};
use yrm::bucket::history;
use yrm::bucket::report::{Adoption, Report};
use yrm::config::{Policy, Repositories, Retention};
use yrm::publish::Publisher;
use yrm::store::Store as _;
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::world::{DAY, World, policy, put, rpm};

/// A repository at `dir` with `count` packages, which yrm has published.
pub(super) async fn published(policy: Policy, dir: &str, count: usize) -> World {
    let world = World::new(policy);
    for number in 0..count {
        world.drop_rpm(&format!("{dir}p{number}.rpm"), &rpm(&format!("p{number}"), "1")).await;
    }
    world.run().await;
    assert_eq!(world.hrefs(dir).await.len(), count);
    world
}

pub(super) async fn repomd_of(world: &World, dir: &str) -> Repomd {
    Repomd::read(&world.bytes(&(world.folder(dir) + "repodata/repomd.xml")).await.unwrap()).unwrap()
}

pub(super) async fn put_repomd(world: &World, dir: &str, repomd: &Repomd) {
    put(world.memory.as_ref(), &(world.folder(dir) + "repodata/repomd.xml"), repomd.write()).await;
}

/// The same as if something else had written its metadata, each document's text changed on the way.
pub(super) async fn rewritten(mut world: World, dir: &str, change: impl Fn(Document, String) -> String) -> World {
    let before = repomd_of(&world, dir).await;
    rewrite(&world, dir, change).await;
    for record in before.records {
        world.remove(&(world.folder(dir) + &record.href)).await;
    }
    forget(&mut world).await;
    world
}

/// Another program writes the repository's metadata, with each document's text changed on the way, under yrm's hands.
pub(super) async fn rewrite(world: &World, dir: &str, change: impl Fn(Document, String) -> String) {
    let mut repomd = repomd_of(world, dir).await;
    for document in Document::ALL {
        let record = repomd.records.iter_mut().find(|record| record.kind == document.name()).unwrap();
        let file = world.bytes(&(world.folder(dir) + &record.href)).await.unwrap();
        let text = String::from_utf8(decompress(&file, 1 << 20).unwrap().into_owned()).unwrap();
        let text: String = text.split_inclusive('\n').filter(|line| !line.contains("generation")).collect();
        let text = change(document, text);
        record.href = format!("repodata/{}.xml", document.name());
        record.checksum = AnyChecksum::sha256(Sha256::of(text.as_bytes()));
        record.size = Some(text.len() as u64);
        put(world.memory.as_ref(), &(world.folder(dir) + &record.href), text).await;
    }
    put_repomd(world, dir, &repomd).await;
}

/// `.yrm/` is lost.
async fn forget(world: &mut World) {
    for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        world.remove(key).await;
    }
    world.restart();
}

pub(super) fn unchanged(_: Document, text: String) -> String {
    text
}

/// Without the package's element.
pub(super) fn without(name: &'static str) -> impl Fn(Document, String) -> String {
    move |document, text| {
        let is_its = |element: &str| match document {
            Document::Primary => element.contains(&format!("<name>{name}</name>")),
            Document::Filelists | Document::Other => element.contains(&format!("name=\"{name}\"")),
        };
        let mut left = String::new();
        for part in text.split_inclusive("</package>\n") {
            let at = part.find("<package ").unwrap_or(0);
            left.push_str(if is_its(&part[at..]) { &part[..at] } else { part });
        }
        left
    }
}

async fn publish_one_more(world: &World, dir: &str) -> Report {
    world.drop_rpm(&format!("{dir}new.rpm"), &rpm("new", "1")).await;
    world.run().await
}

fn adoption(report: &Report) -> &Adoption {
    assert_eq!(report.errors, Vec::<String>::new());
    report.repositories[0].adoption.as_ref().expect("it was taken over")
}

fn allowing(world: &World, policy: Policy) -> Publisher {
    Publisher::new(world.memory.clone(), Policy { allow_shrink: true, ..policy }).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_cannot_read_everything_still_guards() {
    let sha512 = |document: Document, text: String| {
        let text = text.replace("type=\"sha256\" pkgid", "type=\"sha512\" pkgid");
        let (before, after) = if document == Document::Primary { ("pkgid=\"YES\">", "<") } else { ("pkgid=\"", "\"") };
        let mut longer = String::new();
        for (number, part) in text.split(before).enumerate() {
            match part.split_once(after).filter(|_| number > 0) {
                Some((digest, rest)) => longer.extend([before, digest, digest, after, rest]),
                None => longer.push_str(part),
            }
        }
        longer
    };
    for how in ["no filelists", "no primary", "sha512"] {
        let world = published(policy(), "", 8).await;
        let mut world =
            if how == "sha512" { rewritten(world, "", sha512).await } else { rewritten(world, "", unchanged).await };
        match how {
            "no filelists" => world.remove("repo/repodata/filelists.xml").await,
            "no primary" => world.remove("repo/repodata/primary.xml").await,
            _ => {}
        }
        for number in 3..8 {
            world.remove(&format!("repo/p{number}.rpm")).await;
        }
        let before = world.bytes("repo/repodata/repomd.xml").await;
        let report = publish_one_more(&world, "").await;
        assert_eq!(report.errors.len(), 1, "{how}: {report:?}");
        assert!(report.errors[0].contains("5 of its 8 packages would disappear: "), "{how}: {:?}", report.errors);
        assert!(how == "no primary" || report.errors[0].contains("p3.rpm, p4.rpm"), "{how}: {:?}", report.errors);
        assert_eq!(world.bytes("repo/repodata/repomd.xml").await, before);
        assert_eq!(world.inbox(), ["inbox/new.rpm"]);
        let report = world.run_by(&allowing(&world, policy())).await;
        let adoption = adoption(&report);
        assert_eq!((adoption.packages, adoption.missing.count), (3, 5), "{how}");
        assert_eq!(world.hrefs("").await, ["new.rpm", "p0.rpm", "p1.rpm", "p2.rpm"], "{how}");
        world.restart();
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_offered_stays_out() {
    let world = rewritten(published(policy(), "", 8).await, "", without("p5")).await;
    let report = publish_one_more(&world, "").await;
    let told = adoption(&report);
    assert_eq!((told.packages, told.not_offered.first.as_slice()), (7, &["p5.rpm".to_owned()][..]));
    assert!(told.to_string().contains("took over 7 packages; 1 files were not offered and stay out: p5.rpm"), "{told}");
    let history = history::load(world.publisher.bucket(), 1).await.unwrap();
    assert_eq!(history[0].repositories[0].adoption.as_ref(), Some(told));
    assert!(!world.hrefs("").await.contains(&"p5.rpm".to_owned()));
    world.assert_clean().await;

    // It is not ours to delete either.
    for _ in 0..3 {
        world.advance(4 * DAY);
        sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    }
    assert!(world.memory.head("repo/p5.rpm").await.unwrap().is_some(), "somebody keeps it there");
    assert!(world.memory.head("repo/repodata/primary.xml").await.unwrap().is_some());

    // Without any metadata, the files are the repository.
    let world = World::new(policy());
    put(world.memory.as_ref(), "repo/x/a.rpm", rpm("a", "1").build()).await;
    assert_eq!(adoption(&publish_one_more(&world, "").await).packages, 1);
    assert_eq!(world.hrefs("").await, ["new.rpm", "x/a.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_package_stays_removed() {
    for lost in ["-primary.xml", "-filelists.xml", "-other.xml", "nothing more", "repomd.xml"] {
        for guard in [false, true] {
            let mut world = published(policy(), "", 8).await;
            let run = yrm::publish::RunId { id: ulid::Ulid::new(), started: world.now() };
            world.publisher.remove(&RepositoryDir::new(""), vec!["p3.rpm".to_owned()], run).await.unwrap();
            let repomd = repomd_of(&world, "").await;
            for record in repomd.records.iter().filter(|record| record.href.contains(lost)) {
                world.remove(&format!("repo/{}", record.href)).await;
            }
            if lost == "repomd.xml" {
                world.remove("repo/repodata/repomd.xml").await;
            }
            forget(&mut world).await;
            if guard && lost != "repomd.xml" {
                for number in 4..8 {
                    world.remove(&format!("repo/p{number}.rpm")).await;
                }
            }
            let report = publish_one_more(&world, "").await;
            if guard && lost != "repomd.xml" {
                assert!(
                    report.errors[0].contains("4 of its 7 packages would disappear"),
                    "{lost}: {:?}",
                    report.errors
                );
                continue;
            }
            assert_eq!(adoption(&report).packages, 7, "{lost}");
            let hrefs = ["new.rpm", "p0.rpm", "p1.rpm", "p2.rpm", "p4.rpm", "p5.rpm", "p6.rpm", "p7.rpm"];
            assert_eq!(world.hrefs("").await, hrefs, "{lost}");
            world.assert_clean().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_says_nothing_changes_nothing() {
    let mut world = published(policy(), "", 3).await;
    for record in &repomd_of(&world, "").await.records {
        world.remove(&format!("repo/{}", record.href)).await;
    }
    forget(&mut world).await;
    let report = publish_one_more(&world, "").await;
    assert!(report.errors[0].contains("its metadata does not say what it holds"), "{:?}", report.errors);
    assert_eq!(world.inbox(), ["inbox/new.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_repository_below_is_another_repository() {
    let two = Policy { repositories: Repositories::Depth(2), ..policy() };
    let dir = "9/x86_64/";
    for how in ["adopted", "from its files", "rebuilt", "published"] {
        let mut world = published(two.clone(), dir, 3).await;
        for (key, bytes) in [
            ("repo/9/x86_64/debug/repodata/repomd.xml", b"<repomd/>".to_vec()),
            ("repo/9/x86_64/debug/Packages/d.rpm", rpm("d", "1").build()),
        ] {
            put(world.memory.as_ref(), key, bytes).await;
        }
        match how {
            "adopted" => world = rewritten(world, dir, unchanged).await,
            "from its files" => {
                world.remove("repo/9/x86_64/repodata/repomd.xml").await;
                forget(&mut world).await;
            }
            "rebuilt" => {
                let repomd = repomd_of(&world, dir).await;
                world.remove(&format!("repo/{dir}{}", repomd.records[0].href)).await;
                world.restart();
            }
            _ => {}
        }
        let report = publish_one_more(&world, dir).await;
        assert_eq!(report.errors, Vec::<String>::new(), "{how}");
        assert_eq!(world.hrefs(dir).await, ["new.rpm", "p0.rpm", "p1.rpm", "p2.rpm"], "{how}");
        if let Some(adoption) = &report.repositories[0].adoption {
            assert!(adoption.not_offered.is_empty(), "{how}: they are offered, by another repository");
        }
        // `repositories` says where an upload goes; only that goes there.
        world.drop_rpm("9/x86_64/debug/e.rpm", &rpm("e", "1")).await;
        assert_eq!(world.run().await.errors, Vec::<String>::new(), "{how}");
        assert_eq!(world.hrefs(dir).await, ["debug/e.rpm", "new.rpm", "p0.rpm", "p1.rpm", "p2.rpm"], "{how}");
        for _ in 0..2 {
            world.advance(4 * DAY);
            sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("9/x86_64")).await.unwrap();
        }
        assert!(world.bytes("repo/9/x86_64/debug/Packages/d.rpm").await.is_some(), "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn hrefs_are_normalised() {
    let two = Policy {
        repositories: Repositories::Depth(2),
        mirrors: yrm::config::Mirrors { on: false, public_urls: vec!["https://a.example/repo".to_owned()], name: None },
        ..policy()
    };
    let dir = "9/x86_64/";
    let mapped = |document: Document, text: String| match document {
        Document::Primary => text
            .replace("href=\"p0.rpm\"", "href=\"./p0.rpm\"")
            .replace("href=\"p1.rpm\"", "href=\".//p1.rpm\"")
            .replace("href=\"p2.rpm\"", "href=\"../noarch/p2.rpm\"")
            .replace("href=\"p3.rpm\"", "xml:base=\"https://a.example/repo/9/noarch/\" href=\"p3.rpm\""),
        Document::Filelists | Document::Other => text,
    };
    let world = published(two.clone(), dir, 5).await;
    for name in ["p2.rpm", "p3.rpm"] {
        let bytes = world.bytes(&format!("repo/{dir}{name}")).await.unwrap();
        put(world.memory.as_ref(), &format!("repo/9/noarch/{name}"), bytes).await;
        world.remove(&format!("repo/{dir}{name}")).await;
    }
    let mut world = rewritten(world, dir, mapped).await;
    let report = publish_one_more(&world, dir).await;
    assert_eq!(adoption(&report).packages, 5);
    let beside = ["../noarch/p2.rpm", "../noarch/p3.rpm"];
    assert_eq!(world.hrefs(dir).await, [&beside[..], &["new.rpm", "p0.rpm", "p1.rpm", "p4.rpm"]].concat());
    world.assert_clean().await;

    // The other folder becomes a repository with them, and lets go of one: it stays where it is named.
    world.drop_rpm("9/noarch/q.rpm", &rpm("q", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("9/noarch/").await, ["p2.rpm", "p3.rpm", "q.rpm"]);
    let run = yrm::publish::RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.remove(&RepositoryDir::new("9/noarch"), vec!["p2.rpm".to_owned()], run).await.unwrap();
    for _ in 0..3 {
        world.advance(4 * DAY);
        for dir in ["9/noarch", "9/x86_64"] {
            sweep::sweep(world.publisher.bucket(), &RepositoryDir::new(dir)).await.unwrap();
        }
    }
    world.assert_clean().await;
    // What is damaged is made again with them, and they can be taken out; their files are the other folder's.
    let repomd = repomd_of(&world, dir).await;
    world.remove(&format!("repo/{dir}{}", repomd.records[0].href)).await;
    world.restart();
    world.drop_rpm("9/x86_64/r.rpm", &rpm("r", "1")).await;
    assert_eq!(world.run().await.errors, Vec::<String>::new());
    assert_eq!(world.hrefs(dir).await[..2], beside);
    let run = yrm::publish::RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.remove(&RepositoryDir::new("9/x86_64"), vec![beside[1].to_owned()], run).await.unwrap();
    world.assert_clean().await;
    assert!(world.bytes("repo/9/noarch/p3.rpm").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_lies_elsewhere_is_refused_by_name_before_anything_is_changed() {
    for location in [
        "href=\"../../../x.rpm\"",
        "href=\"/srv/x.rpm\"",
        "href=\"http://evil/x.rpm\"",
        "xml:base=\"https://cdn.example/\" href=\"x.rpm\"",
    ] {
        let change = |document: Document, text: String| match document {
            Document::Primary => text.replace("href=\"p1.rpm\"", location),
            Document::Filelists | Document::Other => text,
        };
        let world = rewritten(published(policy(), "", 8).await, "", change).await;
        let keys = world.memory.keys();
        let report = publish_one_more(&world, "").await;
        assert!(report.errors[0].contains("not below repo/"), "{location}: {:?}", report.errors);
        assert!(report.errors[0].contains("x.rpm"), "{location}: {:?}", report.errors);
        let mut after = world.memory.keys();
        after.retain(|key| key != "inbox/new.rpm" && !key.starts_with(".yrm/history/"));
        assert_eq!(after, keys, "{location}");
        let report = world.run_by(&allowing(&world, policy())).await;
        assert_eq!(adoption(&report).missing.count, 1);
        assert!(!world.hrefs("").await.contains(&"p1.rpm".to_owned()), "it is somewhere else");
    }
}

#[tokio::test(start_paused = true)]
async fn adoption_is_silent_and_publishes_unlisted_files() {
    let world = rewritten(published(policy(), "", 8).await, "", without("p5")).await;
    world.remove("repo/p6.rpm").await;
    let report = publish_one_more(&world, "").await;
    let told = adoption(&report);
    assert_eq!((told.packages, told.missing.count, told.not_offered.count), (6, 1, 1), "{told}");
    let hrefs = world.hrefs("").await;
    assert!(!hrefs.contains(&"p5.rpm".to_owned()) && !hrefs.contains(&"p6.rpm".to_owned()), "{hrefs:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named() {
    let world = rewritten(published(policy(), "", 8).await, "", unchanged).await;
    world.remove("repo/p6.rpm").await;
    let report = publish_one_more(&world, "").await;
    let told = adoption(&report);
    assert_eq!(told.missing.first, ["p6.rpm"]);
    assert_eq!(told.to_string(), "took over 7 packages; 1 files that the metadata named are missing: p6.rpm");
    let history = history::load(world.publisher.bucket(), 1).await.unwrap();
    assert_eq!(history[0].repositories[0].adoption.as_ref(), Some(told));

    // One that cannot be read counts as lost too.
    let world = rewritten(published(policy(), "", 8).await, "", unchanged).await;
    for number in 2..5 {
        put(world.memory.as_ref(), &format!("repo/p{number}.rpm"), "junk").await;
    }
    let report = publish_one_more(&world, "").await;
    assert!(
        report.errors[0].contains("3 of its 8 packages would disappear: p2.rpm, p3.rpm, p4.rpm"),
        "{:?}",
        report.errors
    );
}

fn record(kind: &str, href: &str) -> Record {
    Record {
        kind: kind.to_owned(),
        checksum: AnyChecksum::sha256(Sha256::of(b"comps")),
        open_checksum: None,
        base: None,
        href: href.to_owned(),
        timestamp: None,
        size: None,
        open_size: None,
        extra: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_lead_elsewhere_are_dropped_and_told() {
    let world = rewritten(published(policy(), "", 3).await, "", unchanged).await;
    let mut repomd = repomd_of(&world, "").await;
    put(world.memory.as_ref(), "repo/repodata/comps.xml", "comps").await;
    let based = Record { base: Some("http://evil/".to_owned()), ..record("modules", "modules.xml") };
    repomd.records.extend([
        record("updateinfo", "../../../../etc/passwd"),
        record("evil", "http://evil/x"),
        record("passwd", "/etc/passwd"),
        based,
        record("gone", "repodata/gone.xml"),
        record("group", "repodata/./comps.xml"),
    ]);
    put_repomd(&world, "", &repomd).await;
    let report = publish_one_more(&world, "").await;
    let dropped = &adoption(&report).records_left_out;
    assert_eq!(dropped.len(), 5, "{dropped:?}");
    assert_eq!(dropped[0], "updateinfo at ../../../../etc/passwd, which is not below the repository");
    assert_eq!(dropped[4], "gone at repodata/gone.xml, which is missing");
    let records = repomd_of(&world, "").await.records;
    let kinds: Vec<(&str, &str)> = records.iter().map(|record| (record.kind.as_str(), record.href.as_str())).collect();
    assert_eq!(kinds[3..], [("group", "repodata/comps.xml")]);
    world.assert_clean().await;

    // One that an older version took over is not signed again either.
    let mut repomd = repomd_of(&world, "").await;
    repomd.records.push(record("updateinfo", "../x.xml"));
    let bytes = repomd.write();
    let catalog = world.memory.keys().into_iter().rfind(|key| key.starts_with(".yrm/catalog/")).unwrap();
    for catalog in world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/catalog/")) {
        let copy = world.bytes(&catalog).await.unwrap();
        put(world.memory.as_ref(), &format!(".yrm/catalog/{}", Sha256::of(&bytes)), copy).await;
    }
    drop(catalog);
    put(world.memory.as_ref(), "repo/repodata/repomd.xml", bytes).await;
    world.drop_rpm("more.rpm", &rpm("more", "1")).await;
    world.run().await;
    let records = repomd_of(&world, "").await.records;
    assert!(records.iter().all(|record| record.kind != "updateinfo"), "{records:?}");
}

#[tokio::test(start_paused = true)]
async fn one_repository_s_trouble_does_not_blind_check_for_the_others() {
    let world = World::new(Policy { repositories: Repositories::Depth(1), ..policy() });
    for dir in ["bad", "good"] {
        world.drop_rpm(&format!("{dir}/a.rpm"), &rpm("a", "1")).await;
    }
    world.run().await;
    for href in ["../../../../etc/passwd", "http://evil/x", "/etc/passwd"] {
        let mut repomd = repomd_of(&world, "bad/").await;
        repomd.records.retain(|record| record.kind != "updateinfo");
        repomd.records.push(record("updateinfo", href));
        put_repomd(&world, "bad/", &repomd).await;
        if world.memory.head("repo/good/a.rpm").await.unwrap().is_some() {
            world.remove("repo/good/a.rpm").await;
        }
        let findings = world.check().await;
        let problems = |dir: &str| {
            findings.repositories.iter().find(|one| one.repository.as_str() == dir).unwrap().problems.clone()
        };
        assert!(problems("bad").iter().any(|problem| problem.contains(href)), "{findings:#?}");
        assert!(problems("good").iter().any(|problem| problem.contains("a.rpm")), "{findings:#?}");
    }
    // A store that answers for one of them only.
    world.hooked.at(super::world::Call::Get, "repo/bad/repodata/repomd.xml", super::world::Effect::Refuse);
    let findings = world.check().await;
    assert_eq!(findings.repositories.len(), 2);
    assert!(findings.repositories[0].problems[0].contains("could not be checked"), "{findings:#?}");
}

#[tokio::test(start_paused = true)]
async fn first_run_prunes_what_it_adopts() {
    let pruning = Policy { retention: Some(Retention { keep_at_least: 1, older_than: DAY }), ..policy() };
    let world = World::new(pruning.clone());
    world.drop_rpm("a-1.rpm", &rpm("a", "1")).await;
    world.drop_rpm("a-2.rpm", &rpm("a", "2")).await;
    world.run().await;
    let world = rewritten(world, "", unchanged).await;
    world.advance(9 * DAY);
    let report = publish_one_more(&world, "").await;
    assert_eq!((adoption(&report).packages, report.pruned.len()), (2, 0));
    assert_eq!(world.hrefs("").await, ["a-1.rpm", "a-2.rpm", "new.rpm"]);
    assert_eq!(world.run().await.pruned.len(), 1, "the next run goes by the rule");
    assert_eq!(world.hrefs("").await, ["a-2.rpm", "new.rpm"]);
}
