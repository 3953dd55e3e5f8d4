//! Who may publish what where: for the folder of a package the rule that holds, the keys that may
//! sign there, and what its signatures are worth. Reads keyrings; never a package, never writes.
//!
//! What is published already is not asked again: the gate stands between inbox and repository,
//! before a promotion, and before a repository that is made from files which no metadata names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobMatcher;
use jiff::Timestamp;
use rpmmd::compress::Compression;

use super::listing::list_all;
use super::report::Remark;
use super::verdict::Reason;
use crate::config::globs::{self, skeleton};
use crate::config::{self, KeyringPlace, Level, OnConflict, SignPackages};
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::keyring::{Fingerprint, Keyring, MAX_KEYRING_BYTES, NoKeys};
use crate::openpgp::verify;
use crate::store::{ETag, Store};

/// The code of a remark on a folder that looks like another one. No reason to turn anything away.
const LOOK_ALIKE: &str = "W_LOOK_ALIKE";

/// Files of a keyring's folder that are read at most.
const MAX_KEYRING_FILES: usize = 1_000;

/// The rules, ready to answer, and the keys.
pub struct Gate {
    level: Level,
    sign: SignPackages,
    rules: Vec<Rule>,
    files: Arc<Keyring>,
    folders: Vec<String>,
    /// The keys of the bucket's folders as they were last seen, and what they were read from.
    seen: Mutex<Option<(Seen, Arc<Keyring>)>>,
}

/// Keys of objects and their states.
type Seen = Vec<(String, ETag)>;

struct Rule {
    folders: Vec<GlobMatcher>,
    /// The same for what looks like one of its folders.
    look_alikes: Vec<GlobMatcher>,
    names: Vec<GlobMatcher>,
    only: Option<Arc<[Fingerprint]>>,
    level: Level,
    sign: SignPackages,
    /// For messages: its globs.
    spelt: config::Rule,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("level", &self.level).field("keys", &self.files.len()).finish_non_exhaustive()
    }
}

/// What holds for one package.
#[derive(Debug, Clone, Copy)]
pub struct Demands<'g> {
    /// What is asked of its signatures.
    pub level: Level,
    /// Whether it is signed here.
    pub sign: SignPackages,
    rule: Option<&'g Rule>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spelt.fmt(f)
    }
}

impl Gate {
    /// Opens the gate: reads the keyrings of the local disk. The error is of kind `Config`.
    pub fn new(trust: &config::Trust) -> Result<Self> {
        let rules = trust.rules.iter().map(|rule| Rule::new(rule, trust)).collect::<Result<Vec<_>>>()?;
        let (mut files, mut folders) = (Keyring::default(), Vec::new());
        let wanted = if trust.reads_keyrings() { trust.keyrings.as_slice() } else { &[] };
        for place in wanted {
            match place {
                KeyringPlace::Path(path) => files.add(read_path(path)?),
                KeyringPlace::Bucket(folder) => folders.push(folder.clone()),
            }
        }
        let (level, sign, files) = (trust.signatures, trust.sign_packages, Arc::new(files));
        let gate = Self { level, sign, rules, files, folders, seen: Mutex::default() };
        if gate.folders.is_empty() {
            gate.check_named(&gate.files)?;
        }
        Ok(gate)
    }

    /// Whether folders differ at all.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The number of the rule that holds for the package at this path below the inbox: the first that has
    /// a glob for its folder or for one above it.
    pub fn rule_of(&self, path: &str) -> Option<usize> {
        if self.rules.is_empty() {
            return None;
        }
        let folders = folders_of(path);
        self.rules.iter().position(|rule| rule.fits(&folders))
    }

    /// How the rule for a repository's folder, or for one above it, says that its metadata is compressed.
    pub fn compression(&self, folder: &str) -> Option<Compression> {
        let inside = format!("{folder}/");
        let folders = folders_of(if folder.is_empty() { "" } else { &inside });
        self.rules.iter().find(|rule| rule.fits(&folders)).and_then(|rule| rule.spelt.compression)
    }

