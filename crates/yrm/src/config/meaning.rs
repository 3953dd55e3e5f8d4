//! From what was typed to what it means: one pass over all settings that collects every problem.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::access_point::AccessPoint;
use super::complaint::Complaint;
use super::gateway::{self, ApiAccess, GatewayConfig, Tls};
use super::low::Low;
use super::parse;
use super::place::{self, KeyPlace, Secret, SecretPlace, sound_key};
use super::problem::Problem;
use super::rules;
use super::settings::Kind;
use super::trust::{KeyringPlace, Level, SignPackages, Trust};
use super::written::{self, Written};
use super::{
    BucketUrl, CacheConfig, Config, Datadog, Folders, LogFormat, Mirrors, Notify, NotifyShape, Policy, Retention,
    S3Config, SelfUpdate, Service, SigningConfig, globs, settings,
};

/// dnf's metadata_expire: a shorter grace can pull a package from under cached metadata.
const CLIENTS_CACHE: Duration = Duration::from_hours(48);
/// A publisher may take half an hour from its first copy to its switch, and reuses what is up to
/// half the grace period old: a shorter grace leaves no room for two.
const WRITERS_PAUSE: Duration = Duration::from_hours(2);

/// The configuration that `low` means, with what is worth a warning, or everything that is
/// wrong with it.
pub(super) fn mean(low: &Low) -> Result<(Config, Vec<String>), Vec<Problem>> {
    let mut reading = Reading { low, problems: low.problems.clone() };
    let config = reading.config();
    match config {
        Ok(config) if reading.problems.is_empty() => {
            let mut warnings = low.warnings.clone();
            if config.policy.grace < CLIENTS_CACHE {
                warnings.push(
                    "grace is under 48h, which is how long dnf caches metadata: clients may ask for files that are gone"
                        .to_owned(),
                );
            }
            if config.policy.grace < WRITERS_PAUSE {
                warnings.push(
                    "grace is under 2h: run one publisher only: its clean-up may delete files that another is uploading"
                        .to_owned(),
                );
            }
            warnings.extend(globs::warnings(&config.policy.trust, &config.policy.repositories));
            Ok((config, warnings))
        }
        Ok(_) | Err(Wrong) => Err(reading.problems),
    }
}

/// Where the bucket is, and how it is reached.
pub(super) fn place(low: &Low) -> Option<(BucketUrl, S3Config)> {
    let mut reading = Reading { low, problems: low.problems.clone() };
    let place = (reading.bucket().ok()?, reading.s3().ok()?);
    reading.problems.is_empty().then_some(place)
}

/// A setting is wrong, and that is noted among the problems.
struct Wrong;

