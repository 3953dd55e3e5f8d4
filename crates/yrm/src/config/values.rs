//! The configuration as everything else reads it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::access_point::AccessPoint;
use super::gateway::{ApiAccess, GatewayConfig, Tls};
use super::place::{KeyPlace, Secret, SecretPlace};
use super::trust::Trust;
use super::versions::{OnConflict, Retention};
use super::written::Written;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the bucket is.
    pub bucket: BucketUrl,
    /// How S3 is reached.
    pub s3: S3Config,
    /// How a run publishes.
    pub policy: Policy,
    /// What metadata is signed with, if it is.
    pub signing: Option<SigningConfig>,
    /// Where metadata is cached.
    pub cache: CacheConfig,
    /// How the service runs.
    pub service: Service,
    /// Where metrics go, if anywhere.
    pub datadog: Option<Datadog>,
    /// Who is told of what runs did, if anybody.
    pub notify: Option<Notify>,
}

/// `s3://name[/prefix]`, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketUrl {
    /// An S3 bucket, or an access point of one by its ARN or alias; the prefix has no slashes at its ends and
    /// may be empty.
    S3 { name: String, prefix: String },
    /// A directory.
    Directory(PathBuf),
}

impl BucketUrl {
    /// The bucket's own name: S3's, its access point's, or the directory's last part. Not unique; for metrics and
    /// names of files.
    pub fn short_name(&self) -> String {
        match self {
            Self::S3 { name, .. } => AccessPoint::of(name).map_or(name.as_str(), |point| point.name).to_owned(),
            Self::Directory(path) => {
                path.file_name().map_or_else(|| "bucket".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        }
    }
}

impl std::fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S3 { name, prefix } if prefix.is_empty() => write!(f, "s3://{name}"),
            Self::S3 { name, prefix } => write!(f, "s3://{name}/{prefix}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How S3 is reached; everything unset is left to the AWS SDK's own chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Config {
    /// Region.
    pub region: Option<String>,
    /// Another endpoint than AWS's.
    pub endpoint: Option<String>,
    /// Named profile of the shared configuration files.
    pub profile: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Certificates of more authorities than the machine believes; unset, the profile may name them.
    pub ca_bundle: Option<PathBuf>,
    /// Whether we say that we pay for what we ask.
    pub requester_pays: bool,
    /// What is said with every object that is written.
    pub written: Written,
}

/// Where metadata is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// The first of these that can be written to.
    pub folders: Vec<PathBuf>,
    /// How large it may grow.
    pub limit_bytes: u64,
}

/// How a run publishes.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The inbox's and the repositories' folders.
    pub folders: Folders,
    /// Which folders are repositories.
    pub repositories: Repositories,
    /// How metadata is compressed.
    pub compression: rpmmd::compress::Compression,
    /// Which old versions leave; `None` keeps everything.
    pub retention: Option<Retention>,
    /// How long an object stays fetchable after metadata stopped naming it.
    pub grace: Duration,
    /// A package over this size is rejected.
    pub max_package_bytes: u64,
    /// Store calls in flight at once.
    pub concurrency: usize,
    /// Go on without conditional writes: there is no other writer.
    pub single_writer: bool,
    /// Let one commit remove more than a fifth of a repository.
    pub allow_shrink: bool,
    /// How often a repository is cleaned up at most.
    pub sweep_interval: Duration,
    /// How often the service looks at least whether each repomd.xml is the one that was written last.
    pub audit_interval: Duration,
    /// How long records of the history are kept.
    pub history: Duration,
    /// What becomes of a package whose path or name other bytes have.
    pub on_conflict: OnConflict,
    /// Who may publish what where.
    pub trust: Trust,
    /// Where generations get folders of their own.
    pub mirrors: Mirrors,
}

/// Mirrorlist mode, where no rule says otherwise, and the addresses it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Whether it is on.
    pub on: bool,
    /// Where clients reach `repo/`, without a slash at the end.
    pub public_urls: Vec<String>,
    /// What the files for clients, `NAME.repo`, and their sections are called by; without it there are none.
    pub name: Option<String>,
}