    /// What becomes of a package at this path below the inbox whose path or name other bytes have, if a rule says.
    pub fn on_conflict(&self, path: &str) -> Option<OnConflict> {
        self.rule_of(path).and_then(|number| self.rules[number].spelt.on_conflict)
    }

    /// What is to be said where a folder of this path only looks like one that a rule is for.
    pub fn look_alike(&self, path: &str) -> Option<Remark> {
        let own = self.rule_of(path);
        let skeletons: Vec<String> = folders_of(path).into_iter().map(skeleton).collect();
        let folders: Vec<&str> = skeletons.iter().map(String::as_str).collect();
        let twin = self.rules.iter().position(|rule| fit(&rule.look_alikes, &folders))?;
        if own.is_some_and(|own| own <= twin) {
            return None;
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let meant = self.rules[twin].spelt.folders.join(", ");
        let message =
            format!("its folder {folder:?} looks like one of the rule for {meant:?}, which does not hold there");
        Some(Remark { code: LOOK_ALIKE.to_owned(), message })
    }

    /// What holds for the package at this path below the inbox.
    pub fn demands(&self, path: &str) -> Demands<'_> {
        let rule = self.rule_of(path).map(|number| &self.rules[number]);
        let (level, sign) = rule.map_or((self.level, self.sign), |rule| (rule.level, rule.sign));
        Demands { level, sign, rule }
    }

    /// The keys: those of the local disk, and what the bucket's folders hold now.
    pub async fn keyring(&self, store: &dyn Store) -> Result<Arc<Keyring>> {
        if self.folders.is_empty() {
            return Ok(Arc::clone(&self.files));
        }
        let mut objects = Vec::new();
        for folder in &self.folders {
            objects.extend(list_all(store, &format!("{folder}/")).await?);
        }
        objects.retain(|object| object.size_bytes > 0);
        let seen: Seen = objects.iter().map(|object| (object.key.clone(), object.etag.clone())).collect();
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((before, keyring)) = known
            && before == seen
        {
            return Ok(keyring);
        }
        let doing = |key: &str| format!("reading the keyring bucket:{key}");
        if objects.len() > MAX_KEYRING_FILES {
            let message = format!("more than {MAX_KEYRING_FILES} files");
            return Err(Error::new(ErrorKind::Config, doing(&self.folders.join(", "))).because(message));
        }
        let mut keyring = Keyring::clone(&self.files);
        for object in &objects {
            if object.size_bytes > MAX_KEYRING_BYTES {
                return Err(too_long(doing(&object.key)));
            }
            let Some(read) = store.get(&object.key, None).await? else { continue };
            keyring.add(Keyring::parse(&read.bytes).map_err(|why| no_keys(doing(&object.key), why))?);
        }
        if objects.is_empty() && keyring.is_empty() {
            return Err(no_files(doing(&self.folders.join(", "))));
        }
        if keyring.is_empty() {
            return Err(no_keys(doing(&self.folders.join(", ")), NoKeys::Empty));
        }
        self.check_named(&keyring)?;
        let keyring = Arc::new(keyring);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((seen, Arc::clone(&keyring)));
        Ok(keyring)
    }

    /// A rule that names a key nobody has would refuse everything.
    fn check_named(&self, keyring: &Keyring) -> Result<()> {
        let named = self.rules.iter().filter_map(|rule| Some((rule, rule.only.as_ref()?)));
        for (rule, only) in named {
            if let Some(unknown) = only.iter().find(|fingerprint| !keyring.has(fingerprint)) {
                let doing = format!("reading the rule for {}", rule.spelt.folders.join(", "));
                let message = format!("no keyring has the key {unknown}");
                let hint = "add the key to a keyring, or take it out of the rule; `gpg --show-keys --with-subkey-fingerprint \
                            FILE` shows fingerprints";
                return Err(Error::new(ErrorKind::Config, doing).because(message).hint(hint));
            }
        }
        Ok(())
    }
}