struct Reading<'a> {
    low: &'a Low,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    /// Every part is read before any is given up on, so that all problems are found.
    fn config(&mut self) -> Result<Config, Wrong> {
        let bucket = self.bucket();
        let s3 = self.s3();
        let name = self.key_name(bucket.as_ref().ok());
        let policy = self.policy();
        let signing = self.signing(name.as_ref().ok());
        let cache = self.cache();
        let service = self.service();
        let fits = self.fits_the_bucket(&bucket, &s3, &service);
        let signs = self.can_sign_packages(&policy, &signing);
        let datadog = self.datadog();
        let notify = self.notify();
        fits?;
        signs?;
        let (name, mut policy) = (name?, policy?);
        policy.mirrors.name = Some(name);
        Ok(Config {
            bucket: bucket?,
            s3: s3?,
            policy,
            signing: signing?,
            cache: cache?,
            service: service?,
            datadog: datadog?,
            notify: notify?,
        })
    }

    fn bucket(&mut self) -> Result<BucketUrl, Wrong> {
        if self.low.get("bucket").is_none() {
            self.problems.push(Problem {
                place: "bucket".to_owned(),
                message: "no bucket is named".to_owned(),
                hint: Some("give --bucket ./dir or --bucket s3://name, or set it in yrm.toml or YRM_BUCKET".to_owned()),
            });
        }
        let bucket = self.optional("bucket", parse::bucket)?.ok_or(Wrong)?;
        Ok(match bucket {
            BucketUrl::Directory(path) => BucketUrl::Directory(self.located("bucket", path)),
            BucketUrl::S3 { .. } => bucket,
        })
    }

    fn s3(&mut self) -> Result<S3Config, Wrong> {
        let region = self.optional("region", nonempty);
        let endpoint = self.optional("endpoint", parse::web_url);
        let profile = self.optional("profile", nonempty);
        let path_style = self.required("path-style", parse::switch);
        let ca_bundle = self.optional("ca-bundle", nonempty);
        let requester_pays = self.required("requester-pays", parse::switch);
        let written = self.written();
        Ok(S3Config {
            region: region?,
            endpoint: endpoint?,
            profile: profile?,
            path_style: path_style?,
            ca_bundle: ca_bundle?.map(|path| self.located("ca-bundle", PathBuf::from(path))),
            requester_pays: requester_pays?,
            written: written?,
        })
    }

    fn written(&mut self) -> Result<Written, Wrong> {
        let sse = self.optional("sse", written::sse);
        let key = self.optional("sse-kms-key", written::kms_key);
        let bucket_key = self.optional("sse-bucket-key", parse::switch);
        let acl = self.optional("acl", written::acl);
        let storage_classes = self.optional("storage-class", written::storage_classes);
        let tags = self.optional("tags", written::tags);
        let encryption = written::encryption(sse?, key?, bucket_key?)
            .map_err(|(setting, complaint)| self.complain(setting.to_owned(), complaint));
        Ok(Written {
            encryption: encryption?,
            acl: acl?,
            storage_classes: storage_classes?.unwrap_or_default(),
            tags: tags?.unwrap_or_default(),
        })
    }

    fn policy(&mut self) -> Result<Policy, Wrong> {
        let folders = self.folders();
        let repositories = self.required("repositories", |text| {
            let repositories = parse::repositories(text)?;
            let wrong = folders.as_ref().ok().and_then(|folders| globs::check_repositories(&repositories, folders));
            wrong.map_or(Ok(repositories), Err)
        });
        let compression = self.required("compression", parse::compression);
        let retention = self.retention();
        let grace = self.required("grace", parse::duration);
        let max_package_bytes = self.required("max-package-size", parse::size);
        let concurrency = self.required("concurrency", |text| parse::number(text, 1..=256));
        let single_writer = self.required("single-writer", parse::switch);
        let allow_shrink = self.required("allow-shrink", parse::switch);
        let sweep_interval = self.required("cleanup-interval", parse::duration);
        let audit_interval = self.required("audit-interval", parse::duration);
        let history = self.required("history-days", parse::history_days);
        let on_conflict = self.required("on-conflict", parse::on_conflict);
        let trust = self.trust(folders.as_ref().ok());
        let mirrors = self.mirrors();
        Ok(Policy {
            folders: folders?,
            repositories: repositories?,
            compression: compression?,
            retention: retention?,
            grace: grace?,
            max_package_bytes: max_package_bytes?,
            concurrency: usize::try_from(concurrency?).expect("at most 256"),
            single_writer: single_writer?,
            allow_shrink: allow_shrink?,
            sweep_interval: sweep_interval?,
            audit_interval: audit_interval?,
            history: history?,
            on_conflict: on_conflict?,
            trust: trust?,
            mirrors: mirrors?,
        })
    }

    fn mirrors(&mut self) -> Result<Mirrors, Wrong> {
        let on = self.required("mirrorlist", parse::switch);
        let public_urls = self.optional("public-url", parse::public_urls);
        let mirrors = Mirrors { on: on?, public_urls: public_urls?.unwrap_or_default(), name: None };
        match rules::check_mirrors(&mirrors, &self.low.rules) {
            None => Ok(mirrors),
            Some(complaint) => Err(self.complain("mirrorlist".to_owned(), complaint)),
        }
    }

    /// What the public keys and the files for clients are called by.
    fn key_name(&mut self, bucket: Option<&BucketUrl>) -> Result<String, Wrong> {
        let name = self.optional("key-name", parse::key_name)?;
        Ok(name.unwrap_or_else(|| match bucket {
            Some(url @ BucketUrl::S3 { .. }) => url.short_name(),
            Some(BucketUrl::Directory(_)) | None => "yrm".to_owned(),
        }))
    }

    fn signing(&mut self, name: Option<&String>) -> Result<Option<SigningConfig>, Wrong> {
        let keys = self.optional("signing-key", place::keys);
        let passphrase = self.optional("signing-passphrase-file", place::secret);
        let with = self.required("sign-with", parse::sign_with);
        let (keys, passphrase, with) = (keys?, passphrase?, with?);
        let keys = keys.map(|keys| keys.into_iter().map(|key| self.located_key(key)).collect());
        let passphrase = passphrase.map(|place| match place {
            SecretPlace::File(path) => SecretPlace::File(self.located("signing-passphrase-file", path)),
            SecretPlace::Aws(_) => place,
        });
        Ok(keys.map(|keys| SigningConfig { keys, passphrase, with, key_name: name.cloned().unwrap_or_default() }))
    }

    fn trust(&mut self, folders: Option<&Folders>) -> Result<Trust, Wrong> {
        let signatures = self.required("signatures", Level::parse);
        let sign_packages = self.required("sign-packages", SignPackages::parse);
        let keyrings = self.optional("keyring", |text| {
            let places = rules::keyrings(text)?;
            folders.and_then(|folders| rules::check_places(&places, folders)).map_or(Ok(places), Err)
        });
        let trust = Trust {
            signatures: signatures?,
            sign_packages: sign_packages?,
            keyrings: keyrings?.unwrap_or_default().into_iter().map(|place| self.located_keyring(place)).collect(),
            rules: self.low.rules.clone(),
        };
        let wrong = rules::check(&trust, folders);
        if wrong.is_empty() {
            return Ok(trust);
        }
        for (place, complaint) in wrong {
            self.complain(place, complaint);
        }
        Err(Wrong)
    }

    fn cache(&mut self) -> Result<CacheConfig, Wrong> {
        let folder = self.optional("cache-dir", nonempty);
        let limit_bytes = self.required("cache-size", parse::size);
        let named = folder?.map(|folder| vec![self.located("cache-dir", PathBuf::from(folder))]);
        let folders = named.unwrap_or_else(|| self.low.usual_caches.clone());
        Ok(CacheConfig { folders, limit_bytes: limit_bytes? })
    }

    fn folders(&mut self) -> Result<Folders, Wrong> {
        let inbox = self.required("inbox", parse::folder);
        let repo = self.required("repo", parse::repo);
        let folders = Folders { inbox: inbox?, repo: repo? };
        if !folders.repo.is_empty() && parse::overlap(&folders.inbox, &folders.repo) {
            self.problems.push(Problem {
                place: "inbox and repo".to_owned(),
                message: format!("{:?} and {:?} overlap", folders.inbox, folders.repo),
                hint: Some("give each a folder of its own".to_owned()),
            });
            return Err(Wrong);
        }
        Ok(folders)
    }

    fn retention(&mut self) -> Result<Option<Retention>, Wrong> {
        let keep = self.optional("keep-at-least", parse::keep_at_least);
        let age = self.optional("prune-age-days", parse::days);
        Ok(match (keep?, age?) {
            (None, None) => None,
            (keep, age) => Some(Retention {
                keep_at_least: keep.unwrap_or(parse::KEEP_AT_LEAST),
                older_than: age.unwrap_or(parse::PRUNE_AGE),
            }),
        })
    }

    fn service(&mut self) -> Result<Service, Wrong> {
        let interval = self.required("time-interval", parse::interval);
        let queue = self.optional("queue", parse::queue);
        let share = self.required("share", parse::switch);
        let listen = self.required("listen", |text| {
            text.parse::<SocketAddr>().map_err(|_| Complaint {
                message: format!("{text:?} is not an address and port"),
                hint: Some("such as 127.0.0.1:5000 or [::1]:5000".to_owned()),
            })
        });
        let self_update = self.self_update();
        let gateway = self.gateway();
        let trusted_proxies = self.optional("trusted-proxies", gateway::networks);
        let access_log = self.optional("access-log", |text| Ok(PathBuf::from(text)));
        let log_file = self.optional("log-file", |text| Ok(PathBuf::from(text)));
        let log_format = self.required("log-format", |text| match text {
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(Complaint {
                message: format!("{text:?} is not a log format"),
                hint: Some("write human or json".to_owned()),
            }),
        });
        let (gateway, tls, api_access) = gateway?;
        Ok(Service {
            gateway,
            tls,
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
            api_access,
            access_log: access_log?.map(|path| self.located("access-log", path)),
            interval: interval?,
            queue: queue?,
            share: share?,
            listen: listen?,
            self_update: self_update?,
            log_file: log_file?.map(|path| self.located("log-file", path)),
            log_format: log_format?,
        })
    }

    fn gateway(&mut self) -> Result<(Option<GatewayConfig>, Option<Tls>, ApiAccess), Wrong> {
        let mode = self.required("gateway", gateway::mode);
        let auth = self.required("gateway-auth", gateway::auth);
        let access = self.optional("api-access", gateway::api_access);
        let mut file = |name| {
            let path = self.optional(name, |text| Ok(PathBuf::from(text)))?;
            Ok(path.map(|path| self.located(name, path)))
        };
        let (certificates, key, authorities) = (file("tls-cert"), file("tls-key"), file("client-ca"));
        let (certificates, key, authorities) = (certificates?, key?, authorities?);
        let (auth, access) = (auth?, access?);
        let gateway = mode?.map(|mode| GatewayConfig { mode, auth });
        let files = (certificates.as_ref(), key.as_ref(), authorities.as_ref());
        if let Some((setting, complaint)) = gateway::misfit(gateway.as_ref(), access, files) {
            return Err(self.complain(setting.to_owned(), complaint));
        }
        let tls = certificates.zip(key);
        let tls = tls.map(|(certificates, key)| Tls { certificates, key, client_authorities: authorities });
        let access = access.unwrap_or_else(|| gateway::usual_access(gateway.as_ref()));
        Ok((gateway, tls, access))
    }

    fn self_update(&mut self) -> Result<Option<SelfUpdate>, Wrong> {
        let is_on = self.required("self-update", parse::switch);
        let interval = self.required("self-update-interval", parse::interval);
        let key = self.optional("release-key", parse::release_key);
        let (is_on, interval, key) = (is_on?, interval?, key?);
        Ok(is_on.then(|| SelfUpdate { interval, key, folders: self.low.usual_states.clone() }))
    }

    /// Nobody tells a queue what happens in a directory, and nobody releases yrm into one; nor has it what S3 is
    /// told with an object.
    fn fits_the_bucket(
        &mut self,
        bucket: &Result<BucketUrl, Wrong>,
        s3: &Result<S3Config, Wrong>,
        service: &Result<Service, Wrong>,
    ) -> Result<(), Wrong> {
        let (Ok(bucket), Ok(s3), Ok(service)) = (bucket, s3, service) else { return Ok(()) };
        if let BucketUrl::S3 { name, .. } = bucket {
            return self.fits_the_access_point(name, s3);
        }
        let misfits = [
            (
                s3.requester_pays || s3.written != Written::default(),
                "sse, acl, storage-class, tags, requester-pays",
                "these are said to S3, and this bucket is a directory",
                "leave them out; what encrypts and labels files is the file system",
            ),
            (
                service.queue.is_some(),
                "queue",
                "a directory tells no queue of uploads",
                "leave queue out and set a short time-interval",
            ),
            (
                service.self_update.is_some(),
                "self-update",
                "releases are looked for at the root of an S3 bucket, and this bucket is a directory",
                "leave self-update out and update yrm as it was installed",
            ),
        ];
        let mut fits = Ok(());
        for (is_misfit, setting, message, hint) in misfits {
            if is_misfit {
                let complaint = Complaint { message: message.to_owned(), hint: Some(hint.to_owned()) };
                fits = Err(self.complain(setting.to_owned(), complaint));
            }
        }
        fits
    }

    /// An access point is reached by its own address.
    fn fits_the_access_point(&mut self, name: &str, s3: &S3Config) -> Result<(), Wrong> {
        if AccessPoint::of(name).is_none() || !s3.path_style {
            return Ok(());
        }
        let complaint = Complaint {
            message: "an access point has no address in path style".to_owned(),
            hint: Some("leave path-style out, or name the bucket itself".to_owned()),
        };
        Err(self.complain("path-style".to_owned(), complaint))
    }

    /// Packages are signed by a key.
    fn can_sign_packages(
        &mut self,
        policy: &Result<Policy, Wrong>,
        signing: &Result<Option<SigningConfig>, Wrong>,
    ) -> Result<(), Wrong> {
        let (Ok(policy), Ok(None)) = (policy, signing) else { return Ok(()) };
        if !policy.trust.signs_packages() {
            return Ok(());
        }
        Err(self.complain(
            "sign-packages".to_owned(),
            Complaint {
                message: "packages are to be signed, and there is no key to sign them with".to_owned(),
                hint: Some("name one: signing-key = \"/etc/yrm/signing.key\"; `yrm key generate` makes it".to_owned()),
            },
        ))
    }

    fn datadog(&mut self) -> Result<Option<Datadog>, Wrong> {
        let key = self.secret("datadog-api-key");
        let application_key = self.secret("datadog-app-key");
        let site = self.required("datadog-site", parse::datadog_site);
        let statsd = self.optional("dogstatsd", parse::host_and_port);
        let datadog = Datadog { api_key: key?, app_key: application_key?, site: site?, statsd: statsd? };
        Ok((datadog.api_key.is_some() || datadog.statsd.is_some()).then_some(datadog))
    }

    fn notify(&mut self) -> Result<Option<Notify>, Wrong> {
        let topic = self.optional("notify-topic", parse::topic);
        let (webhook, secret) = (self.secret("notify-webhook"), self.secret("notify-secret"));
        let on = self.required("notify-on", parse::notify_on);
        let shape = self.required("notify-shape", parse::notify_shape);
        let (topic, webhook, secret, on, shape) = (topic?, webhook?, secret?, on?, shape?);
        let wrong = |message: &str, hint: &str| Complaint { message: message.to_owned(), hint: Some(hint.to_owned()) };
        let complaint = match &webhook {
            // The address may hold a secret: it is not repeated.
            Some(Secret::Known(url)) if parse::web_url(url).is_err() => {
                Some(wrong("this is not a web address", "write https://host/path, without a user's name"))
            }
            // Slack and Teams look at no signature: they know the sender by the address.
            Some(_) if secret.is_none() && shape == NotifyShape::Yrm => Some(wrong(
                "notices need a secret to be signed with",
                "set notify-secret-file; the receiver checks the Yrm-Signature header with the same secret",
            )),
            Some(_) | None => None,
        };
        if let Some(complaint) = complaint {
            return Err(self.complain("notify-webhook".to_owned(), complaint));
        }
        Ok((topic.is_some() || webhook.is_some()).then_some(Notify { webhook, topic, secret, on, shape }))
    }

    /// A secret or its `-file` twin, whichever was said louder.
    fn secret(&mut self, name: &'static str) -> Result<Option<Secret>, Wrong> {
        let file_name = format!("{name}-file");
        let (plain, file) = (self.low.get(name), self.low.get(&file_name));
        let file = match (plain, file) {
            (None, None) => return Ok(None),
            (Some(plain), Some(file)) if plain.source.layer() == file.source.layer() => {
                self.problems.push(Problem {
                    place: name.to_owned(),
                    message: format!("{} and {} both set it", plain.source, file.source),
                    hint: Some(format!("keep {file_name}")),
                });
                return Err(Wrong);
            }
            (Some(plain), Some(file)) if plain.source.layer() > file.source.layer() => {
                return self.optional(name, known);
            }
            (Some(_), None) => return self.optional(name, known),
            (_, Some(file)) => file,
        };
        let read = place::secret(&file.text).and_then(|place| match place {
            SecretPlace::File(path) => read_secret(&file.source.locate(path)),
            SecretPlace::Aws(secret) => Ok(Secret::Kept(secret)),
        });
        let place = format!("{file_name} ({})", file.source);
        read.map(Some).map_err(|complaint| self.complain(place, complaint))
    }

    /// A path that the setting `name` holds, by where it was said.
    fn located(&self, name: &str, path: PathBuf) -> PathBuf {
        match self.low.get(name) {
            Some(value) => value.source.locate(path),
            None => path,
        }
    }

    fn located_key(&self, key: KeyPlace) -> KeyPlace {
        match key {
            KeyPlace::File(path) => KeyPlace::File(self.located("signing-key", path)),
            KeyPlace::Kms(_) => key,
        }
    }

    fn located_keyring(&self, place: KeyringPlace) -> KeyringPlace {
        match place {
            KeyringPlace::Path(path) => KeyringPlace::Path(self.located("keyring", path)),
            KeyringPlace::Bucket(_) => place,
        }
    }

    fn required<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, Complaint>) -> Result<T, Wrong> {
        self.optional(name, parse).map(|value| value.expect("a required setting has a default in the table"))
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Result<Option<T>, Wrong> {
        let Some(value) = self.low.get(name) else { return Ok(None) };
        let place = || format!("{name} ({})", value.source);
        parse(&value.text).map(Some).map_err(|complaint| self.complain(place(), complaint))
    }

    fn complain(&mut self, place: String, complaint: Complaint) -> Wrong {
        self.problems.push(Problem { place, message: complaint.message, hint: complaint.hint });
        Wrong
    }
}

