//! `NAME.repo` beside what it names.

use yrm::config::{Mirrors, Policy, Repositories};
use yrm::publish::RunId;
use yrm::store::key::RepositoryDir;
use yrm::store::{Attributes, PutIf, Store as _};

use super::signed::signer;
use super::world::{World, policy, rpm};

const FILE: &str = "repo/el9/x86_64/ours.repo";

fn with_urls(urls: &[&str]) -> Policy {
    let public_urls = urls.iter().map(|&url| url.to_owned()).collect();
    let mirrors = Mirrors { on: false, public_urls, name: Some("ours".to_owned()) };
    Policy { repositories: Repositories::Depth(2), mirrors, allow_shrink: true, ..policy() }
}

fn run_id(world: &World) -> RunId {
    RunId { id: ulid::Ulid::new(), started: world.now() }
}

async fn text(world: &World) -> Option<String> {
    Some(String::from_utf8(world.bytes(FILE).await?.to_vec()).unwrap())
}

async fn published(policy: Policy) -> World {
    let world = World::new(policy);
    world.drop_rpm("el9/x86_64/a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world
}

#[tokio::test]
async fn the_file_for_clients_follows_the_settings() {
    let world = published(with_urls(&["https://a.example/repo", "https://b.example/c/repo/"])).await;
    let expected = "[ours-el9-x86_64]\nname=ours-el9-x86_64\nbaseurl=https://a.example/repo/el9/x86_64\n  \
                    https://b.example/c/repo/el9/x86_64\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=0\n";
    let (first, rest) =
        text(&world).await.unwrap().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(first.starts_with("# yrm writes"), "{first}");
    assert_eq!(rest, expected);

    // Another address, and a key: the first run of a process that goes by them writes it anew.
    let mut mirrored = with_urls(&["https://a.example/repo"]);
    mirrored.mirrors.on = true;
    let signing = world.another_by(mirrored).with_signer(Some(signer(&[0])));
    world.drop_rpm("el9/x86_64/b.rpm", &rpm("b", "1")).await;
    world.run_by(&signing).await;
    let after = text(&world).await.unwrap();
    let name = "gpgkey=https://a.example/repo/RPM-GPG-KEY-";
    assert!(after.contains("\nmirrorlist=https://a.example/repo/el9/x86_64/mirrorlist\n"), "{after}");
    assert!(after.contains("\nrepo_gpgcheck=1\n") && after.contains(name), "{after}");
}

#[tokio::test]
async fn the_file_for_clients_goes_with_its_repository_and_another_s_stays() {
    let world = published(with_urls(&["https://a.example/repo"])).await;
    assert!(text(&world).await.is_some());
    world.publisher.delete(&RepositoryDir::new("el9/x86_64"), run_id(&world)).await.unwrap();
    assert_eq!(text(&world).await, None);

    let world = World::new(with_urls(&["https://a.example/repo"]));
    world.memory.put(FILE, "[mine]\n".into(), &Attributes::default(), PutIf::Always).await.unwrap();
    world.drop_rpm("el9/x86_64/a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert_eq!((report.published.len(), report.errors), (1, Vec::new()));
    world.publisher.delete(&RepositoryDir::new("el9/x86_64"), run_id(&world)).await.unwrap();
    assert_eq!(text(&world).await.as_deref(), Some("[mine]\n"));
}
