//! Taking over metadata that somebody else wrote: what it says is believed, in whatever order it
//! says it, and read piece by piece.

use rpmmd::checksum::Sha256;
use rpmmd::compress::decompress;
use rpmmd::repodata::Document;
use rpmmd::repomd::{AnyChecksum, Repomd};
use yrm::publish::Publisher;
use yrm::store::cache::Cache;

use super::world::{World, policy, put, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";
const PACKAGES: usize = 12;

/// How one of the three documents is changed: its packages' elements.
type Change = fn(&mut Packages);

/// The elements of one document.
type Packages = Vec<String>;

fn unchanged(_: &mut Packages) {}
fn reversed(packages: &mut Packages) {
    packages.reverse();
}
fn mixed(packages: &mut Packages) {
    packages.rotate_left(5);
    packages.swap(1, 4);
}

/// A repository whose metadata something else wrote: the packages' summaries tell it from the
/// headers' own.
async fn foreign(changes: [Change; 3]) -> World {
    let mut world = World::new(policy());
    for number in 0..PACKAGES {
        let package = rpm(&format!("p{number}"), "1").file(format!("/usr/bin/p{number}").as_str());
        world
            .drop_rpm(&format!("{}/p{number}.rpm", number % 5), &package.changelog(1, "a", format!("c{number}")))
            .await;
    }
    world.run().await;
    let mut repomd = Repomd::read(&world.bytes(REPOMD).await.unwrap()).unwrap();
    for (document, change) in Document::ALL.into_iter().zip(changes) {
        let record = repomd.records.iter_mut().find(|record| record.kind == document.name()).unwrap();
        let file = world.bytes(&format!("repo/{}", record.href)).await.unwrap();
        let text = String::from_utf8(decompress(&file, 1 << 20).unwrap().into_owned()).unwrap();
        let text = text.replace("The p", "Described as p");
        let (head, rest) = text.split_once("<package ").unwrap();
        let head = head.lines().filter(|line| !line.contains("generation")).collect::<Vec<_>>().join("\n");
        let (packages, foot) = rest.rsplit_once("</package>").unwrap();
        let mut packages: Vec<String> = packages.split("</package>\n<package ").map(str::to_owned).collect();
        assert_eq!(packages.len(), PACKAGES);
        change(&mut packages);
        let packages = packages.join("</package>\n<package ");
        let text = format!("{head}<package {packages}</package>\n{foot}");
        record.href = format!("repodata/{}.xml", document.name());
        record.checksum = AnyChecksum::sha256(Sha256::of(text.as_bytes()));
        record.size = Some(text.len() as u64);
        put(world.memory.as_ref(), &format!("repo/{}", record.href), text).await;
    }
    put(world.memory.as_ref(), REPOMD, repomd.write()).await;
    for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        world.remove(key).await;
    }
    world.restart();
    world
}

/// Publishes one package more, and looks whether the metadata's word was taken for the others.
async fn assert_believed(world: &World, publisher: &Publisher, believed: usize) {
    world.drop_rpm("q.rpm", &rpm("q", "1")).await;
    let report = world.run_by(publisher).await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert!(report.repositories[0].adopted);
    let packages = world.packages("").await;
    assert_eq!(packages.len(), PACKAGES + 1);
    assert!(packages.is_sorted_by_key(|package| package.href.clone()));
    let described = packages.iter().filter(|package| package.summary.starts_with("Described as")).count();
    assert_eq!(described, believed);
    for package in packages.iter().filter(|package| package.nevra.name != "q") {
        let number = &package.nevra.name[1..];
        assert_eq!(
            (&*package.files[0].base, &*package.changelogs[0].text),
            (&*package.nevra.name, &*format!("c{number}"))
        );
    }
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn documents_in_different_orders_are_believed() {
    let orders: [[Change; 3]; 4] = [
        [unchanged, unchanged, unchanged],
        [reversed, unchanged, mixed],
        [mixed, reversed, unchanged],
        [unchanged, mixed, reversed],
    ];
    for order in orders {
        let world = foreign(order).await;
        assert_believed(&world, &world.publisher, PACKAGES).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_there_too_often_is_passed_over() {
    let twice: Change = |packages| packages.extend_from_within(3..6);
    for changes in [[unchanged, twice, unchanged], [twice, twice, twice], [reversed, unchanged, twice]] {
        let world = foreign(changes).await;
        assert_believed(&world, &world.publisher, PACKAGES).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_document_lacks_a_package_or_breaks_off_the_headers_are_read() {
    let lacking: Change = |packages| drop(packages.remove(7));
    let broken: Change = |packages| packages[PACKAGES - 1].push_str("<file>");
    for changes in [[unchanged, lacking, unchanged], [mixed, unchanged, lacking], [unchanged, unchanged, broken]] {
        let world = foreign(changes).await;
        assert_believed(&world, &world.publisher, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_of_another_size_than_described_is_read_again() {
    let world = foreign([unchanged; 3]).await;
    let key = "repo/3/p3.rpm";
    let longer = rpm("p3", "1").file("/usr/bin/p3").description("more of it").changelog(1, "a", "c3");
    put(world.memory.as_ref(), key, longer.build()).await;
    assert_believed(&world, &world.publisher, PACKAGES - 1).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_under_another_checksum_than_sha256_is_believed() {
    let world = foreign([unchanged; 3]).await;
    let mut repomd = Repomd::read(&world.bytes(REPOMD).await.unwrap()).unwrap();
    for record in &mut repomd.records {
        record.checksum = AnyChecksum { kind: "sha512".to_owned(), hex: "00".repeat(64) };
    }
    put(world.memory.as_ref(), REPOMD, repomd.write()).await;
    assert_believed(&world, &world.publisher, PACKAGES).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_is_read_in_ranges_and_no_header_that_it_explains() {
    let world = foreign([reversed, mixed, unchanged]).await;
    let folder = tempfile::tempdir().unwrap();
    let publisher = Publisher::new(world.hooked.clone(), policy()).unwrap();
    let publisher = publisher.with_cache(Cache::open(&[folder.path().to_owned()], 1 << 20));
    world.drop_rpm("q.rpm", &rpm("q", "1")).await;
    let before = world.hooked.gets().len();
    assert!(world.run_by(&publisher).await.repositories[0].adopted);
    let gets = world.hooked.gets().split_off(before);
    let of =
        |what: &str| gets.iter().filter(|(key, _)| key.contains(what)).map(|(_, ranged)| *ranged).collect::<Vec<_>>();
    for document in Document::ALL {
        assert_eq!(of(&format!("repodata/{}.xml", document.name())), [true], "{}", document.name());
    }
    assert_eq!(of(".rpm"), [true], "of all packages only the new one is looked at");
    assert_eq!(world.packages("").await.len(), PACKAGES + 1);
}
