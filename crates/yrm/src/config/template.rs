//! The commented file that `config init` writes.

use super::settings::{Kind, SETTINGS};

/// Every setting, its help and its default.
pub fn template(bucket: Option<&str>) -> String {
    let mut lines = vec![
        "# yrm.toml - settings of yrm, the YUM Repo Manager.".to_owned(),
        "# Variables (YRM_...) win over this file, flags win over both. `yrm config show` tells what holds and why."
            .to_owned(),
        "# A line such as #name = ... holds the built-in default or an example; take the # away to change it."
            .to_owned(),
        "# Paths are relative to the folder of this file.".to_owned(),
    ];
    for setting in SETTINGS {
        let chosen = bucket.filter(|_| setting.name == "bucket");
        let value = chosen.unwrap_or_else(|| setting.default.unwrap_or_else(|| example(setting.name)));
        let quoted = match setting.kind {
            Kind::Number | Kind::Switch => value.to_owned(),
            Kind::Text | Kind::Secret => toml::Value::String(value.to_owned()).to_string(),
        };
        let mark = if chosen.is_some() { "" } else { "#" };
        lines.extend([String::new(), format!("# {}", setting.help), format!("{mark}{} = {quoted}", setting.name)]);
    }
    lines.extend(RULE_TEMPLATE.map(str::to_owned));
    lines.join("\n") + "\n"
}

/// Tables stand after all settings.
const RULE_TEMPLATE: [&str; 10] = [
    "",
    "# Rules for some folders, after all settings; the first that fits holds. All but `folder` may be left out.",
    "#[[rule]]",
    "#folder = \"el9/*\"",
    "#names = [\"myteam-*\"]",
    "#signatures = \"require\"",
    "#sign-packages = \"missing\"",
    "#mirrorlist = true",
    "# Fingerprints of keys in the keyring.",
    "#keys = [\"0123456789ABCDEF0123456789ABCDEF01234567\"]",
];

/// What a setting without a default may look like.
fn example(name: &str) -> &'static str {
    match name {
        "bucket" => "s3://my-bucket",
        "region" => "eu-central-1",
        "endpoint" => "http://127.0.0.1:9000",
        "profile" => "default",
        "ca-bundle" => "/etc/yrm/authorities.pem",
        "sse" => "aws:kms",
        "sse-kms-key" => "alias/my-bucket",
        "sse-bucket-key" => "true",
        "acl" => "bucket-owner-full-control",
        "storage-class" => "packages:INTELLIGENT_TIERING,quarantine:GLACIER_IR",
        "tags" => "all:team=platform",
        "log-file" => "/var/log/yrm.log",
        "keep-at-least" => "10",
        "keyring" => "/etc/yrm/keys",
        "public-url" => "https://packages.example.org/repo",
        "queue" => "https://sqs.eu-central-1.amazonaws.com/123456789012/my-bucket-inbox",
        "prune-age-days" => "60",
        "datadog-api-key-file" => "/etc/yrm/datadog-api-key",
        "datadog-app-key-file" => "/etc/yrm/datadog-app-key",
        "signing-key" => "/etc/yrm/signing.key",
        "signing-passphrase-file" => "/etc/yrm/signing-passphrase",
        "key-name" => "my-bucket",
        "dogstatsd" => "127.0.0.1:8125",
        "release-key" => "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0K...",
        "notify-topic" => "arn:aws:sns:eu-central-1:123456789012:my-bucket",
        "notify-webhook-file" => "/etc/yrm/notify-webhook",
        "notify-secret-file" => "/etc/yrm/notify-secret",
        _ => "",
    }
}
