//! A yrm that was built without AWS: whoever asks it for something of AWS is told so, before anything is done.

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;

#[test]
fn what_only_aws_has_is_refused_in_words_and_nothing_is_begun() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("hook-secret"), "of both").unwrap();
    std::fs::create_dir(directory.path().join("b")).unwrap();
    let topic = "arn:aws:sns:eu-central-1:123456789012:yrm";
    for (what, arguments) in [
        ("s3://my-bucket", &["run", "--bucket", "s3://my-bucket"][..]),
        ("s3://my-bucket", &["status", "--bucket", "s3://my-bucket/below"]),
        ("s3://my-bucket", &["doctor", "--bucket", "s3://my-bucket"]),
        ("KMS", &["run", "-b", "./b", "--signing-key", "awskms:alias/yrm"]),
        ("SNS", &["run", "-b", "./b", "--notify-topic", topic]),
        ("SSM", &["run", "-b", "./b", "--datadog-api-key-file", "ssm:/yrm/key"]),
        ("Secrets Manager", &["run", "-b", "./b", "--datadog-api-key-file", "secretsmanager:yrm/key"]),
    ] {
        let output = yrm(directory.path()).args(arguments).args(["--output", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stderr).unwrap();
        let (message, hint) = (told["error"]["message"].as_str().unwrap(), told["error"]["hint"].as_str().unwrap());
        assert!(message.contains(what) && message.ends_with("this yrm was built without AWS"), "{message}");
        assert!(hint.contains("cargo build --release -p yrm"), "{hint}");
        assert!(!directory.path().join("b/repo").exists(), "{arguments:?}");
    }
}
