//! The table of settings: one name each, spelt the same in `yrm.toml` (`time-interval`), in the
//! environment (`YRM_TIME_INTERVAL`) and on the command line (`--time-interval`).
//!
//! File keys, variables, flags, `config init`, `config show` and docs/reference/settings.md all come from
//! here; what a value means is decided in `meaning`.

pub use super::setting::{Group, Kind, Scope, Setting};

/// Every setting, in the order people read them.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "bucket",
        Group::Bucket,
        "URL",
        "The bucket: s3://name[/prefix], an access point's ARN, a directory (./dir, /dir, file:///dir), or a bare name for S3.",
    )
    .short('b')
    .aliases(&["bucket-name"]),
    Setting::new("region", Group::Bucket, "REGION", "AWS region. Unset, the AWS SDK's own chain decides.")
        .aliases(&["bucket-region"]),
    Setting::new(
        "endpoint",
        Group::Bucket,
        "URL",
        "Another S3 endpoint than AWS's. Unset, AWS_ENDPOINT_URL and the AWS profile decide.",
    ),
    Setting::new("profile", Group::Bucket, "NAME", "Named profile of the AWS configuration files."),
    Setting::new(
        "path-style",
        Group::Bucket,
        "BOOL",
        "Address objects as endpoint/bucket/key, as most servers other than AWS want.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new(
        "ca-bundle",
        Group::Bucket,
        "FILE",
        "Trust the certificate authorities in this PEM file too, beside those of the machine. Unset, ca_bundle of \
         the AWS profile.",
    )
    .also("AWS_CA_BUNDLE"),
    Setting::new(
        "requester-pays",
        Group::Bucket,
        "BOOL",
        "Agree to pay for requests, as a requester-pays bucket wants.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new(
        "sse",
        Group::Bucket,
        "AES256|aws:kms|aws:kms:dsse",
        "How S3 encrypts objects that yrm writes. Unset, as the bucket does by default.",
    ),
    Setting::new(
        "sse-kms-key",
        Group::Bucket,
        "KEY",
        "The KMS key for sse: its id, its ARN, or alias/NAME. Unset, the account's own for S3.",
    ),
    Setting::new(
        "sse-bucket-key",
        Group::Bucket,
        "BOOL",
        "Whether S3 asks KMS once in a while for the whole bucket instead of for each object.",
    )
    .kind(Kind::Switch),
    Setting::new(
        "acl",
        Group::Bucket,
        "ACL",
        "The ACL of objects that yrm writes: bucket-owner-full-control, for a bucket of another account.",
    ),
    Setting::new(
        "storage-class",
        Group::Bucket,
        "CLASS:STORAGE_CLASS,…",
        "The storage class of objects that yrm writes, for packages, metadata, quarantine, state or all.",
    ),
    Setting::new(
        "tags",
        Group::Bucket,
        "CLASS:KEY=VALUE,…",
        "The tags of objects that yrm writes, for packages, metadata, quarantine, state or all.",
    ),
    Setting::new("inbox", Group::Bucket, "FOLDER", "The folder that uploaders put packages into.")
    .of_the_bucket()
        .default("inbox")
        .short('i')
        .aliases(&["inbox-folder-name"]),
    Setting::new("repo", Group::Bucket, "FOLDER", "The folder that clients install from; . for the root of the bucket or prefix.")
    .of_the_bucket()
        .default("repo")
        .short('r')
        .aliases(&["repo-folder-name"]),
    Setting::new(
        "log-file",
        Group::Bucket,
        "FILE",
        "Append the log to this file as well as writing it to stderr.",
    ),
    Setting::new("log-format", Group::Bucket, "human|json", "The format of log lines.").default("human"),
    Setting::new(
        "repositories",
        Group::Repositories,
        "single|per-folder|depth=N|auto|GLOB,…",
        "Which folders are repositories: one for everything, every first-level folder, every folder N levels down, \
         or every folder that a glob matches (el9/*). auto is what the bucket says, or, before its first change, where \
         repodata/ lies, and per-folder where it lies nowhere.",
    )
    .of_the_bucket()
    .default("single"),
    Setting::new("compression", Group::Publish, "gz|zstd", "How metadata is compressed: every client reads gz.")
    .of_the_bucket()
        .default("gz"),
    Setting::new(
        "keep-at-least",
        Group::Publish,
        "N",
        "Prune old versions, but keep at least the N newest of each name and architecture \
         (10 when only prune-age-days is given).",
    )
    .of_the_bucket()
    .kind(Kind::Number),
    Setting::new(
        "prune-age-days",
        Group::Publish,
        "DAYS",
        "Prune versions that were first published more than this many days ago, except the newest \
         (60 when only keep-at-least is given).",
    )
    .of_the_bucket()
    .kind(Kind::Number)
    .aliases(&["pruneAgeDays"]),
    Setting::new(
        "grace",
        Group::Publish,
        "DURATION",
        "How long clients can still fetch a file after the metadata stopped naming it. dnf caches metadata for 48h.",
    )
    .of_the_bucket()
    .default("72h"),
    Setting::new("max-package-size", Group::Publish, "SIZE", "Reject packages that are larger.").default("20GiB"),
    Setting::new("concurrency", Group::Publish, "N", "The most calls to the store at once, for all repositories together.").kind(Kind::Number).default("32"),
    Setting::new(
        "single-writer",
        Group::Publish,
        "BOOL",
        "Use a store that does not support conditional writes: you promise that there is no other writer.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new(
        "allow-shrink",
        Group::Publish,
        "BOOL",
        "Let one commit remove more than a fifth of a repository's packages.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new(
        "on-conflict",
        Group::Publish,
        "reject|replace",
        "When a package's path or name is already published with other bytes: reject the new package (quarantine), or \
         publish it under another path and take the old one out of the metadata.",
    )
    .of_the_bucket()
    .default("reject"),
    Setting::new(
        "signatures",
        Group::Publish,
        "off|warn|require",
        "Packages without a valid signature of the keyring: publish them, publish them with a warning, or reject them \
         (quarantine). Rules in yrm.toml can differ by folder.",
    )
    .of_the_bucket()
    .default("off"),
    Setting::new(
        "keyring",
        Group::Publish,
        "PLACE,…",
        "The public keys that may sign packages: files, folders of files, or bucket:FOLDER for a folder of the bucket \
         that only administrators may write to.",
    )
    .places(),
    Setting::new(
        "sign-packages",
        Group::Publish,
        "off|missing|always",
        "Sign packages with the first signing key before publishing: never, those without a valid signature, or all that \
         it has not signed. Rules in yrm.toml can differ by folder.",
    )
    .of_the_bucket()
    .default("off"),
    Setting::new(
        "mirrorlist",
        Group::Publish,
        "BOOL",
        "Also publish every revision in a folder of its own, and name the newest in the file mirrorlist: clients that use \
         mirrorlist= see repomd.xml and its signature change at once. Rules in yrm.toml can differ by folder. Needs \
         public-url.",
    )
    .of_the_bucket()
    .kind(Kind::Switch)
    .default("false"),
    Setting::new(
        "public-url",
        Group::Publish,
        "URL,…",
        "The URLs of the repo folder for clients, such as https://packages.example.org/repo. Clients try the next one \
         when one fails.",
    )
    .of_the_bucket(),
    Setting::new(
        "cleanup-interval",
        Group::Publish,
        "DURATION",
        "The shortest time between two clean-ups of a repository, which delete the files that no kept revision names.",
    )
    .default("6h")
    .formerly("sweep-interval"),
    Setting::new(
        "audit-interval",
        Group::Publish,
        "DURATION",
        "How soon the service notices that a repository's repomd.xml is gone, damaged or another program's, although \
         nothing arrives. It puts the last revision back, or takes over what the other program published.",
    )
    .default("10m"),
    Setting::new(
        "history-days",
        Group::Publish,
        "DAYS",
        "How long the history keeps what was done, by whom and why. The clean-up deletes older records.",
    )
    .kind(Kind::Number)
    .default("400"),
    Setting::new(
        "cache-dir",
        Group::Publish,
        "DIR",
        "The local cache of an S3 bucket's current metadata. You may empty it at any time. Unset, the first writable one \
         of systemd's CACHE_DIRECTORY, XDG_CACHE_HOME/yrm, ~/.cache/yrm and /var/cache/yrm.",
    )
    .short('c')
    .aliases(&["cachedir"]),
    Setting::new("cache-size", Group::Publish, "SIZE", "The largest size of the cache.").default("2GiB"),
    Setting::new(
        "datadog-api-key",
        Group::Publish,
        "KEY",
        "Datadog API key: every run sends two gauges to Datadog while the service is ready (see /readyz), and every \
         operation an event. Prefer \
         datadog-api-key-file: others on the machine can read a command line.",
    )
    .kind(Kind::Secret),
    Setting::new("datadog-api-key-file", Group::Publish, "PLACE", "Read the Datadog API key from this file, or from ssm:PARAMETER or secretsmanager:SECRET."),
    Setting::new(
        "datadog-app-key",
        Group::Publish,
        "KEY",
        "Datadog application key: accepted for old scripts, not needed to send metrics.",
    )
    .kind(Kind::Secret),
    Setting::new("datadog-app-key-file", Group::Publish, "PLACE", "Read the Datadog application key from this file, or from ssm:PARAMETER or secretsmanager:SECRET."),
    Setting::new("datadog-site", Group::Publish, "SITE", "Datadog site, such as datadoghq.eu, or a whole URL.")
        .default("datadoghq.com")
        .also("DD_SITE"),
    Setting::new("dogstatsd", Group::Publish, "HOST:PORT", "Send the gauges and events to this DogStatsD agent by UDP."),
    Setting::new(
        "notify-webhook",
        Group::Publish,
        "URL",
        "Send notices of what runs and operations did to this URL, by a signed POST. Prefer notify-webhook-file when the URL is a secret.",
    )
    .kind(Kind::Secret),
    Setting::new("notify-webhook-file", Group::Publish, "FILE", "Read the webhook's URL from this file."),
    Setting::new("notify-topic", Group::Publish, "ARN", "Send notices of what runs and operations did to this SNS topic."),
    Setting::new(
        "notify-secret",
        Group::Publish,
        "SECRET",
        "Sign notices with this secret, which the receiver knows too. A webhook needs one.",
    )
    .kind(Kind::Secret),
    Setting::new("notify-secret-file", Group::Publish, "FILE", "Read the secret that signs notices from this file."),
    Setting::new(
        "notify-on",
        Group::Publish,
        "EVENT,…",
        "The events to send: published, rejected (quarantine), failing (and working again), removed, pruned, rolled_back, \
         promoted, settings, foreign (another program changed a repository), marked.",
    )
    .default("published, rejected, failing, removed, rolled_back, promoted, settings, foreign"),
    Setting::new(
        "notify-shape",
        Group::Publish,
        "yrm|slack|teams",
        "What notify-webhook gets: yrm's signed JSON, or a message for Slack or Microsoft Teams, which need no \
         notify-secret.",
    )
    .default("yrm"),
    Setting::new(
        "signing-key",
        Group::Signing,
        "FILE|awskms:KEY,…",
        "Sign metadata with the armored OpenPGP secret key in this file, or with this key in AWS KMS (its id, its ARN, or \
         alias/NAME). The first of several signs. yrm publishes the public keys of all, so that clients know the next \
         key early.",
    ),
    Setting::new("signing-passphrase-file", Group::Signing, "PLACE", "Read the passphrase of signing keys in files from this file, or from ssm:PARAMETER or secretsmanager:SECRET."),
    Setting::new(
        "sign-with",
        Group::Signing,
        "first|all",
        "Sign with the first signing key, or with all of them. Fedora 39 and EL10 accept one signature only.",
    )
    .default("first"),
    Setting::new(
        "key-name",
        Group::Signing,
        "NAME",
        "Publish the public keys as RPM-GPG-KEY-NAME in the repo folder. Unset, the S3 bucket's name, or yrm in a \
         directory.",
    )
    .of_the_bucket(),
    Setting::new("time-interval", Group::Serve, "SECS", "Time between the starts of two runs: seconds, or a DURATION such as 5m.")
        .default("60s")
        .short('t'),
    Setting::new(
        "queue",
        Group::Serve,
        "URL|ARN",
        "An SQS queue that S3 tells of uploads: yrm publishes them at once. Runs at every interval stay, in case the \
         queue misses an upload.",
    ),
    Setting::new(
        "share",
        Group::Serve,
        "BOOL",
        "Share the repositories with other instances on this bucket by leases, so that no two do the same work. Without \
         it nothing is lost, but work is done twice.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new("listen", Group::Serve, "ADDR:PORT", "The address and port for HTTP.").default("127.0.0.1:5000"),
    Setting::new(
        "gateway",
        Group::Serve,
        "off|redirect|stream",
        "Let clients of a private bucket install through this service: redirect sends them to addresses of S3 that are valid \
         for 5 minutes, stream passes the bytes on for clients that cannot reach S3.",
    )
    .default("off"),
    Setting::new(
        "gateway-auth",
        Group::Serve,
        "none|token|mtls|aws,…",
        "Whom the gateway lets in: everybody, who has a token (`yrm token`), who has a certificate of client-ca, who proves \
         an AWS identity; or several of these.",
    )
    .default("token"),
    Setting::new(
        "api-access",
        Group::Serve,
        "loopback|token|public",
        "Who may ask for /history, /scheduledJobs and /metrics: this machine, whom the gateway lets read everything, or whoever \
         reaches the address. Unset, token where the gateway asks who somebody is, and public otherwise.",
    ),
    Setting::new(
        "tls-cert",
        Group::Serve,
        "FILE",
        "Speak HTTPS with this certificate and those between it and its authority, in PEM. The service reads it again when it \
         changes.",
    ),
    Setting::new("tls-key", Group::Serve, "FILE", "The private key of tls-cert, in PEM."),
    Setting::new(
        "client-ca",
        Group::Serve,
        "FILE",
        "The authorities of clients' certificates, in PEM, for gateway-auth mtls.",
    ),
    Setting::new(
        "trusted-proxies",
        Group::Serve,
        "ADDR/BITS,…",
        "Believe these proxies when they name the client's address in X-Forwarded-For: for limits and the access log.",
    ),
    Setting::new(
        "access-log",
        Group::Serve,
        "FILE",
        "Append a line for each request below repo/ to this file, in the combined log format.",
    ),
    Setting::new(
        "self-update",
        Group::Serve,
        "BOOL",
        "Start a new release of yrm when scripts/release has uploaded it to the root of the S3 bucket. yrm verifies and \
         tries it first, and lets a run end.",
    )
    .kind(Kind::Switch)
    .default("false"),
    Setting::new("self-update-interval", Group::Serve, "DURATION", "Time between two looks for a new release.").default("5m"),
    Setting::new(
        "release-key",
        Group::Serve,
        "KEY",
        "The public key that must have signed a new release: its PEM, in base64 on one line. Without it anybody who may \
         write to the bucket's root decides what runs.",
    ),
];

