//! `yrm key`: the keys that sign metadata.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::context::{Context, DONE, Purpose, bucket_of, signer};
use super::flags::{Flags, ForSigning};
use super::output::{table, time};
use crate::bucket::{generations, signature};
use crate::check::signature::{Keys, Verdict, published};
use crate::config::{Config, KeyPlace, SignWith, SigningConfig, Source, place};
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::key::{Algorithm, Made, PublicKey, generate};
use crate::openpgp::sign::{Signer, passphrase, read_passphrase};
use crate::store::key::{Key, RepositoryDir};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Make a signing key: a file with the secret key, and its public key beside it
    Generate(GenerateArgs),
    /// Show the keys that sign now, those that will, and those that are published
    List(Signing),
    /// Print the public keys
    Export(Signing),
    /// Make the next key and publish it beside the present one; with --promote, sign
    /// with it
    Rotate(RotateArgs),
    /// Check that every repomd.xml has a valid signature
    Verify(VerifyArgs),
}

/// Flags that name keys.
#[derive(Debug, Args)]
pub(super) struct Signing {
    #[command(flatten)]
    signing: Flags<ForSigning>,
}

/// What a new key is like.
#[derive(Debug, Args)]
pub(super) struct NewKey {
    /// The file for the secret key; the public key goes beside it, as FILE.pub
    #[arg(long, value_name = "FILE", default_value = "yrm-signing.key")]
    out: PathBuf,
    /// The kind of key; every client verifies RSA
    #[arg(long, value_enum, default_value = "rsa4096")]
    algorithm: Kind,
    /// The name of the key's owner, as clients show it
    #[arg(long, value_name = "TEXT", default_value = "yrm package repository")]
    user_id: String,
}

/// What `key generate` takes.
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    #[command(flatten)]
    new: NewKey,
    /// Encrypt the secret key with the passphrase in this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What `key rotate` takes.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    new: NewKey,
    /// Make no key: use this one, a file or a key in AWS KMS
    #[arg(long, value_name = "FILE|awskms:KEY", conflicts_with_all = ["promote", "out", "algorithm", "user_id"])]
    next: Option<String>,
    /// Make no key: sign with the second one of signing-key from now on
    #[arg(long)]
    promote: bool,
    #[command(flatten)]
    signing: Signing,
}

/// What `key verify` takes.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Verify with the public keys in this file, not the configured or published ones
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

/// `--algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Rsa4096,
    Ed25519,
}

impl KeyVerb {
    /// The flags that name keys, if the verb takes them.
    pub(super) fn signing(&self) -> Option<&Flags<ForSigning>> {
        match self {
            Self::Generate(_) => None,
            Self::List(args) | Self::Export(args) => Some(&args.signing),
            Self::Rotate(args) => Some(&args.signing.signing),
            Self::Verify(args) => Some(&args.signing.signing),
        }
    }
}

/// Does what was asked.
pub(super) async fn execute(verb: &KeyVerb, context: &Context) -> Result<u8> {
    match verb {
        KeyVerb::Generate(args) => make(args, context),
        KeyVerb::List(_) => list(context).await,
        KeyVerb::Export(_) => export(context).await,
        KeyVerb::Rotate(args) if args.promote => promote(context).await,
        KeyVerb::Rotate(args) => rotate(args, context).await,
        KeyVerb::Verify(args) => verify(args, context).await,
    }
}

/// Needs no configuration.
fn make(args: &GenerateArgs, context: &Context) -> Result<u8> {
    let passphrase = args.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let made = new_key(&args.new, passphrase.as_deref(), context)?;
    tell(&made, &args.new.out, context)?;
    context.output.hint(&format!(
        "set signing-key = \"{}\" for the service and keep a copy where nobody else can read it; docs/tasks/sign-metadata.md goes on",
        args.new.out.display()
    ));
    Ok(DONE)
}

fn new_key(new: &NewKey, passphrase: Option<&str>, context: &Context) -> Result<Made> {
    let algorithm = match new.algorithm {
        Kind::Rsa4096 => Algorithm::Rsa4096,
        Kind::Ed25519 => Algorithm::Ed25519,
    };
    // Before the seconds that a long key takes.
    if new.out.exists() {
        return Err(Error::new(ErrorKind::Config, format!("writing {}", new.out.display()))
            .because("there is a file of that name")
            .hint("yrm never writes over a key; name another file with --out"));
    }
    if context.output.is_watched() && new.algorithm == Kind::Rsa4096 {
        context.output.say("Making an RSA key of 4096 bits: this can take half a minute");
    }
    let made = generate(algorithm, &new.user_id, Timestamp::now(), passphrase)?;
    write_new(&new.out, &made.secret, 0o600)?;
    write_new(&beside(&new.out), &made.public, 0o644)?;
    Ok(made)
}