fn nonempty(text: &str) -> Result<String, Complaint> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(Complaint { message: "this is empty or holds control characters".to_owned(), hint: None });
    }
    Ok(text.to_owned())
}

fn known(text: &str) -> Result<Secret, Complaint> {
    sound_key(text).map(Secret::Known)
}

fn read_secret(path: &std::path::Path) -> Result<Secret, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|error| Complaint {
        message: format!("reading {}: {error}", path.display()),
        hint: Some("the file holds the key and nothing else".to_owned()),
    })?;
    known(&text)
}

/// A row of `config show`.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// The setting's name.
    pub name: &'static str,
    /// Its value as typed; a secret is only said to be set.
    pub value: Option<String>,
    /// Where it came from.
    pub source: String,
}

/// Every setting with its value and where that came from; secrets are not shown.
pub fn show(low: &Low) -> Vec<Shown> {
    let row = |setting: &settings::Setting| {
        let value = low.get(setting.name);
        let text = value.map(|value| match setting.kind {
            Kind::Secret => "(set, not shown)".to_owned(),
            Kind::Text | Kind::Number | Kind::Switch => without_password(&value.text),
        });
        Shown {
            name: setting.name,
            value: text,
            source: value.map_or_else(|| "unset".to_owned(), |value| value.source.to_string()),
        }
    };
    let rules = low.rules.iter().map(|rule| Shown {
        name: "rule",
        value: Some(rules::in_short(rule)),
        source: low.rules_source.to_string(),
    });
    settings::SETTINGS.iter().map(row).chain(rules).collect()
}

/// An address that was typed with a password, which no setting takes, is shown without it.
fn without_password(text: &str) -> String {
    match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://(not shown)@{host}"),
        None => text.to_owned(),
    }
}
