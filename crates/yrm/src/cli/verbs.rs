//! What each verb's help says beside its flags: examples, the settings to look for first, and those that do nothing there.

/// What a verb's help says beside its flags.
pub(super) struct Verb {
    /// As it is typed, without `yrm`.
    pub(super) path: &'static str,
    /// Lines that stand in both helps.
    pub(super) examples: &'static [&'static str],
    /// More of them, for the whole help.
    pub(super) more: &'static [&'static str],
    /// Settings of this verb that people look for first.
    pub(super) settings: &'static str,
    /// Settings that do nothing here: names, or how they begin.
    pub(super) without: &'static [&'static str],
}

/// Settings that do nothing at all: old scripts give them.
pub(super) const OUTLIVED: [&str; 3] = ["local-staging-area", "datadog-app-key", "datadog-app-key-file"];
/// Flags that say how objects are written.
const WRITING: [&str; 6] = ["sse", "sse-kms-key", "sse-bucket-key", "acl", "storage-class", "tags"];
/// Settings of the clean-up, which an operation by hand does not do.
const NOT_FOR_OPERATIONS: &[&str] = &["cleanup-interval", "audit-interval", "history-days"];
/// The same, and what judges or prunes packages.
const NOT_FOR_REMOVALS: &[&str] = &[
    "cleanup-interval",
    "audit-interval",
    "history-days",
    "keep-at-least",
    "prune-age-days",
    "max-package-size",
    "on-conflict",
    "signatures",
    "keyring",
    "sign-packages",
];
/// A verb that reads only.
const READING: &[&str] = &WRITING;
/// A verb that uses no bucket.
pub(super) const NO_BUCKET: &[&str] = &["*"];