fn tell(made: &Made, secret: &Path, context: &Context) -> Result<()> {
    let public = beside(secret);
    let fingerprint = made.key.fingerprint();
    let value = json!({"fingerprint": fingerprint, "secret": secret, "public": public});
    context.output.data(&value, |_| {
        format!("{fingerprint}\nsecret key: {}\npublic key: {}\n", secret.display(), public.display())
    })
}

fn beside(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        Error::new(ErrorKind::Config, format!("writing {}", path.display()))
            .because(error)
            .hint("yrm never writes over a key; name a file that can be made with --out")
    })
}

/// One key for people.
#[derive(Debug, Serialize)]
struct Row {
    fingerprint: String,
    algorithm: String,
    created: Timestamp,
    expires: Option<Timestamp>,
    user_id: String,
    role: &'static str,
    published: bool,
}

async fn list(context: &Context) -> Result<u8> {
    let opened = context.open(Purpose::Looking).await?;
    let (config, signer) = (&opened.config, signer(&opened.config).await?);
    let fetched = published(&bucket_of(&opened)?).await?;
    let configured: Vec<PublicKey> = signer.iter().flat_map(Signer::public_keys).cloned().collect();
    let signs_all = config.signing.as_ref().is_some_and(|signing| signing.with == SignWith::All);
    let places = config.signing.iter().flat_map(|signing| &signing.keys);
    // Keys tell whole seconds; of two that were made within one the files tell which is the newer.
    let ages: Vec<_> = configured.iter().zip(places).map(|(key, place)| (key.created(), written(place))).collect();
    let row = |key: &PublicKey| Row {
        fingerprint: key.fingerprint(),
        algorithm: key.algorithm(),
        created: key.created(),
        expires: key.expires(),
        user_id: key.user_id(),
        role: match configured.iter().position(|configured| configured.fingerprint() == key.fingerprint()) {
            Some(0) => "signs",
            Some(_) if signs_all => "signs",
            Some(at) if ages[at] > ages[0] => "next",
            Some(_) => "earlier",
            None => "published only",
        },
        published: fetched.iter().any(|fetched| fetched.fingerprint() == key.fingerprint()),
    };
    let others = fetched.iter().filter(|key| !configured.iter().any(|own| own.fingerprint() == key.fingerprint()));
    let rows: Vec<Row> = configured.iter().chain(others).map(row).collect();
    context.output.data(&rows, |rows| human(rows))?;
    if configured.is_empty() {
        context.output.hint("signing is off; `yrm key generate` makes a key, and docs/tasks/sign-metadata.md goes on");
    }
    Ok(DONE)
}

/// When a key's file was written.
fn written(place: &KeyPlace) -> Option<SystemTime> {
    match place {
        KeyPlace::File(path) => std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok(),
        KeyPlace::Kms(_) => None,
    }
}

fn human(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there is no key\n".to_owned();
    }
    let cells = |row: &Row| {
        [
            row.fingerprint.clone(),
            row.algorithm.clone(),
            time(row.created),
            row.expires.map_or_else(|| "never".to_owned(), time),
            row.role.to_owned(),
            if row.published { "yes" } else { "no" }.to_owned(),
            row.user_id.clone(),
        ]
    };
    table(["key", "kind", "made", "ends", "role", "published", "whose"], rows.iter().map(cells))
}

async fn export(context: &Context) -> Result<u8> {
    let keys = configured(&context.config()?).await?.key_file()?;
    context.output.text(&String::from_utf8_lossy(&keys))?;
    Ok(DONE)
}

/// The configured keys; an error when there are none.
async fn configured(config: &Config) -> Result<Signer> {
    signer(config).await?.ok_or_else(|| {
        Error::new(ErrorKind::Config, "reading the signing keys")
            .because("signing-key is not set")
            .hint("`yrm key generate` makes a key; docs/tasks/sign-metadata.md goes on")
    })
}