/// What metadata is signed with. The keys themselves are read by whoever signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningConfig {
    /// Where the keys are; the first is the primary.
    pub keys: Vec<KeyPlace>,
    /// Where the passphrase is that keys in files are locked with.
    pub passphrase: Option<SecretPlace>,
    /// Which of them sign.
    pub with: SignWith,
    /// The public keys are published as `RPM-GPG-KEY-<name>`; a key in KMS is said to be this one's.
    pub key_name: String,
}

/// Which of the signing keys sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignWith {
    /// The first.
    First,
    /// All, the first one's signature first.
    All,
}

/// The configurable names of the two folders people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Where uploaders write (`inbox`).
    pub inbox: String,
    /// Where clients read (`repo`); empty for the bucket's root.
    pub repo: String,
}

/// The folders of the bucket that are always yrm's own.
pub(super) const OWN_FOLDERS: [&str; 2] = [".yrm", "quarantine"];

impl Folders {
    /// What the keys of everything that clients read begin with: `repo/`, or nothing.
    pub fn repo_prefix(&self) -> String {
        if self.repo.is_empty() { String::new() } else { format!("{}/", self.repo) }
    }

    /// The folder that clients read, for people: `repo/`, or `/` for the bucket's root.
    pub fn repo_shown(&self) -> String {
        format!("{}/", self.repo)
    }

    /// The path below `repo/` of what has this key; `None` for what is no part of it.
    pub fn below_repo<'k>(&self, key: &'k str) -> Option<&'k str> {
        let below = if self.repo.is_empty() { key } else { key.strip_prefix(&self.repo)?.strip_prefix('/')? };
        self.apart(below).is_none().then_some(below)
    }

    /// The folder that this path below `repo/` lies in, if it is a folder of the bucket that no repository has a part
    /// in: where the repository is the bucket's root, the inbox and what yrm keeps lie below it too.
    pub fn apart(&self, below: &str) -> Option<&str> {
        if !self.repo.is_empty() {
            return None;
        }
        let is_in =
            |folder: &&str| below.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        OWN_FOLDERS.into_iter().chain([self.inbox.as_str()]).find(is_in)
    }
}

impl Default for Folders {
    fn default() -> Self {
        Self { inbox: "inbox".to_owned(), repo: "repo".to_owned() }
    }
}

/// Which folders under `repo/` are repositories.
#[derive(Debug, Clone)]
pub enum Repositories {
    /// One, at `repo/` itself.
    Single,
    /// Every folder `n` levels down (`per-folder` is 1).
    Depth(usize),
    /// Every folder that one of these globs matches; `*` stays within one level.
    Globs(Vec<String>),
}

/// How the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Between the starts of two runs.
    pub interval: Duration,
    /// The queue that tells of uploads, if any; only ever beside a bucket in S3.
    pub queue: Option<QueueAddress>,
    /// Whether other instances publish in the same bucket.
    pub share: bool,
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// How it lets clients in, if it does.
    pub gateway: Option<GatewayConfig>,
    /// How it speaks HTTPS, if it does.
    pub tls: Option<Tls>,
    /// Whose word on a client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where a line for each request below `repo/` goes.
    pub access_log: Option<PathBuf>,
    /// Who may look at the history, the schedule and the figures.
    pub api_access: ApiAccess,
    /// How it goes over to new releases, if it does; only ever beside a bucket in S3.
    pub self_update: Option<SelfUpdate>,
    /// Where logs go besides stderr.
    pub log_file: Option<PathBuf>,
    /// How log lines are written.
    pub log_format: LogFormat,
}

/// How a running service goes over to new releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfUpdate {
    /// Between two looks.
    pub interval: Duration,
    /// What releases must be signed with.
    pub key: Option<ReleaseKey>,
    /// New programs are kept below the first of these that can be written to.
    pub folders: Vec<PathBuf>,
}

/// The public half of the key that releases are signed with: ECDSA over P-256.
pub type ReleaseKey = p256::ecdsa::VerifyingKey;

/// An SQS queue, by one of its two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueAddress {
    /// `https://sqs.eu-west-1.amazonaws.com/123456789012/name`: also says where it is reached.
    Url(String),
    /// `arn:aws:sqs:eu-west-1:123456789012:name`, in its parts.
    Arn { partition: String, region: String, account: String, name: String },
}