/// A variable that is not a setting.
#[derive(Debug)]
pub struct OtherVariable {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Where the file is, when `--config` does not say.
pub const CONFIG_VARIABLE: &str = "YRM_CONFIG";
/// Log filter, in `tracing`'s syntax.
pub const LOG_VARIABLE: &str = "YRM_LOG";
/// Who acts, for the history.
pub const ACTOR_VARIABLE: &str = "YRM_ACTOR";

/// The `YRM_*` variables that are not settings.
pub const OTHER_VARIABLES: &[OtherVariable] = &[
    OtherVariable {
        name: CONFIG_VARIABLE,
        help: "The configuration file, as `--config`; unset, `./yrm.toml` and then `/etc/yrm/yrm.toml` are read if \
               they exist.",
    },
    OtherVariable {
        name: LOG_VARIABLE,
        help: "Which log lines are written, such as `debug` or `info,yrm::publish=trace`; wins over `-v` and `-d`.",
    },
    OtherVariable {
        name: ACTOR_VARIABLE,
        help: "Who acts, for the history and for notices; unset, the CI job's address, the ARN of the AWS credentials, or \
               user@host.",
    },
];

/// The setting of this name, or of this earlier name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name || setting.formerly == Some(name))
}

/// The known name nearest to `typed`, when it is near enough to be what was meant.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) = known.into_iter().map(|name| (edit_distance(typed, name), name)).min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}

