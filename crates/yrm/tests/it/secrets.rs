//! Secrets in Parameter Store and Secrets Manager: fetched at the start, told to nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::cli::yrm;
use super::publish::world::rpm;
use super::s3_server::server;
use super::service::drop_file;

/// More requests than any of these tests makes.
const FOR_LONG: u32 = 1_000_000;
/// What must be seen nowhere.
const SECRET: &str = "hunter2hunter2";

/// A parameter with a name of its own.
async fn parameter(value: &str) -> String {
    let name = format!("/yrm/{:016x}", rand::random::<u64>());
    let input = json!({"Name": name, "Value": value, "Type": "SecureString"});
    server().ask("ssm", "AmazonSSM.PutParameter", &input).await;
    name
}

/// A secret with a name of its own; its name and its ARN.
async fn secret(value: &str) -> (String, String) {
    let name = format!("yrm/{:016x}", rand::random::<u64>());
    let input = json!({"Name": name, "SecretString": value});
    let made = server().ask("secretsmanager", "secretsmanager.CreateSecret", &input).await;
    (name, made["ARN"].as_str().unwrap().to_owned())
}

/// `yrm` on `./b`, with everything logged.
fn command(folder: &TempDir, verb: &[&str]) -> Command {
    let mut command = yrm(folder.path());
    command.envs(server().environment()).env("YRM_BUCKET", "./b").env("YRM_LOG", "trace").args(verb);
    command
}