impl std::fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Arn { partition, region, account, name } => {
                write!(f, "arn:{partition}:sqs:{region}:{account}:{name}")
            }
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Datadog, by its HTTP API, by DogStatsD, or both.
#[derive(Clone, PartialEq, Eq)]
pub struct Datadog {
    /// API key; without it nothing goes to the HTTP API.
    pub api_key: Option<Secret>,
    /// Application key; accepted as the first version did, not needed to send metrics.
    pub app_key: Option<Secret>,
    /// `DD_SITE`, such as `datadoghq.eu`, or a whole URL.
    pub site: String,
    /// `host:port` of a DogStatsD agent.
    pub statsd: Option<String>,
}

/// Who is told of what runs did.
#[derive(Clone, PartialEq, Eq)]
pub struct Notify {
    /// A web address that takes notices by POST; it may hold a secret.
    pub webhook: Option<Secret>,
    /// An SNS topic.
    pub topic: Option<Topic>,
    /// What notices are signed with.
    pub secret: Option<Secret>,
    /// What is told.
    pub on: NotifyOn,
    /// How the webhook wants it.
    pub shape: NotifyShape,
}

/// The shape of what is posted to the webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotifyShape {
    /// yrm's own JSON.
    #[default]
    Yrm,
    /// A message for an incoming webhook of Slack.
    Slack,
    /// A message with an adaptive card, for a workflow of Microsoft Teams.
    Teams,
}

impl std::fmt::Debug for Notify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notify").field("topic", &self.topic).field("on", &self.on).finish_non_exhaustive()
    }
}

/// An SNS topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its ARN.
    pub arn: String,
    /// The region in it.
    pub region: String,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifyOn(u16);

impl NotifyOn {
    /// The words for what can be told, each a bit.
    pub const WORDS: [&'static str; 10] = [
        "published",
        "rejected",
        "failing",
        "removed",
        "pruned",
        "rolled_back",
        "promoted",
        "settings",
        "foreign",
        "marked",
    ];

    /// Of nothing.
    pub const fn nothing() -> Self {
        Self(0)
    }

    /// Of all.
    pub const fn everything() -> Self {
        Self((1 << Self::WORDS.len()) - 1)
    }

    /// And of what `word` says; `None` where it says nothing.
    #[must_use]
    pub fn and(self, word: &str) -> Option<Self> {
        Some(Self(self.0 | Self::bit(word)?))
    }

    /// Whether it is told.
    pub fn has(self, word: &str) -> bool {
        Self::bit(word).is_some_and(|bit| self.0 & bit != 0)
    }

    fn bit(word: &str) -> Option<u16> {
        Self::WORDS.iter().position(|known| *known == word).map(|at| 1 << at)
    }
}

impl std::fmt::Debug for Datadog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datadog").field("site", &self.site).field("statsd", &self.statsd).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_root_the_inbox_and_what_is_kept_are_no_part_of_the_repositories() {
        let root = Folders { inbox: "in/box".to_owned(), repo: String::new() };
        for (key, apart) in [
            ("in/box/x.rpm", Some("in/box")),
            ("in/box", Some("in/box")),
            ("quarantine/x", Some("quarantine")),
            (".yrm/signed/x.rpm", Some(".yrm")),
            ("in/x.rpm", None),
            ("in/boxes/x.rpm", None),
            ("el9/quarantine/x.rpm", None),
            (".yrmx", None),
        ] {
            assert_eq!(root.apart(key), apart, "{key}");
            assert_eq!(root.below_repo(key), apart.is_none().then_some(key), "{key}");
        }
        let usual = Folders::default();
        assert_eq!((usual.apart("quarantine/x"), usual.below_repo("repo/quarantine/x")), (None, Some("quarantine/x")));
        assert_eq!((usual.below_repo("repository/x"), usual.below_repo("inbox/x")), (None, None));
        assert_eq!((usual.repo_prefix(), root.repo_prefix()), ("repo/".to_owned(), String::new()));
    }
}