pub(super) const VERBS: [Verb; 61] = [
    Verb {
        path: "serve",
        examples: &["yrm serve --bucket s3://my-bucket", "yrm serve -b ./bucket --per-folder --time-interval 30s"],
        more: &[
            "yrm serve -b s3://my-bucket --queue arn:aws:sqs:eu-west-1:123456789012:inbox",
            "yrm serve -b s3://my-bucket --signing-key awskms:alias/rpm-signing",
            "yrm serve -b s3://my-bucket --keep-at-least 10 --prune-age-days 60",
        ],
        settings: "--bucket, --per-folder, --time-interval",
        without: &[],
    },
    Verb {
        path: "run",
        examples: &["yrm run --bucket s3://my-bucket", "yrm run -b ./bucket --dry-run"],
        more: &[
            "yrm run -b ./bucket --per-folder --output json",
            "yrm run -b s3://my-bucket --keep-at-least 10 --prune-age-days 60",
        ],
        settings: "--bucket, --per-folder, --signing-key",
        without: &[],
    },
    Verb {
        path: "publish",
        examples: &["yrm publish -b s3://my-bucket foo-1-1.x86_64.rpm --to el9/x86_64 --wait"],
        more: &["yrm publish -b ./bucket *.rpm --dry-run"],
        settings: "--bucket, --endpoint",
        without: &[],
    },
    Verb {
        path: "check",
        examples: &["yrm check --bucket s3://my-bucket", "yrm check -b ./bucket --deep"],
        more: &["yrm check -b ./bucket --output json | jq '.repositories[].problems'"],
        settings: "--bucket, --per-folder, --signing-key",
        without: READING,
    },
    Verb {
        path: "status",
        examples: &["yrm status --bucket s3://my-bucket"],
        more: &["yrm status -b ./bucket --output json | jq '.last_run.waiting'"],
        settings: "--bucket, --endpoint",
        without: &[
            "sse",
            "sse-kms-key",
            "sse-bucket-key",
            "acl",
            "storage-class",
            "tags",
            "repositories",
            "per-folder",
        ],
    },
    Verb {
        path: "history",
        examples: &[
            "yrm history --bucket s3://my-bucket --limit 5",
            "yrm history -b ./bucket --package foo --since 7d",
        ],
        more: &["yrm history -b ./bucket --output json | jq '.[].published[].nevra'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "history show",
        examples: &["yrm history show -b ./bucket 01KB4W7Q3V5R0Z8M2N6P9T1XYC"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "package",
        examples: &["yrm package search -b ./bucket foo"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "package search",
        examples: &[
            "yrm package search -b s3://my-bucket foo",
            "yrm package search -b ./bucket 'foo-1.2*' --in el9 --latest",
        ],
        more: &[
            "yrm package search -b ./bucket --provides webserver --latest",
            "yrm package search -b ./bucket --file /usr/bin/foo --output json",
        ],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "package show",
        examples: &["yrm package show -b s3://my-bucket foo"],
        more: &["yrm package show -b ./bucket el9/foo-1-1.x86_64.rpm --output json"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "package remove",
        examples: &[
            "yrm package remove -b ./bucket el9/foo-1-1.x86_64.rpm --dry-run",
            "yrm package remove -b ./bucket 'foo-1.2*' --in el9 --block",
        ],
        more: &[
            "yrm package remove -b ./bucket el9/old/ test/foo-1-1.x86_64.rpm",
            "yrm package remove -b ./bucket - --yes < list",
        ],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "package promote",
        examples: &[
            "yrm package promote -b ./bucket dev/foo.rpm --to prod/foo.rpm",
            "yrm package promote -b ./bucket 'foo*' --in dev --latest --to prod/ --move",
        ],
        more: &["yrm package promote -b ./bucket dev/ --latest --to prod/ --dry-run"],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_OPERATIONS,
    },
    Verb {
        path: "package hold",
        examples: &["yrm package hold -b ./bucket el9/foo-1-1.x86_64.rpm --reason wanted"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "package unhold",
        examples: &["yrm package unhold -b ./bucket foo-1-1.x86_64 --in el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "package block",
        examples: &[
            "yrm package block -b ./bucket 'foo-1.2*' --in el9 --reason CVE-2026-1",
            "yrm package block -b ./bucket",
        ],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "package unblock",
        examples: &["yrm package unblock -b ./bucket 'foo-1.2*' --in el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "quarantine",
        examples: &["yrm quarantine list -b ./bucket"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "quarantine list",
        examples: &["yrm quarantine list -b s3://my-bucket --code E_UNSIGNED"],
        more: &["yrm quarantine list -b ./bucket --output json | jq -r '.[].quarantine_key'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "quarantine show",
        examples: &["yrm quarantine show -b ./bucket el9/foo-1-1.x86_64.rpm"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "quarantine release",
        examples: &["yrm quarantine release -b ./bucket el9/foo-1-1.x86_64.rpm"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: &[],
    },
    Verb {
        path: "quarantine drop",
        examples: &["yrm quarantine drop -b ./bucket el9/foo-1-1.x86_64.rpm"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "repo",
        examples: &["yrm repo log -b ./bucket --in el9"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "repo log",
        examples: &["yrm repo log -b s3://my-bucket --in el9"],
        more: &["yrm repo log -b ./bucket --output json | jq '.[0].revision'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "repo show",
        examples: &["yrm repo show -b s3://my-bucket 1795896580 --in el9"],
        more: &["yrm repo show -b ./bucket current --output json | jq -r '.packages[].nevra'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "repo diff",
        examples: &[
            "yrm repo diff -b s3://my-bucket prod dev",
            "yrm repo diff -b ./bucket 1795896580 current --in el9",
        ],
        more: &["yrm repo diff -b ./bucket prod dev --output json | jq '.changes[].added'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "repo rollback",
        examples: &["yrm repo rollback -b s3://my-bucket 1795896580 --in el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "repo adopt-file",
        examples: &["yrm repo adopt-file -b s3://my-bucket el9/x86_64/tool-1.0-1.x86_64.rpm"],
        more: &["yrm repo adopt-file -b ./bucket el9/a.rpm el9/b.rpm --dry-run"],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_OPERATIONS,
    },
    Verb {
        path: "repo drop-file",
        examples: &["yrm repo drop-file -b s3://my-bucket el9/x86_64/tool-1.0-1.x86_64.rpm"],
        more: &[],
        settings: "--bucket, --per-folder",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "repo tag",
        examples: &["yrm repo tag -b s3://my-bucket current v7.1 --in el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "repo untag",
        examples: &["yrm repo untag -b s3://my-bucket v7.1 --in el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "repo tags",
        examples: &["yrm repo tags -b s3://my-bucket --in el9"],
        more: &["yrm repo tags -b ./bucket --output json | jq -r '.[].folder'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "repo rebuild",
        examples: &["yrm repo rebuild -b ./bucket --in el9 --dry-run"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_OPERATIONS,
    },
    Verb {
        path: "repo delete",
        examples: &["yrm repo delete -b ./bucket prdo --dry-run"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "repo restore",
        examples: &["yrm repo restore -b ./bucket el9"],
        more: &[],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "prune",
        examples: &["yrm prune -b ./bucket --dry-run", "yrm prune -b ./bucket --dry-run --at 2027-01-01"],
        more: &["yrm prune -b s3://my-bucket --in el9 --yes"],
        settings: "--bucket, --endpoint",
        without: NOT_FOR_OPERATIONS,
    },
    Verb {
        path: "adopt",
        examples: &["yrm adopt -b ./bucket --in el9 --dry-run"],
        more: &["yrm adopt -b s3://my-bucket --per-folder --in el9"],
        settings: "--bucket, --per-folder, --signing-key",
        without: NOT_FOR_OPERATIONS,
    },
    Verb {
        path: "settings",
        examples: &["yrm settings show -b ./bucket", "yrm settings set compression zstd -b ./bucket --dry-run"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "settings show",
        examples: &["yrm settings show -b s3://my-bucket"],
        more: &["yrm settings show -b ./bucket --output json | jq .settings"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "settings set",
        examples: &[
            "yrm settings set keep-at-least 10 -b s3://my-bucket --dry-run",
            "yrm settings set compression zstd --folder 'el9/*' -b s3://my-bucket",
        ],
        more: &[],
        settings: "--bucket, --endpoint",
        without: &[],
    },
    Verb {
        path: "settings unset",
        examples: &["yrm settings unset keep-at-least -b s3://my-bucket"],
        more: &["yrm settings unset compression --folder 'el9/*' -b s3://my-bucket"],
        settings: "--bucket, --endpoint",
        without: &[],
    },
    Verb {
        path: "settings history",
        examples: &["yrm settings history -b s3://my-bucket"],
        more: &["yrm settings history -b ./bucket --output json | jq '.[].changes[]'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "settings check",
        examples: &["yrm settings check -b s3://my-bucket"],
        more: &["yrm settings check -b ./bucket --config /etc/yrm/yrm.toml"],
        settings: "--bucket, --per-folder, --signing-key",
        without: READING,
    },
    Verb {
        path: "key",
        examples: &["yrm key generate --out signing.key"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "token",
        examples: &["yrm token create web-servers -b s3://my-bucket --scope 'read:el9/*'"],
        more: &["yrm token list -b s3://my-bucket"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "token create",
        examples: &[
            "yrm token create web-servers -b s3://my-bucket --scope 'read:el9/*'",
            "yrm token create ci -b s3://my-bucket --scope 'upload:team-a/*' --expires 30d",
        ],
        more: &[
            "yrm token create ci --scope read --arn arn:aws:iam::123456789012:role/ci",
            "yrm token create hosts --scope read --certificate '*.example.org'",
        ],
        settings: "--bucket, --endpoint",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "token list",
        examples: &["yrm token list -b s3://my-bucket"],
        more: &["yrm token list -b ./bucket --output json | jq '.[].name'"],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "token show",
        examples: &["yrm token show ci -b s3://my-bucket"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: READING,
    },
    Verb {
        path: "token revoke",
        examples: &["yrm token revoke ci -b s3://my-bucket --reason 'it is on a wiki'"],
        more: &[],
        settings: "--bucket, --endpoint",
        without: NOT_FOR_REMOVALS,
    },
    Verb {
        path: "client",
        examples: &["yrm client config dnf --url https://packages.example.org/repo/el9"],
        more: &["yrm client check https://packages.example.org/repo/el9"],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "client config",
        examples: &[
            "yrm client config dnf --url https://packages.example.org/repo/el9",
            "yrm client config zypper --url https://rpms.example.org/repo --name ours",
        ],
        more: &["yrm client config ansible --url https://rpms.example.org/repo > tasks.yml"],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "client check",
        examples: &[
            "yrm client check https://packages.example.org/repo/el9",
            "yrm client check https://rpms.example.org/repo --token-file FILE",
        ],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "client identity",
        examples: &["yrm client identity -b s3://my-bucket"],
        more: &[],
        settings: "--bucket, --region",
        without: READING,
    },
    Verb {
        path: "key generate",
        examples: &["yrm key generate --out signing.key --user-id 'Example packages'"],
        more: &["yrm key generate --algorithm ed25519 --passphrase-file passphrase"],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "key list",
        examples: &["yrm key list -b ./bucket --signing-key signing.key"],
        more: &[],
        settings: "--bucket, --signing-key",
        without: READING,
    },
    Verb {
        path: "key export",
        examples: &["yrm key export -b ./bucket --signing-key signing.key > RPM-GPG-KEY"],
        more: &[],
        settings: "--bucket, --signing-key",
        without: READING,
    },
    Verb {
        path: "key rotate",
        examples: &["yrm key rotate --out signing-2.key", "yrm key rotate --promote"],
        more: &["yrm key rotate --next awskms:alias/rpm-signing"],
        settings: "--bucket, --signing-key",
        without: &[],
    },
    Verb {
        path: "key verify",
        examples: &["yrm key verify -b s3://my-bucket --key RPM-GPG-KEY-my-bucket"],
        more: &[],
        settings: "--bucket, --signing-key",
        without: READING,
    },
    Verb {
        path: "doctor",
        examples: &["yrm doctor --bucket s3://my-bucket"],
        more: &["yrm doctor -b s3://my-bucket --endpoint http://127.0.0.1:9000 --path-style"],
        settings: "--bucket, --endpoint",
        without: &[],
    },
    Verb {
        path: "index",
        examples: &["yrm index ./packages", "yrm index ./packages --outputdir ./site --compression zstd"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "demo",
        examples: &["yrm demo", "yrm demo --once --dir ./try-yrm"],
        more: &[],
        settings: "",
        without: NO_BUCKET,
    },
    Verb {
        path: "config",
        examples: &["yrm config init --bucket s3://my-bucket", "yrm config check"],
        more: &[],
        settings: "--bucket, --config",
        without: &[],
    },
];
