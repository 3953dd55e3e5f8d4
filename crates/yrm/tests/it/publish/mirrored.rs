//! Mirrorlist mode: what the list names is whole, signed, and of the current generation, whatever happens
//! on the way; and it stays for as long as somebody may be reading it.

use futures::FutureExt as _;
use rpmmd::checksum::Sha256;
use rpmmd::repodata;
use rpmmd::repomd::{AnyChecksum, Record, Repomd};
use yrm::config::{Level, Mirrors, Policy, Repositories, Rule, Trust};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::Store as _;
use yrm::store::key::RepositoryDir;

use super::signed::{KEYS, signer};
use super::world::{Call, DAY, Effect, World, policy, put, rpm};

const LIST: &str = "repo/mirrorlist";
const URL: &str = "https://packages.example/repo";

/// The mode on for all.
fn mirrored() -> Policy {
    Policy { mirrors: Mirrors { on: true, public_urls: vec![URL.to_owned()], name: None }, ..policy() }
}

/// A publisher of the bucket, freshly started, that signs with these keys.
fn publisher(world: &World, policy: Policy, order: &[usize]) -> Publisher {
    Publisher::new(world.hooked.clone(), policy).unwrap().with_signer(Some(signer(order)))
}

/// A bucket in mirrorlist mode, signed, with one package published.
async fn mirrored_world() -> World {
    let mut world = World::new(mirrored());
    world.publisher = publisher(&world, mirrored(), &[0]);
    publish(&world, "a").await;
    world
}

/// Publishes one more package.
async fn publish(world: &World, name: &str) {
    world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
    let report = world.run().await;
    assert_eq!((report.published.len(), report.errors), (1, Vec::new()));
}

/// The folder that the list of the repository at `dir` (`""`, or `el9/`) names, as the store knows it.
async fn folder_at(world: &World, dir: &str) -> Option<String> {
    let list = String::from_utf8(world.bytes(&format!("repo/{dir}mirrorlist")).await?.to_vec()).unwrap();
    let line = list.lines().next().expect("the list has a line");
    Some(format!("repo{}", line.strip_prefix(URL).expect("the line is below our address")))
}

async fn folder(world: &World) -> String {
    folder_at(world, "").await.expect("there is a list")
}

/// The hrefs that a client of the list at `dir` sees, as paths in the repository. All it reads must be there.
async fn hrefs_at(world: &World, dir: &str) -> Vec<String> {
    let folder = folder_at(world, dir).await.expect("there is a list");
    let read = async |href: &str| world.bytes(&format!("{folder}{href}")).await.expect("it is in the folder");
    let repomd = Repomd::read(&read("repodata/repomd.xml").await).unwrap();
    let mut files = Vec::new();
    for kind in ["primary", "filelists", "other"] {
        let record = repomd.record(kind).unwrap();
        let bytes = read(&record.href).await;
        assert_eq!(record.checksum.as_sha256(), Some(Sha256::of(&bytes)));
        files.push(bytes);
    }
    let packages = repodata::read(&files[0], &files[1], &files[2]).unwrap();
    packages.iter().map(|package| package.href.strip_prefix("../../").expect("two folders up").to_owned()).collect()
}

