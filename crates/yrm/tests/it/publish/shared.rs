//! Several instances that share the repositories: no work is done twice, nobody starves, and a lease
//! never matters for what is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use yrm::bucket::report::Report;
use yrm::config::{Policy, Repositories};
use yrm::publish::Publisher;
use yrm::store::fault::{Fate, FaultStore, Turn};
use yrm::store::{Attributes, PutIf, Store};
use yrm::upkeep::lease::LIFETIME;

use super::world::{Call, Effect, World, policy, rpm};

const REPOSITORIES: usize = 12;

fn per_folder() -> Policy {
    Policy { repositories: Repositories::Depth(1), ..policy() }
}

/// One more instance, whose every call takes a moment in which the others act.
fn instance(world: &World) -> Publisher {
    let moment = Duration::from_millis(20);
    let script = move |_: yrm::store::fault::Call<'_>| Turn {
        before: Some(tokio::time::sleep(moment).boxed()),
        ..Turn::default()
    };
    let store = FaultStore::new(Arc::clone(&world.memory) as Arc<dyn Store>, 1, script);
    Publisher::new(Arc::new(store), per_folder()).unwrap().sharing(true)
}

/// One whose calls others meddle with.
fn meddled_with(world: &World) -> Publisher {
    Publisher::new(world.hooked.clone(), per_folder()).unwrap().sharing(true)
}

async fn drop_everywhere(world: &World, name: &str) {
    for repository in 0..REPOSITORIES {
        world.drop_rpm(&format!("r{repository}/{name}.rpm"), &rpm(name, &format!("1.{repository}"))).await;
    }
}

fn leases(world: &World) -> Vec<String> {
    world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/lease/")).collect()
}