impl Rule {
    /// Whether it holds in the innermost of these folders.
    fn fits(&self, folders: &[&str]) -> bool {
        fit(&self.folders, folders)
    }

    fn new(rule: &config::Rule, elsewhere: &config::Trust) -> Result<Self> {
        let doing = || format!("reading the rule for {}", rule.folders.join(", "));
        let globs = |texts: &[String]| {
            let globs = texts.iter().map(|text| globs::glob(text));
            globs.collect::<Result<Vec<_>, _>>().map_err(|why| Error::new(ErrorKind::Config, doing()).because(why))
        };
        let fingerprint = |text: &String| {
            Fingerprint::parse(text).ok_or_else(|| {
                let error = Error::new(ErrorKind::Config, doing()).because(format!("{text:?} is no key's fingerprint"));
                error.hint("write all 40 (or 64) digits; shorter ids can be forged. `gpg --show-keys FILE` shows them")
            })
        };
        let folders = |texts: &[String]| {
            let globs = texts.iter().map(|text| globs::folder_globs(text)).collect::<Result<Vec<_>, _>>();
            globs.map(|globs| globs.concat()).map_err(|why| Error::new(ErrorKind::Config, doing()).because(why))
        };
        let skeletons: Vec<String> = rule.folders.iter().map(|text| skeleton(text)).collect();
        let only = rule.keys.iter().map(fingerprint).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            folders: folders(&rule.folders)?,
            look_alikes: folders(&skeletons)?,
            names: globs(&rule.names)?,
            only: (!only.is_empty()).then(|| only.into()),
            level: rule.signatures.unwrap_or(elsewhere.signatures),
            sign: rule.sign_packages.unwrap_or(elsewhere.sign_packages),
            spelt: rule.clone(),
        })
    }
}

fn fit(globs: &[GlobMatcher], folders: &[&str]) -> bool {
    globs.iter().any(|glob| folders.iter().any(|folder| glob.is_match(folder)))
}

/// The folder that a path lies in and those above it, the outermost first.
fn folders_of(path: &str) -> Vec<&str> {
    std::iter::once("").chain(path.match_indices('/').map(|(at, _)| &path[..at])).collect()
}

fn no_keys(doing: String, why: NoKeys) -> Error {
    let hint = why.hint();
    Error::new(ErrorKind::Config, doing).because(why).hint(hint)
}

fn too_long(doing: String) -> Error {
    let message = format!("over {MAX_KEYRING_BYTES} bytes, so it is no keyring");
    Error::new(ErrorKind::Config, doing).because(message)
}

/// A file's keys, or those of every file in a folder.
fn read_path(path: &Path) -> Result<Keyring> {
    let doing = || format!("reading the keyring {}", path.display());
    let unreadable = |error: std::io::Error| {
        let hint = "name a file with public keys, or a folder of such files, that the user yrm runs as may read";
        Error::new(ErrorKind::Config, doing()).because(error).hint(hint)
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return read_file(path);
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|path| !hidden(path) && !path.is_dir());
    files.sort();
    if files.len() > MAX_KEYRING_FILES {
        let message = format!("more than {MAX_KEYRING_FILES} files");
        return Err(Error::new(ErrorKind::Config, doing())
            .because(message)
            .hint("name the folder that holds the keys alone"));
    }
    if files.is_empty() {
        return Err(no_files(doing()));
    }
    let mut keyring = Keyring::default();
    for file in &files {
        keyring.add(read_file(file)?);
    }
    if keyring.is_empty() { Err(no_keys(doing(), NoKeys::Empty)) } else { Ok(keyring) }
}

fn no_files(doing: String) -> Error {
    Error::new(ErrorKind::Config, doing)
        .because("the folder is empty")
        .hint("put the public keys into it that packages may be signed with: `gpg --armor --export KEYID > team.asc`")
}

