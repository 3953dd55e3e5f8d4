//! The signatures are what S3 reckons: botocore, which has another implementation, comes to the same.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::machine::{Machine, SECRET, TOKEN, keys, made_for_tests};
use crate::requests::ask;

const KEYS: usize = 250;
/// What clients and stores have spelled wrong before, and letters of one to four bytes.
const ODD: &str = "+~^% &=?#;,:@!$'()*[]{}|<>\"`._-aZ09é€𝄞";
/// How each address begins, and the region: a host of its own, and names that stand in the path.
const BUCKETS: [(&str, &str, &str, &str); 3] = [
    ("virtual-bucket", "eu-west-1", "https://virtual-bucket.s3.eu-west-1.amazonaws.com/", ""),
    ("dotted.bucket", "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn/dotted.bucket/", "dotted.bucket/"),
    ("alias-s3alias", "us-gov-west-1", "https://alias-s3alias.s3.us-gov-west-1.amazonaws.com/", ""),
];

fn key(random: &mut StdRng) -> String {
    let letters: Vec<char> = ODD.chars().collect();
    let segments = random.random_range(1..5);
    let segment = |random: &mut StdRng| -> String {
        let length = random.random_range(1..20);
        let segment: String = (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect();
        if matches!(segment.as_str(), "." | "..") { "dots".to_owned() } else { segment }
    };
    (0..segments).map(|_| segment(random)).collect::<Vec<_>>().join("/")
}

/// Some bytes as they are where a request's line may have them, the others encoded.
fn spelled(key: &str, random: &mut StdRng) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+~^&=;,:@!$'()*._-".contains(&byte);
    key.bytes()
        .map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte if is_plain(byte) && random.random_bool(0.7) => char::from(byte).to_string(),
            byte if random.random_bool(0.5) => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn another_implementation_comes_to_the_same_signatures() {
    let mut random = StdRng::seed_from_u64(15);
    let with_token = Machine::with_keys();
    let without = Machine::new().knows(keys().into_iter().take(2));
    for (machine, token) in [(with_token, Some(TOKEN)), (without, None)] {
        let buckets: Vec<String> =
            BUCKETS.iter().map(|(name, region, ..)| format!("s3://{name}?region={region}")).collect();
        let service = machine.serve(&["--bucket", &buckets.join(",")]);
        let mut cases = Vec::new();
        for _ in 0..KEYS {
            let key = key(&mut random);
            let (bucket, region, begins, prefix) = BUCKETS[random.random_range(0..BUCKETS.len())];
            for method in ["GET", "HEAD"] {
                let reply = ask(&service, method, &format!("/{bucket}/{}", spelled(&key, &mut random)));
                assert_eq!(reply.status, 302, "{key}: {reply:?}");
                let address = reply.location().to_owned();
                assert!(address.starts_with(begins), "{address}");
                cases.push(
                    json!({ "method": method, "key": key, "region": region, "prefix": prefix, "address": address }),
                );
            }
        }
        let given = json!({ "access_key": "AKIAENVIRONMENT", "secret": SECRET, "token": token, "cases": cases });
        let found = reckoned_anew(&given);
        assert_eq!(found, json!({ "checked": 2 * KEYS, "wrong": [] }));
    }
}

fn reckoned_anew(given: &Value) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/signatures.py");
    let mut python = Command::new(made_for_tests("venv/bin/python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