async fn rotate(args: &RotateArgs, context: &Context) -> Result<u8> {
    let config = context.config()?;
    // Both must work before a third file lies about.
    configured(&config).await?;
    let signing = config.signing.as_ref().expect("there are configured keys");
    let next = match &args.next {
        Some(next) => taken(next, signing, &config, context).await?,
        None => made(args, signing, &config, context).await?,
    };
    let mut keys = signing.keys.clone();
    keys.insert(1, next);
    set_keys(&keys, context)?;
    context.output.hint(
        "restart the service: the new public key is then published beside the present one, which goes on signing. When \
         clients have it, `yrm key rotate --promote` lets it sign",
    );
    Ok(DONE)
}

/// A new key in a file, locked as the present ones are.
async fn made(args: &RotateArgs, signing: &SigningConfig, config: &Config, context: &Context) -> Result<KeyPlace> {
    let passphrase = match &signing.passphrase {
        Some(place) => Some(passphrase(place, &config.s3).await?),
        None => None,
    };
    let made = new_key(&args.new, passphrase.as_deref(), context)?;
    tell(&made, &args.new.out, context)?;
    Ok(KeyPlace::File(args.new.out.clone()))
}

/// A key that is there already, if it signs and is not one of the present ones.
async fn taken(next: &str, signing: &SigningConfig, config: &Config, context: &Context) -> Result<KeyPlace> {
    let refuse = |why: String| Error::new(ErrorKind::Config, format!("taking {next} as the next key")).because(why);
    let next = place::key(next).map_err(|complaint| refuse(complaint.message))?;
    let keys = signing.keys.iter().cloned().chain([next.clone()]).collect();
    let all = Signer::load(&SigningConfig { keys, ..signing.clone() }, &config.s3).await?;
    let mut fingerprints: Vec<String> = all.public_keys().map(PublicKey::fingerprint).collect();
    let fingerprint = fingerprints.pop().unwrap_or_default();
    if fingerprints.contains(&fingerprint) {
        return Err(refuse("it is one of the present keys".to_owned()));
    }
    context.output.data(&json!({"fingerprint": fingerprint}), |_| format!("{fingerprint}\n"))?;
    Ok(next)
}

async fn promote(context: &Context) -> Result<u8> {
    let config = context.config()?;
    let signer = configured(&config).await?;
    let mut keys = config.signing.as_ref().map(|signing| signing.keys.clone()).unwrap_or_default();
    let Some(next) = signer.public_keys().nth(1) else {
        return Err(Error::new(ErrorKind::Config, "promoting the next key")
            .because("signing-key names one key only")
            .hint("`yrm key rotate` makes the next one"));
    };
    let fingerprint = next.fingerprint();
    keys.swap(0, 1);
    context.output.data(&json!({"fingerprint": fingerprint}), |_| format!("{fingerprint} signs next\n"))?;
    set_keys(&keys, context)?;
    context.output.hint(
        "restart the service: every repository is then signed by it at once. Take the old key out of signing-key when no \
         client needs it any more",
    );
    Ok(DONE)
}

/// Writes the keys into the configuration file if they stand there on a line of their own, or says what
/// to write.
fn set_keys(keys: &[KeyPlace], context: &Context) -> Result<()> {
    let absolute: Vec<KeyPlace> = keys.iter().map(absolute).collect();
    let line = |keys: &[KeyPlace]| {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        format!("signing-key = {}", toml::Value::from(names))
    };
    if let Some(Source::File(path)) = context.low.get("signing-key").map(|value| &value.source) {
        let line = line(&as_in_file(&absolute, path, context));
        let failed = |error| Error::new(ErrorKind::Config, format!("changing {}", path.display())).because(error);
        let text = std::fs::read_to_string(path).map_err(failed)?;
        if let Some(changed) = with_line(&text, &line) {
            std::fs::write(path, changed).map_err(failed)?;
            context.output.say(&format!("{} now says {line}", path.display()));
            return Ok(());
        }
    }
    let names: Vec<String> = absolute.iter().map(ToString::to_string).collect();
    context.output.say(&format!("Now set {}, or YRM_SIGNING_KEY={}", line(&absolute), names.join(",")));
    Ok(())
}