/// Exit code and everything it said, in which the secret is not.
fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains(SECRET), "{command:?} told the secret: {said}");
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn datadogs_key_comes_from_where_it_is_kept_and_goes_to_datadog_alone() {
    let (name, arn) = secret(&json!({"datadog": {"nested": 1}, "api key": SECRET}).to_string()).await;
    let (plain, _) = secret(&format!("{SECRET}\n")).await;
    let parameter = parameter(SECRET).await;
    for place in [
        format!("ssm:{parameter}"),
        format!("ssm:arn:aws:ssm:us-east-1:123456789012:parameter{parameter}"),
        format!("secretsmanager:{plain}"),
        format!("secretsmanager:{name}#api key"),
        format!("secretsmanager:{arn}#api key"),
    ] {
        let folder = TempDir::new().unwrap();
        drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
        let datadog = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = format!("http://{}", datadog.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut connection, _) = datadog.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).unwrap();
            connection.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).to_lowercase()
        });
        let mut run = command(&folder, &["run", "--datadog-site", &site]);
        let (code, said) = outcome(run.env("YRM_DATADOG_API_KEY_FILE", &place));
        assert_eq!(code, Some(0), "{place}: {said}");
        let request = answering.join().unwrap();
        assert!(request.contains(&format!("dd-api-key: {SECRET}")), "{place}: {request}");

        let (code, said) = outcome(command(&folder, &["config", "show"]).env("YRM_DATADOG_API_KEY_FILE", &place));
        assert_eq!(code, Some(0));
        assert!(said.contains(&place) && said.contains("YRM_DATADOG_API_KEY_FILE"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_are_unlocked_with_a_passphrase_that_aws_keeps() {
    let folder = TempDir::new().unwrap();
    drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
    std::fs::write(folder.path().join("passphrase"), SECRET).unwrap();
    let generate = ["key", "generate", "--algorithm", "ed25519", "--out", "key", "--passphrase-file", "passphrase"];
    assert_eq!(outcome(&mut command(&folder, &generate)).0, Some(0));
    let (right, wrong) = (parameter(SECRET).await, parameter("open barley").await);
    let (field, _) = secret(&json!({"passphrase": SECRET}).to_string()).await;
    let unlocking = |verb: &[&str], place: &str| {
        let mut command = command(&folder, verb);
        outcome(command.env("YRM_SIGNING_KEY", "key").env("YRM_SIGNING_PASSPHRASE_FILE", place))
    };
    let (code, said) = unlocking(&["run"], &format!("ssm:{wrong}"));
    assert!(code == Some(2) && said.contains("can be unlocked") && !said.contains("barley"), "{said}");
    assert!(!folder.path().join("b/repo").exists());
    assert_eq!(unlocking(&["run"], &format!("ssm:{right}")).0, Some(0));
    let (code, said) = unlocking(&["key", "verify"], &format!("secretsmanager:{field}#passphrase"));
    assert!(code == Some(0) && said.contains("signed by"), "{said}");
    // The next key is locked with the same.
    let (code, _) = unlocking(&["key", "rotate", "--algorithm", "ed25519", "--out", "next"], &format!("ssm:{right}"));
    assert_eq!(code, Some(0));
    let both = format!("{0}/key,{0}/next", folder.path().display());
    let mut check = command(&folder, &["config", "check"]);
    check.env("YRM_SIGNING_KEY", &both).env("YRM_SIGNING_PASSPHRASE_FILE", format!("ssm:{right}"));
    assert_eq!(outcome(&mut check).0, Some(0));
}

/// Where a secret is, the exit code, and what is said.
type Case = (String, i32, &'static str);

async fn unusable() -> Vec<Case> {
    let long = parameter(&SECRET.repeat(300)).await;
    let lines = parameter(&format!("{SECRET}\n{SECRET}")).await;
    let steers = parameter(&format!("{SECRET}\u{1b}[2J")).await;
    let words = parameter(&format!("{SECRET} {SECRET}")).await;
    let denied = parameter(SECRET).await;
    let away = parameter(SECRET).await;
    let (object, _) = secret(&json!({"key": SECRET, "port": 5, "empty": ""}).to_string()).await;
    let (text, _) = secret(SECRET).await;
    let (denied_secret, _) = secret(SECRET).await;
    let binary = format!("yrm/{:016x}", rand::random::<u64>());
    let input = json!({"Name": binary, "SecretBinary": "b3BlbiBzZXNhbWU="});
    server().ask("secretsmanager", "secretsmanager.CreateSecret", &input).await;
    server().ask("ssm", "AmazonSSM.GetParameter", &json!({"Name": denied})).await;
    server().break_next("403", &format!("^GetParameter {denied}"), FOR_LONG).await;
    server().break_next("500", &format!("^GetParameter {away}"), FOR_LONG).await;
    server().break_next("403", &format!("^GetSecretValue {denied_secret}"), FOR_LONG).await;
    let (of, from) = (|name: &str| format!("ssm:{name}"), |name: &str| format!("secretsmanager:{name}"));
    vec![
        (of("/there/is/none"), 2, "there is no such parameter in this region and account"),
        (from("there/is/none"), 2, "there is no such secret in this region and account"),
        (of(&denied), 5, "allow ssm:GetParameter on it"),
        (from(&denied_secret), 5, "allow secretsmanager:GetSecretValue on it"),
        (of(&away), 3, "InternalError"),
        (of(&long), 2, "it is over 4096 bytes"),
        (of(&lines), 2, "it holds control characters, or more than one line"),
        (of(&steers), 2, "it holds control characters"),
        (of(&words), 2, "this is not a key: one word of ASCII"),
        (from(&object), 2, "it is JSON with fields, and none of them is named"),
        (from(&format!("{object}#other")), 2, "it has no such field"),
        (from(&format!("{object}#port")), 2, "that field is no text"),
        (from(&format!("{object}#empty")), 2, "it is empty"),
        (from(&format!("{text}#key")), 2, "it is no JSON with fields"),
        (from(&binary), 2, "it is not text"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_named_with_what_is_missing_and_never_repeated() {
    let folder = TempDir::new().unwrap();
    drop_file(folder.path(), "a.rpm", &rpm("a", "1").build());
    for (place, expected, why) in unusable().await {
        for verb in [&["config", "check"][..], &["run"]] {
            let (code, said) = outcome(command(&folder, verb).env("YRM_DATADOG_API_KEY_FILE", &place));
            assert_eq!(code, Some(expected), "{place}: {said}");
            assert!(said.contains(&format!("reading {place}")) && said.contains(why), "{place}: {why}: {said}");
        }
    }
    assert!(!folder.path().join("b/repo").exists(), "nothing is done without the secret");
    // Who needs no secret fetches none.
    let (code, said) = outcome(command(&folder, &["status"]).env("YRM_DATADOG_API_KEY_FILE", "ssm:/there/is/none"));
    assert_eq!(code, Some(0), "{said}");
    for wrong in ["ssm:", "ssm:a b", "secretsmanager:x#"] {
        let (code, said) = outcome(command(&folder, &["status"]).env("YRM_DATADOG_API_KEY_FILE", wrong));
        assert!(code == Some(2) && said.contains("datadog-api-key-file (YRM_DATADOG_API_KEY_FILE)"), "{said}");
    }
}