fn read_file(path: &Path) -> Result<Keyring> {
    let doing = || format!("reading the keyring {}", path.display());
    let unreadable = |error: std::io::Error| {
        let hint = "let the user that yrm runs as read the file";
        Error::new(ErrorKind::Config, doing()).because(error).hint(hint)
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_KEYRING_BYTES {
        return Err(too_long(doing()));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Keyring::parse(&bytes).map_err(|why| no_keys(doing(), why))
}

impl Demands<'_> {
    /// Refuses a name that is not for this folder.
    pub fn check_name(&self, name: &str) -> Result<(), (Reason, String)> {
        match self.rule {
            Some(rule) if !rule.names.is_empty() && !rule.names.iter().any(|glob| glob.is_match(name)) => {
                let (folders, names) = (rule.spelt.folders.join(", "), rule.spelt.names.join(", "));
                Err((Reason::PolicyName, format!("its name is \"{name}\", and the rule for {folders} allows {names}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Who may sign, and when it is.
    pub fn trust(&self, keyring: Arc<Keyring>, now: Timestamp) -> verify::Trust {
        verify::Trust { keyring, only: self.only(), now }
    }

    /// The keys that may sign there; `None` when all may.
    pub fn only(&self) -> Option<Arc<[Fingerprint]>> {
        self.rule.and_then(|rule| rule.only.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(rules: &[(&[&str], Option<Level>)]) -> Gate {
        let rule = |(folders, signatures): &(&[&str], Option<Level>)| config::Rule {
            folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
            names: vec!["lib*".to_owned()],
            keys: Vec::new(),
            signatures: *signatures,
            sign_packages: None,
            ..config::Rule::default()
        };
        let rules = rules.iter().map(rule).collect();
        Gate::new(&config::Trust { rules, ..config::Trust::default() }).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_a_folder_or_one_above_it_holds() {
        let gate = gate(&[
            (&["el9/*"], Some(Level::Require)),
            (&["el9/x86_64", "tools"], Some(Level::Warn)),
            (&["all/**"], Some(Level::Warn)),
        ]);
        let level = |path: &str| gate.demands(path).level;
        assert_eq!(level("el9/x86_64/a.rpm"), Level::Require);
        assert_eq!(level("el9/x86_64/deep/er/a.rpm"), Level::Require);
        assert_eq!(level("el9/a.rpm"), Level::Off);
        assert_eq!(level("el90/x/a.rpm"), Level::Off);
        assert_eq!(level("tools/a.rpm"), Level::Warn);
        assert_eq!(level("all/x/a.rpm"), Level::Warn);
        assert_eq!(level("a.rpm"), Level::Off);
        assert!(gate.demands("tools/a.rpm").check_name("libx").is_ok());
        let (reason, message) = gate.demands("tools/a.rpm").check_name("x").unwrap_err();
        assert_eq!(reason, Reason::PolicyName);
        assert_eq!(message, "its name is \"x\", and the rule for el9/x86_64, tools allows lib*");
        assert!(gate.demands("a.rpm").check_name("x").is_ok());
    }

    #[test]
    fn two_stars_are_every_folder() {
        let gate = gate(&[(&["**"], Some(Level::Require))]);
        for path in ["a.rpm", "el9/a.rpm", "el9/x/y/a.rpm"] {
            assert_eq!(gate.demands(path).level, Level::Require, "{path}");
        }
    }

    #[test]
    fn a_folder_and_all_below_it_is_that_folder_too() {
        let gate = gate(&[(&["secure/**"], Some(Level::Require)), (&["el9/*/x/**"], Some(Level::Require))]);
        for path in ["secure/a.rpm", "secure/b/c/a.rpm", "el9/q/x/a.rpm", "el9/q/x/y/a.rpm"] {
            assert_eq!(gate.demands(path).level, Level::Require, "{path}");
        }
        for path in ["a.rpm", "secured/a.rpm", "x/secure/a.rpm", "el9/q/a.rpm"] {
            assert_eq!(gate.demands(path).level, Level::Off, "{path}");
        }
    }
}