/// The same place, wherever it is named.
fn absolute(key: &KeyPlace) -> KeyPlace {
    match key {
        KeyPlace::File(path) => KeyPlace::File(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        KeyPlace::Kms(_) => key.clone(),
    }
}

/// The keys as the configuration file names them: relative to its folder, where it names one so already.
fn as_in_file(keys: &[KeyPlace], file: &Path, context: &Context) -> Vec<KeyPlace> {
    let typed = context.low.get("signing-key").and_then(|value| place::keys(&value.text).ok()).unwrap_or_default();
    let is_relative = |key: &KeyPlace| matches!(key, KeyPlace::File(path) if path.is_relative());
    let folder = file.parent().and_then(|folder| std::path::absolute(Path::new(".").join(folder)).ok());
    let Some(folder) = folder.filter(|_| typed.iter().any(is_relative)) else { return keys.to_vec() };
    let named = |key: &KeyPlace| match key {
        KeyPlace::File(path) => KeyPlace::File(path.strip_prefix(&folder).unwrap_or(path).to_owned()),
        KeyPlace::Kms(_) => key.clone(),
    };
    keys.iter().map(named).collect()
}

/// `text` with the one line that sets signing-key replaced; `None` when there is not exactly one, or its
/// value goes on in the next.
fn with_line(text: &str, line: &str) -> Option<String> {
    let sets = |text: &&str| {
        let name = text.split_once('=').map_or("", |(name, _)| name.trim());
        name == "signing-key" || name == "signing_key"
    };
    let mut found = text.lines().filter(sets);
    let (old, None) = (found.next()?, found.next()) else { return None };
    toml::from_str::<toml::Table>(old).ok()?;
    let lines = text.lines().map(|text| if text == old { line } else { text });
    Some(lines.flat_map(|line| [line, "\n"]).collect())
}

/// One repository's signature for people.
#[derive(Debug, Serialize)]
struct Judged {
    repository: RepositoryDir,
    good: bool,
    state: String,
}

/// Exit code 6 when a signature is not good.
async fn verify(args: &VerifyArgs, context: &Context) -> Result<u8> {
    let opened = context.open(Purpose::Looking).await?;
    let bucket = bucket_of(&opened)?.with_signer(signer(&opened.config).await?);
    let keys = match &args.key {
        Some(path) => Keys::new(read_public(path)?),
        None => Keys::of(&bucket).await?,
    };
    let mut rows = Vec::new();
    for repository in generations::repositories(&bucket).await? {
        let repomd = bucket.store.get(&bucket.path(Key::Repomd { repository: &repository }), None).await?;
        let Some(repomd) = repomd else { continue };
        let signature = signature::read(&bucket, &repository).await?;
        let (good, state) = match keys.judge(&repomd.bytes, signature.as_ref()) {
            Verdict::SignedBy(fingerprint) => (true, format!("signed by {fingerprint}")),
            Verdict::Unsigned | Verdict::Missing => (false, "not signed".to_owned()),
            Verdict::Stale => (false, "the signature is not by these keys over this repomd.xml".to_owned()),
            Verdict::Unknown => (false, "signed, but there is no key to judge by".to_owned()),
        };
        rows.push(Judged { repository, good, state });
    }
    context.output.data(&rows, |rows| {
        table(["repository", "state"], rows.iter().map(|row| [row.repository.to_string(), row.state.clone()]))
    })?;
    Ok(if rows.iter().all(|row| row.good) { DONE } else { ErrorKind::Corrupt.exit_code() })
}

fn read_public(path: &Path) -> Result<Vec<PublicKey>> {
    let refuse = || format!("reading the public keys in {}", path.display());
    let bytes = std::fs::read(path).map_err(|error| Error::new(ErrorKind::Config, refuse()).because(error))?;
    PublicKey::read_all(&bytes).map_err(|error| Error::new(ErrorKind::Config, refuse()).because(error))
}

#[cfg(test)]
mod tests {
    use super::with_line;

    #[test]
    fn the_one_line_that_sets_the_keys_is_replaced_and_nothing_else() {
        let text = "# signing-key = \"x\"\nbucket = \"./b\"\nsigning-key = [\"a\"] # the first\n";
        let changed = "# signing-key = \"x\"\nbucket = \"./b\"\nsigning-key = [\"a\", \"b\"]\n";
        assert_eq!(with_line(text, "signing-key = [\"a\", \"b\"]").as_deref(), Some(changed));
        assert_eq!(with_line("signing-key = [\n\"a\"]\n", "signing-key = []"), None);
        assert_eq!(with_line("bucket = \"./b\"\n", "signing-key = []"), None);
    }
}
