//! dnf with a plain `baseurl=` and `repo_gpgcheck=1` through the gateway: whoever gets a repomd.xml gets the signature of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::clients::{Client, Service};
use super::mirrorlist::{Dnf, GENERATIONS, Met, Pair, drop_package, package, publish, publisher, read_pairs, with_key};

/// Readers that cannot be told apart, as many machines behind one address cannot.
const READERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures belong into the record")]
async fn through_a_hundred_generations_the_gateway_has_no_gap() {
    let (folder, key) = with_key();
    let (bucket, public) = (folder.path().join("bucket"), key.public().clone());
    let service = Service::of_gateway(folder.path());
    let base = service.1.clone();
    let publisher = publisher(&bucket, key, &base);
    drop_package(&bucket, 0);
    publish(&publisher).await;

    let (over, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let dnf = Dnf::start(&format!("baseurl={base}"), &format!("{base}/RPM-GPG-KEY-yrm"), &over, &newest);
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(read_pairs(Pair::In(format!("{base}/")), public.clone(), Arc::clone(&over))))
        .collect();
    let began = Instant::now();
    for number in 1..=GENERATIONS {
        drop_package(&bucket, number);
        publish(&publisher).await;
        newest.store(number.saturating_sub(GENERATIONS / 2), Ordering::Relaxed);
    }
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut met = Met::default();
    for reader in readers {
        let one = reader.await.unwrap();
        met.pairs += one.pairs;
        met.apart += one.apart;
        met.generations = met.generations.max(one.generations);
    }
    let (reads, failures) = dnf.join();
    println!(
        "{GENERATIONS} generations in {took:.1?} through the gateway: dnf with baseurl= read {reads} times and failed {} \
         times; of {} pairs {} did not match; {} revisions were seen",
        failures.len(),
        met.pairs,
        met.apart,
        met.generations,
    );
    assert_eq!((failures, met.apart), (Vec::new(), 0));
    assert!(reads >= 4 && met.generations >= 3, "{reads} reads, {met:?}");

    // A reader that has stopped is waited for as one that has its signature to fetch, and a pair is believed for a second.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let client = Client::new(&base, "yrm");
    let (name, _) = package(GENERATIONS);
    let output = client.dnf(&["install", name.trim_end_matches(".noarch.rpm")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
