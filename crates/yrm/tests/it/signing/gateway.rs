//! dnf with a plain `baseurl=` and `repo_gpgcheck=1` through the gateway: whoever gets a repomd.xml gets the signature of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tempfile::TempDir;
use yrm::openpgp::key::SecretKey;

use super::clients::{Client, Service, json};
use super::mirrorlist::{GENERATIONS, Met, Pair, drop_package, package, publish, publisher, read_pairs, read_with_dnf};
use crate::cli::yrm;

/// Readers that cannot be told apart, as many machines behind one address cannot.
const READERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures belong into the record")]
async fn through_a_hundred_generations_the_gateway_has_no_gap() {
    let folder = TempDir::new().unwrap();
    json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
    let key = SecretKey::read(&std::fs::read(folder.path().join("signing.key")).unwrap(), None).unwrap();
    let (bucket, public) = (folder.path().join("bucket"), key.public().clone());
    std::fs::create_dir_all(bucket.join("inbox")).unwrap();
    let service = Service::of_gateway(folder.path());
    let base = service.1.clone();
    let publisher = publisher(&bucket, key, &base);
    drop_package(&bucket, 0);
    publish(&publisher).await;

    let (over, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let dnf: Vec<_> = (0..2)
        .map(|_| {
            let (over, newest) = (Arc::clone(&over), Arc::clone(&newest));
            let (source, key) = (format!("baseurl={base}"), format!("{base}/RPM-GPG-KEY-yrm"));
            std::thread::spawn(move || read_with_dnf(&source, &key, &over, &newest))
        })
        .collect();
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
    let (mut reads, mut failures) = (0, Vec::new());
    for dnf in dnf {
        let (more, failed) = dnf.join().unwrap();
        reads += more;
        failures.extend(failed);
    }
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

    let client = Client::new(&base, "yrm");
    let (name, _) = package(GENERATIONS);
    let output = client.dnf(&["install", name.trim_end_matches(".noarch.rpm")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