/// Letters to insert, remove or replace to get from `from` to `to`.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_shorts_and_aliases_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for setting in SETTINGS {
            assert!(seen.insert(setting.name.to_owned()), "{} twice", setting.name);
            for alias in setting.aliases.iter().copied().chain(setting.formerly) {
                assert!(seen.insert(alias.to_owned()), "{alias} twice");
            }
            if let Some(short) = setting.short {
                assert!(seen.insert(format!("-{short}")), "-{short} twice");
            }
        }
    }

    #[test]
    fn every_secret_has_a_file_twin() {
        for secret in SETTINGS.iter().filter(|setting| setting.kind == Kind::Secret) {
            assert!(setting(&format!("{}-file", secret.name)).is_some(), "{} has none", secret.name);
        }
    }

    #[test]
    fn a_near_miss_finds_its_name_and_a_far_one_none() {
        let names = || SETTINGS.iter().map(|setting| setting.name);
        assert_eq!(did_you_mean("keep-atleast", names()), Some("keep-at-least"));
        assert_eq!(did_you_mean("buckt", names()), Some("bucket"));
        assert_eq!(did_you_mean("zebra-crossing-colour", names()), None);
    }

    #[test]
    fn every_variable_and_setting_is_documented() {
        let docs = include_str!("../../../../docs/reference/settings.md");
        for setting in SETTINGS {
            let row = format!("| `{}` | `{}` |", setting.name, setting.variable());
            assert!(docs.contains(&row), "docs/reference/settings.md lacks the row {row}");
            let default = setting.default.map_or_else(|| "–".to_owned(), |text| format!("`{text}`"));
            let line = docs.lines().find(|line| line.starts_with(&row)).expect("just found");
            assert!(
                line.contains(&format!("| {default} |")),
                "{}: the default in docs/reference/settings.md",
                setting.name
            );
            if let Some(also) = setting.also_variable {
                assert!(line.contains(also), "docs/reference/settings.md lacks {also}");
            }
        }
        for other in OTHER_VARIABLES {
            assert!(docs.contains(&format!("| `{}` |", other.name)), "docs/reference/settings.md lacks {}", other.name);
        }
    }
}