async fn hold(world: &World, repository: &str) {
    let key = format!(".yrm/lease/{repository}/lease.json");
    let bytes = Bytes::from_static(b"{\"holder\":\"somebody\"}");
    world.memory.put(&key, bytes, &Attributes::default(), PutIf::Absent).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn instances_share_the_work_and_do_none_of_it_twice() {
    let world = World::new(per_folder());
    drop_everywhere(&world, "tool").await;
    let (one, two, three) = (instance(&world), instance(&world), instance(&world));
    let reports: [Report; 3] = tokio::join!(world.run_by(&one), world.run_by(&two), world.run_by(&three)).into();

    let published: usize = reports.iter().map(|report| report.published.len()).sum();
    assert_eq!(published, REPOSITORIES, "each package by one of them");
    for report in &reports {
        assert_eq!((report.errors.as_slice(), report.waiting.as_slice()), ([].as_slice(), [].as_slice()));
        assert!(report.published.iter().all(|published| !published.already_there), "{:?}", report.published);
        assert!(report.repositories.iter().all(|repository| repository.attempts == 1), "{:?}", report.repositories);
    }
    assert_eq!((world.inbox(), leases(&world)), (vec![], vec![]));
    for repository in 0..REPOSITORIES {
        assert_eq!(world.hrefs(&format!("r{repository}/")).await, ["tool.rpm"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_instance_holds_waits_and_the_rest_does_not() {
    let world = World::new(per_folder());
    drop_everywhere(&world, "tool").await;
    hold(&world, "r3").await;
    let report = world.run_by(&instance(&world)).await;
    assert_eq!(report.published.len(), REPOSITORIES - 1);
    assert_eq!(report.skipped_keys, ["inbox/r3/tool.rpm"]);
    assert_eq!(report.waiting[0].reason, "another instance is publishing in r3");
}

#[tokio::test(start_paused = true)]
async fn a_dead_holders_lease_is_over_after_its_lifetime() {
    let world = World::new(per_folder());
    hold(&world, "r3").await;
    world.drop_rpm("r3/tool.rpm", &rpm("tool", "1")).await;
    let publisher = instance(&world);
    assert_eq!(world.run_by(&publisher).await.published.len(), 0);
    tokio::time::sleep(LIFETIME).await;
    assert_eq!(world.run_by(&publisher).await.published.len(), 1);
    assert_eq!(leases(&world), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_keeps_its_lease() {
    let world = World::new(per_folder());
    hold(&world, "r3").await;
    world.drop_rpm("r3/tool.rpm", &rpm("tool", "1")).await;
    let publisher = instance(&world);
    for renewal in 0..5 {
        assert_eq!(world.run_by(&publisher).await.published.len(), 0, "renewal {renewal}");
        let key = ".yrm/lease/r3/lease.json";
        let there = world.memory.head(key).await.unwrap().unwrap();
        let bytes = Bytes::from(format!("{{\"holder\":\"somebody\",\"renewals\":{renewal}}}"));
        world.memory.put(key, bytes, &Attributes::default(), PutIf::Matches(there.etag)).await.unwrap();
        tokio::time::sleep(LIFETIME / 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_run_renews_its_lease_and_gives_it_back() {
    let world = World::new(per_folder());
    // The copy takes longer than two leases would hold.
    let renewed = Box::new(|memory: Arc<yrm::store::memory::MemoryStore>| {
        async move {
            let mut seen = Vec::new();
            for _ in 0..7 {
                tokio::time::sleep(LIFETIME / 3).await;
                seen.push(memory.head(".yrm/lease/r0/lease.json").await.unwrap().expect("it is held").etag);
            }
            seen.dedup();
            assert!(seen.len() >= 6, "renewed all the time: {seen:?}");
        }
        .boxed()
    });
    world.hooked.at(Call::Copy, "r0/", Effect::Before(renewed));
    world.drop_rpm("r0/tool.rpm", &rpm("tool", "1")).await;
    assert_eq!(world.run_by(&meddled_with(&world)).await.published.len(), 1);
    assert!(world.hooked.all_happened());
    assert_eq!(leases(&world), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_does_not_hold_up_the_work() {
    let world = World::new(per_folder());
    // The first put lasts the lease; the others would renew it.
    let taken = AtomicBool::new(false);
    let script = move |call: yrm::store::fault::Call<'_>| {
        let lasts = match call.verb {
            Call::Copy => 2 * LIFETIME,
            Call::Put if call.key.starts_with(".yrm/lease/") && taken.swap(true, Ordering::Relaxed) => {
                Duration::from_hours(1)
            }
            _ => Duration::ZERO,
        };
        Turn { before: Some(tokio::time::sleep(lasts).boxed()), ..Turn::default() }
    };
    let store = FaultStore::new(Arc::clone(&world.memory) as Arc<dyn Store>, 1, script);
    let publisher = Publisher::new(Arc::new(store), per_folder()).unwrap().sharing(true);
    world.drop_rpm("r0/tool.rpm", &rpm("tool", "1")).await;
    let began = tokio::time::Instant::now();
    assert_eq!(world.run_by(&publisher).await.published.len(), 1);
    assert!(began.elapsed() < 3 * LIFETIME, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_lease_goes_on() {
    let world = World::new(per_folder());
    let lose = Box::new(|memory: Arc<yrm::store::memory::MemoryStore>| {
        async move {
            let lease = memory.head(".yrm/lease/r0/lease.json").await.unwrap().unwrap();
            memory.delete(&lease.key, &lease.etag).await.unwrap();
            tokio::time::sleep(2 * LIFETIME).await;
        }
        .boxed()
    });
    world.hooked.at(Call::Copy, "r0/", Effect::Before(lose));
    world.drop_rpm("r0/tool.rpm", &rpm("tool", "1")).await;
    assert_eq!(world.run_by(&meddled_with(&world)).await.published.len(), 1);
    assert!(world.hooked.all_happened());
}

#[tokio::test(start_paused = true)]
async fn leases_that_the_store_refuses_keep_nobody_from_publishing() {
    let world = World::new(per_folder());
    let refuse = |call: yrm::store::fault::Call<'_>| {
        let fate = if call.key.starts_with(".yrm/lease/") { Fate::Refused } else { Fate::Goes };
        Turn::from(fate)
    };
    let store = FaultStore::new(Arc::clone(&world.memory) as Arc<dyn Store>, 1, refuse);
    let publisher = Publisher::new(Arc::new(store), per_folder()).unwrap().sharing(true);
    world.drop_rpm("r0/tool.rpm", &rpm("tool", "1")).await;
    let report = world.run_by(&publisher).await;
    assert_eq!((report.published.len(), report.errors), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_of_a_sharing_instance_asks_for_the_inbox_alone() {
    let world = World::new(per_folder());
    let publisher = instance(&world);
    world.drop_rpm("r0/tool.rpm", &rpm("tool", "1")).await;
    world.run_by(&publisher).await;
    let usage = world.run_by(&publisher).await.usage;
    assert_eq!((usage.reads, usage.writes), (1, 0));
}