/// The list names the current generation: its packages, well signed, and `check` agrees.
async fn assert_current(world: &World, what: &str) {
    assert_eq!(hrefs_at(world, "").await, world.hrefs("").await, "{what}");
    let folder = folder(world).await;
    let [repomd, signature] = ["repodata/repomd.xml", "repodata/repomd.xml.asc"].map(|href| format!("{folder}{href}"));
    let (repomd, signature) = (world.bytes(&repomd).await.unwrap(), world.bytes(&signature).await.unwrap());
    assert!(KEYS.iter().any(|key| key.key.has_signed(&repomd, &signature)), "G7: {what}");
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_list_names_each_generation_in_a_folder_that_never_changes() {
    let world = mirrored_world().await;
    assert_current(&world, "the first generation").await;
    let before = folder(&world).await;
    let files = |folder: &str| -> Vec<String> {
        world.memory.keys().into_iter().filter(|key| key.starts_with(folder)).collect()
    };
    assert_eq!(files(&before).len(), 5, "{:?}", files(&before));
    publish(&world, "b+b").await;
    assert_current(&world, "the second generation").await;
    assert_ne!(folder(&world).await, before);
    for key in files(&before) {
        assert_eq!(world.memory.versions(&key).len(), 1, "{key} was written once, and is there");
    }
    let attributes = |key: &str| world.memory.versions(key).pop().unwrap().unwrap().attributes;
    let list = attributes(LIST);
    assert_eq!((list.content_type, list.cache_control), ("text/plain; charset=utf-8", Some("no-cache")));
    let immutable = Some("public, max-age=31536000, immutable");
    for key in files(&folder(&world).await) {
        assert_eq!(attributes(&key).cache_control, immutable, "{key}");
    }
    // The same again, and nothing.
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let list = world.memory.versions(LIST).len();
    world.run().await;
    assert_eq!(world.memory.versions(LIST).len(), list, "nothing new, nothing put");
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_makes_one_list_request_and_no_write() {
    let world = mirrored_world().await;
    let report = world.run().await;
    assert_eq!((report.usage.reads, report.usage.writes), (1, 0));
    // The first one after a start looks through the folder too, and finds it whole.
    let report = world.run_by(&publisher(&world, mirrored(), &[0])).await;
    assert_eq!((report.usage.writes, report.errors.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rule_says_for_which_repositories_the_mode_is_on() {
    let rule = |folder: &str, on| Rule { folders: vec![folder.to_owned()], mirrorlist: Some(on), ..Rule::default() };
    let trust = Trust { signatures: Level::Off, rules: vec![rule("el8", false), rule("**", true)], ..Trust::default() };
    let mirrors = Mirrors { on: false, public_urls: vec![URL.to_owned()], name: None };
    let world = World::new(Policy { repositories: Repositories::Depth(1), trust, mirrors, ..policy() });
    for path in ["el8/a.rpm", "el9/a.rpm", "el9/deep/b+b.rpm", "c++/a.rpm"] {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".rpm");
        world.drop_rpm(path, &rpm(name, "1")).await;
    }
    assert_eq!(world.run().await.errors, Vec::<String>::new());
    assert_eq!(folder_at(&world, "el8/").await, None);
    assert_eq!(hrefs_at(&world, "el9/").await, ["a.rpm", "deep/b+b.rpm"]);
    let list = world.bytes("repo/c++/mirrorlist").await.unwrap();
    assert!(list.starts_with(format!("{URL}/c%2B%2B/repodata/").as_bytes()), "{list:?}");
    world.assert_clean().await;
    // The name is taken where the mode is on, and free where it is not.
    for folder in ["el8", "el9"] {
        world.drop_rpm(&format!("{folder}/mirrorlist/d.rpm"), &rpm("d", "1")).await;
    }
    let report = world.run().await;
    let rejected: Vec<_> = report.rejected.iter().map(|one| (one.inbox_key.as_str(), one.code.as_str())).collect();
    assert_eq!(rejected, [("inbox/el9/mirrorlist/d.rpm", "E_BAD_KEY")]);
    assert_eq!(report.published.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_list_is_put_is_mended_by_the_next_start_even_with_nothing_to_do() {
    for (call, part) in [(Call::Put, LIST), (Call::Copy, "-primary.xml"), (Call::Put, "/repodata/repomd.xml.asc")] {
        let mut world = mirrored_world().await;
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        if part.ends_with("asc") {
            // The first put of that name is the repository's own signature.
            world.hooked.at(call, part, Effect::Before(Box::new(|_| async {}.boxed())));
        }
        world.hooked.at(call, part, Effect::Die);
        let run = RunId { id: ulid::Ulid::new(), started: world.now() };
        let died = tokio::time::timeout(std::time::Duration::from_secs(9), world.publisher.run(run, &Unwatched)).await;
        assert!(died.is_err() && world.hooked.all_happened(), "{part}");
        assert_eq!(hrefs_at(&world, "").await, ["a.rpm"], "{part}: the list names the generation before, whole");
        world.remove("inbox/b.rpm").await;
        world.publisher = publisher(&world, mirrored(), &[0]);
        assert_eq!(world.run().await.errors, Vec::<String>::new());
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
        assert_current(&world, part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_could_not_be_put_is_put_by_the_next_run_of_the_same_process() {
    let world = mirrored_world().await;
    world.hooked.at(Call::Put, LIST, Effect::Refuse);
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let report = world.run().await;
    assert_eq!((report.published.len(), report.errors.len()), (1, 1), "{:?}", report.errors);
    assert_eq!(world.run().await.errors, Vec::<String>::new());
    assert_current(&world, "an idle run later").await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_that_race_leave_the_list_at_the_newest_generation() {
    // Another one publishes before the list is read, before it is put, and after.
    for (call, part) in [(Call::Get, LIST), (Call::Copy, "repodata/"), (Call::Put, LIST), (Call::Head, "repomd.xml")] {
        let world = mirrored_world().await;
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        let (other, now) = (publisher(&world, mirrored(), &[0]), world.now());
        world.hooked.another_publishes_at(call, part, (other, now));
        let report = world.run().await;
        assert!(world.hooked.all_happened(), "{part}");
        assert_eq!(report.errors, Vec::<String>::new(), "{part}");
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"], "{part}");
        assert_current(&world, part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_turned_on_off_and_on_leaves_no_list_that_names_what_is_over() {
    let mut world = World::new(policy());
    world.publisher = publisher(&world, policy(), &[0]);
    for name in ["a", "b"] {
        publish(&world, name).await;
    }
    // On: the first run makes a generation that has what is needed.
    world.publisher = publisher(&world, mirrored(), &[0]);
    let report = world.run().await;
    assert_eq!((report.repositories.len(), report.errors.len()), (1, 0));
    assert_current(&world, "on").await;
    let first = folder(&world).await;
    // Off: what is there stays while it is right, and goes before the next generation is the truth.
    world.publisher = publisher(&world, policy(), &[0]);
    world.run().await;
    assert_current(&world, "an idle run changes nothing").await;
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let look = std::sync::Arc::clone(&gone);
    world.hooked.at(
        Call::Put,
        "repo/repodata/repomd.xml",
        Effect::Before(Box::new(move |memory| {
            async move {
                let there = memory.head(LIST).await.unwrap();
                look.store(there.is_none(), std::sync::atomic::Ordering::Relaxed);
            }
            .boxed()
        })),
    );
    publish(&world, "c").await;
    assert!(gone.load(std::sync::atomic::Ordering::Relaxed) && folder_at(&world, "").await.is_none());
    // The folder is swept after grace: noted by one sweep, taken by a later one.
    world.advance(DAY);
    publish(&world, "d").await;
    let left = |world: &World| world.memory.keys().iter().filter(|key| key.starts_with(&first)).count();
    assert_eq!(left(&world), 5);
    world.advance(4 * DAY);
    world.run().await;
    world.run().await;
    assert_eq!(left(&world), 0, "nothing arrives any more, and it is swept");
    // On again.
    world.publisher = publisher(&world, mirrored(), &[0]);
    world.run().await;
    assert_current(&world, "on again").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_called_mirrorlist_that_is_not_ours_stays_with_the_mode_off() {
    let world = World::new(policy());
    put(world.memory.as_ref(), LIST, "https://elsewhere.example/repo\n").await;
    for name in ["a", "b"] {
        publish(&world, name).await;
        world.advance(DAY);
    }
    assert!(world.bytes(LIST).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_folder_stays_for_grace_after_the_list_went_on_however_late_that_was() {
    let world = mirrored_world().await;
    let first = folder(&world).await;
    // The list cannot be put for three days, and the packages of what it names leave.
    let repository = RepositoryDir::new("");
    publish(&world, "b").await;
    let second = folder(&world).await;
    world.hooked.at(Call::Put, LIST, Effect::Refuse);
    let run = RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.remove(&repository, vec!["b.rpm".to_owned()], run).await.unwrap();
    assert_eq!(folder(&world).await, second, "the list could not be put");
    let other = publisher(&world, mirrored(), &[0]);
    world.advance(5 * DAY);
    yrm::upkeep::sweep::sweep(other.bucket(), &repository).await.unwrap();
    assert_eq!(hrefs_at(&world, "").await, ["a.rpm", "b.rpm"]);
    assert!(world.bytes("repo/b.rpm").await.is_some(), "G3: the list names a folder that names it");
    assert!(world.bytes(&format!("{first}repodata/repomd.xml")).await.is_some(), "noted only now");
}

#[tokio::test(start_paused = true)]
async fn superseded_folders_are_swept_and_read_until_then() {
    let world = mirrored_world().await;
    let first = folder(&world).await;
    let count = |folder: &str| world.memory.keys().iter().filter(|key| key.starts_with(folder)).count();
    publish(&world, "b").await;
    let second = folder(&world).await;
    world.advance(DAY);
    publish(&world, "c").await;
    // The sweep after that publish has noted the first two.
    world.advance(DAY * 2);
    publish(&world, "d").await;
    assert_eq!((count(&first), count(&second)), (5, 5), "two days later both can still be read");
    world.advance(DAY + DAY / 2);
    publish(&world, "e").await;
    assert_eq!((count(&first), count(&second)), (0, 0));
    assert_current(&world, "after the sweep").await;
    let notes = world.bytes(".yrm/mirrors/left.json").await.unwrap();
    assert!(!notes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_about_the_time_makes_no_folder_older() {
    let world = mirrored_world().await;
    let count = |folder: &str| world.memory.keys().iter().filter(|key| key.starts_with(folder)).count();
    let first = folder(&world).await;
    publish(&world, "b").await;
    world.advance(DAY);
    publish(&world, "c").await;
    let third = folder(&world).await;
    world.advance(DAY);
    // The sweep after this publish asks what time it is, and what it wrote a day ago is still there.
    world.hooked.at(Call::Put, ".yrm/clock", Effect::LoseRequest);
    publish(&world, "d").await;
    assert!(world.hooked.all_happened());
    world.advance(2 * DAY + DAY / 2);
    publish(&world, "e").await;
    assert_eq!((count(&first), count(&third)), (0, 5), "the third was noted two days and a half ago");
}

#[tokio::test(start_paused = true)]
async fn a_new_first_key_gets_a_folder_of_its_own() {
    let mut world = mirrored_world().await;
    let old = folder(&world).await;
    world.publisher = publisher(&world, mirrored(), &[1, 0]);
    let report = world.run().await;
    assert_eq!((report.errors.len(), report.repositories.len()), (0, 0), "no generation is needed for that");
    let new = folder(&world).await;
    assert_ne!(new, old);
    let read = async |folder: &str, href: &str| world.bytes(&format!("{folder}repodata/{href}")).await.unwrap();
    for (folder, key) in [(&old, &KEYS[0].key), (&new, &KEYS[1].key)] {
        assert!(key.has_signed(&read(folder, "repomd.xml").await, &read(folder, "repomd.xml.asc").await));
    }
    assert_current(&world, "with the new key").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_newest_folder_is_put_there_again_at_the_next_start() {
    let mut world = mirrored_world().await;
    let folder = folder(&world).await;
    let files: Vec<String> = world.memory.keys().into_iter().filter(|key| key.starts_with(&folder)).collect();
    for key in files {
        world.remove(&key).await;
        assert!(!world.check().await.clean(), "{key} is missed");
        world.publisher = publisher(&world, mirrored(), &[0]);
        assert_eq!(world.run().await.errors, Vec::<String>::new());
        assert_current(&world, &key).await;
    }
    // A list that says nothing is put anew; one that names what is not there is noticed.
    put(world.memory.as_ref(), LIST, "").await;
    assert!(!world.check().await.clean());
    world.publisher = publisher(&world, mirrored(), &[0]);
    world.run().await;
    assert_current(&world, "after an empty list").await;
    let stale = folder.replace(char::is_numeric, "1");
    put(world.memory.as_ref(), LIST, format!("{URL}{}\n", stale.strip_prefix("repo").unwrap())).await;
    assert!(!world.check().await.clean());
}

#[tokio::test(start_paused = true)]
async fn removing_rolling_back_and_taking_over_reach_the_list() {
    let world = mirrored_world().await;
    publish(&world, "b").await;
    let run = || RunId { id: ulid::Ulid::new(), started: world.now() };
    let repository = RepositoryDir::new("");
    let before = world.run_by(&world.publisher).await;
    assert!(before.repositories.is_empty());
    let log = yrm::bucket::log::generations(world.publisher.bucket(), &repository).await.unwrap();
    world.publisher.remove(&repository, vec!["a.rpm".to_owned()], run()).await.unwrap();
    assert_current(&world, "after a removal").await;
    world.publisher.roll_back(&repository, log[0].revision, run()).await.unwrap();
    assert_eq!(hrefs_at(&world, "").await, ["a.rpm", "b.rpm"]);
    assert_current(&world, "after going back").await;

    // Somebody writes metadata by hand, with a file of his own in it.
    let repomd = "repo/repodata/repomd.xml";
    let mut by_hand = Repomd::read(&world.bytes(repomd).await.unwrap()).unwrap();
    let group = b"<comps/>".as_slice();
    put(world.memory.as_ref(), "repo/repodata/comps.xml", group).await;
    for (kind, href) in [("group", "repodata/comps.xml"), ("odd", "../elsewhere.xml")] {
        by_hand.records.push(Record {
            kind: kind.to_owned(),
            checksum: AnyChecksum::sha256(Sha256::of(group)),
            open_checksum: None,
            base: None,
            href: href.to_owned(),
            timestamp: None,
            size: Some(group.len() as u64),
            open_size: None,
            extra: Vec::new(),
        });
    }
    put(world.memory.as_ref(), repomd, by_hand.write()).await;
    publish(&world, "c").await;
    assert_eq!(hrefs_at(&world, "").await, ["a.rpm", "b.rpm", "c.rpm"]);
    let folder = folder(&world).await;
    assert_eq!(world.bytes(&format!("{folder}repodata/comps.xml")).await.as_deref(), Some(group));
    let in_folder = Repomd::read(&world.bytes(&format!("{folder}repodata/repomd.xml")).await.unwrap()).unwrap();
    assert!(in_folder.record("odd").is_none(), "what no client could reach is not named");
}

/// Requests and bytes of one more package among a thousand.
async fn cost_of_one(policy: Policy) -> yrm::store::counted::Usage {
    let mut world = World::new(policy.clone());
    world.publisher = publisher(&world, policy, &[0]);
    for number in 0..1_000 {
        let mut package = rpm(&format!("package-{number}"), "1.0");
        for file in 0..20 {
            package = package.file(format!("/usr/share/package-{number}/{file:x}/{}", number * 7919 % 1000).as_str());
        }
        world.drop_rpm(&format!("p/package-{number}.rpm"), &package).await;
    }
    assert_eq!(world.run().await.published.len(), 1_000);
    publish(&world, "first").await;
    world.drop_rpm("p/package-500-more.rpm", &rpm("package-500-more", "1.0")).await;
    let report = world.run().await;
    assert_eq!((report.published.len(), report.errors), (1, Vec::new()));
    report.usage
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures belong into the record")]
async fn one_publish_costs_a_dozen_requests_more_and_one_primary() {
    let (flat, with) = (cost_of_one(policy()).await, cost_of_one(mirrored()).await);
    let more = with - flat;
    println!("one package among 1,000, signed: {flat:?}; with mirrorlist {with:?}; more: {more:?}");
    assert!(more.reads <= 6 && more.writes <= 7, "{more:?}");
    assert!(more.bytes_in <= flat.bytes_in && more.bytes_out <= flat.bytes_out, "{more:?}");
}
