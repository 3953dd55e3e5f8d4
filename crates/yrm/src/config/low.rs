//! What was typed: every setting's text and where it came from, before anyone asks what it means.
//! Layers: built-in default < the bucket's settings < `yrm.toml` < environment < flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use super::settings::{self, OTHER_VARIABLES, SETTINGS, Scope, Setting};
use super::shape::{BUCKET_FILE, Shape, settings_of_buckets};
use super::text::as_text;
use super::trust::Rule;
use super::values::BucketUrl;
use super::{parse, rules};

/// Files that are read when nobody names one, the first that exists.
const USUAL_FILES: [&str; 2] = ["yrm.toml", "/etc/yrm/yrm.toml"];

/// The tables that are no setting.
const RULE: &str = "rule";

/// A configuration file over this size is not one.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a value came from; a later one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Built in.
    Default,
    /// The bucket's own settings.
    Bucket,
    /// The file.
    File(PathBuf),
    /// A variable that others use too (`DD_SITE`).
    SharedVariable(String),
    /// One of our variables.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl Source {
    /// The layer, for "which of two settings was said louder".
    pub(super) fn layer(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Bucket => 1,
            Self::File(_) => 2,
            Self::SharedVariable(_) => 3,
            Self::Variable(_) => 4,
            Self::Flag(_) => 5,
        }
    }
}

impl Source {
    /// A path as it was said here: in a file it is relative to that file's folder, elsewhere to the present one.
    pub(super) fn locate(&self, path: PathBuf) -> PathBuf {
        match self {
            Self::File(file) => match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.join(path.strip_prefix(".").unwrap_or(&path)),
                _ => path,
            },
            Self::Default | Self::Bucket | Self::SharedVariable(_) | Self::Variable(_) | Self::Flag(_) => path,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Bucket => f.write_str(BUCKET_FILE),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::SharedVariable(name) | Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As typed.
    pub text: String,
    /// By what.
    pub source: Source,
}

/// What is layered: the three things outside the program that configure it.
#[derive(Debug, Default)]
pub struct Typed {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Settings given as flags.
    pub flags: Vec<(&'static Setting, String)>,
}

/// Every setting that has a value, and what was wrong on the way.
#[derive(Debug, Clone)]
pub struct Low {
    values: BTreeMap<&'static str, Value>,
    /// What must be mended before anything runs.
    pub problems: Vec<Problem>,
    /// What is worth a word but stops nothing.
    pub warnings: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The `[[rule]]` tables of the file, or else the `[[folder]]` tables of the bucket.
    pub rules: Vec<Rule>,
    /// Where they stand.
    pub rules_source: Source,
    /// Where the cache may be when nobody says where.
    pub usual_caches: Vec<PathBuf>,
    /// Where what must outlive a process may be.
    pub usual_states: Vec<PathBuf>,
}

impl Low {
    /// Layers what was typed. Never fails: what is wrong is collected, so that all of it can be
    /// reported at once.
    pub fn gather(typed: &Typed) -> Self {
        let mut low = Self {
            values: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            file: None,
            rules: Vec::new(),
            rules_source: Source::Default,
            usual_caches: Vec::new(),
            usual_states: Vec::new(),
        };
        for setting in SETTINGS {
            if let Some(text) = setting.default {
                low.set(setting, text, Source::Default);
            }
        }
        low.file = find_file(typed);
        if let Some(path) = low.file.clone() {
            low.read_file(&path);
        }
        let of_the_file = low.get("bucket").cloned();
        low.read_environment(&typed.environment);
        low.usual_caches = usual(&typed.environment, &CACHES);
        low.usual_states = usual(&typed.environment, &STATES);
        for (setting, text) in &typed.flags {
            low.set(setting, text, Source::Flag(setting.flag()));
        }
        if let Some(of_the_file) = of_the_file {
            low.is_for_this_bucket(typed, &of_the_file);
        }
        low
    }

    /// The value of the setting `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    fn set(&mut self, setting: &Setting, text: &str, source: Source) {
        let name = settings::setting(setting.name).expect("a setting is in the table").name;
        self.values.insert(name, Value { text: text.to_owned(), source });
    }

    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { place: place.into(), message: message.into(), hint });
    }

    fn read_file(&mut self, path: &Path) {
        let place = path.display().to_string();
        let text = match std::fs::metadata(path).map(|meta| meta.len()) {
            Ok(length) if length > MAX_FILE_BYTES => {
                return self.problem(place, "this is over 1 MiB, so it is no configuration", None);
            }
            Ok(_) => std::fs::read_to_string(path),
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => self.read_toml(&text, path),
            Err(error) => self.problem(place, error.to_string(), Some("yrm config init writes one".to_owned())),
        }
    }

    fn read_toml(&mut self, text: &str, path: &Path) {
        let place = path.display().to_string();
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                // The parser's own rendering quotes the line, and the line may hold a secret.
                let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
                return self.problem(format!("{place}, line {line}"), error.message().trim().to_owned(), None);
            }
        };
        let mut seen = std::collections::BTreeSet::new();
        for (key, value) in table {
            let name = key.replace('_', "-");
            if name == RULE {
                self.rules = rules::read(RULE, &value, &place, &mut self.problems);
                self.rules_source = Source::File(path.to_owned());
                continue;
            }
            let Some(setting) = settings::setting(&name) else {
                let near = settings::did_you_mean(&name, SETTINGS.iter().map(|setting| setting.name).chain([RULE]));
                self.problem(&place, format!("there is no setting {key:?}"), near.map(did_you_mean));
                continue;
            };
            if !seen.insert(setting.name) {
                self.problem(&place, format!("{:?} is set twice", setting.name), None);
            }
            match as_text(&value) {
                Some(text) => self.set(setting, &text, Source::File(path.to_owned())),
                None => self.problem(
                    format!("{} ({place})", setting.name),
                    format!("a {} is no value for this", value.type_str()),
                    Some("write a string, a whole number, true, false, or a list of strings".to_owned()),
                ),
            }
        }
    }

    /// A `yrm.toml` that merely lies in the working directory says nothing about another bucket than its own.
    fn is_for_this_bucket(&mut self, typed: &Typed, of_the_file: &Value) {
        let is_named = typed.file.is_some() || variable(&typed.environment, settings::CONFIG_VARIABLE).is_some();
        let is_found = !is_named && self.file.as_deref() == Some(Path::new(USUAL_FILES[0]));
        let Some(meant) = self.get("bucket").cloned() else { return };
        if !is_found || place_of(&meant) == place_of(of_the_file) {
            return;
        }
        let message = format!(
            "{} in the working directory is for {}, and {} names {}",
            USUAL_FILES[0], of_the_file.text, meant.source, meant.text
        );
        let hint = format!(
            "name the file that is meant: --config FILE (--config /dev/null for none); or leave {} out",
            meant.source
        );
        self.problem("bucket", message, Some(hint));
    }

    /// The same without any setting of the bucket, and without its problems.
    #[must_use]
    pub fn of_the_process(&self) -> Self {
        let mut low = Self { rules: Vec::new(), rules_source: Source::Default, problems: Vec::new(), ..self.clone() };
        for setting in settings_of_buckets().filter(|setting| setting.scope == Scope::Bucket) {
            match setting.default {
                Some(text) => low.set(setting, text, Source::Default),
                None => drop(low.values.remove(setting.name)),
            }
        }
        low
    }

    /// The same, with the bucket's own settings under what was typed: those that `wanted` names, and the tables that
    /// `of_folders` makes of its own.
    #[must_use]
    pub fn joined(&self, shape: &Shape, wanted: &[&str], of_folders: impl Fn(&Rule) -> Rule) -> Self {
        let mut low = self.clone();
        for setting in settings_of_buckets().filter(|setting| wanted.contains(&setting.name)) {
            let Some(text) = shape.stated(setting.name) else { continue };
            match self.get(setting.name) {
                Some(Value { text: own, .. }) if setting.name == "repositories" && own == parse::AUTO => {
                    low.set(setting, text, Source::Bucket);
                }
                Some(Value { source, .. }) if *source > Source::Bucket && setting.scope != Scope::Places => {}
                // Files are this machine's, beside the bucket's folders.
                Some(Value { text: own, source }) if *source > Source::Bucket => {
                    if !own.contains("bucket:") {
                        low.set(setting, &format!("{text},{own}"), source.clone());
                    }
                }
                Some(_) | None => low.set(setting, text, Source::Bucket),
            }
        }
        if low.rules_source == Source::Default && !shape.folders.is_empty() {
            low.rules = shape.folders.iter().map(of_folders).collect();
            low.rules_source = Source::Bucket;
        }
        low
    }

    /// Whether the layout is to go by what is there.
    pub fn goes_by_what_is_there(&self) -> bool {
        self.get("repositories").is_some_and(|value| value.text == parse::AUTO)
    }

    /// The same with this layout, for a bucket that has no settings yet.
    #[must_use]
    pub fn laid_out(&self, layout: &str) -> Self {
        let mut low = self.clone();
        if let (Some(setting), Some(value)) = (settings::setting("repositories"), self.get("repositories")) {
            low.set(setting, layout, value.source.clone());
        }
        low
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        for setting in SETTINGS {
            let ours = setting.variable();
            let find = |wanted: &str| environment.iter().find(|(name, text)| name == wanted && !text.is_empty());
            if let Some((name, text)) = setting.also_variable.and_then(find) {
                self.set(setting, text, Source::SharedVariable(name.clone()));
            }
            if let Some((name, text)) = setting.former_variable().as_deref().and_then(find) {
                self.set(setting, text, Source::Variable(name.clone()));
            }
            if let Some((_, text)) = find(&ours) {
                self.set(setting, text, Source::Variable(ours));
            }
        }
        let known: Vec<String> = SETTINGS
            .iter()
            .map(Setting::variable)
            .chain(SETTINGS.iter().filter_map(Setting::former_variable))
            .chain(OTHER_VARIABLES.iter().map(|other| other.name.to_owned()))
            .collect();
        for (name, _) in environment.iter().filter(|(name, _)| name.starts_with("YRM_") && !known.contains(name)) {
            // Kubernetes sets YRM_SERVICE_HOST and the like for a service called yrm, so an unknown
            // variable, unlike an unknown key in our own file, must not stop the program.
            if let Some(near) = settings::did_you_mean(name, known.iter().map(String::as_str)) {
                self.warnings.push(format!("the variable {name} means nothing to yrm; {}", did_you_mean(near)));
            }
        }
    }
}

/// The places where programs keep files of one sort.
struct Places {
    systemd: &'static str,
    user: &'static str,
    home: &'static str,
    system: &'static str,
}

const CACHES: Places =
    Places { systemd: "CACHE_DIRECTORY", user: "XDG_CACHE_HOME", home: ".cache/yrm", system: "/var/cache/yrm" };
const STATES: Places =
    Places { systemd: "STATE_DIRECTORY", user: "XDG_STATE_HOME", home: ".local/state/yrm", system: "/var/lib/yrm" };

/// systemd's folder for the service (`CacheDirectory=`), the user's, the system's. Relative paths
/// do not count (XDG Base Directory Specification).
fn usual(environment: &[(String, String)], places: &Places) -> Vec<PathBuf> {
    let variable = |wanted: &str| variable(environment, wanted);
    let systemd = variable(places.systemd).and_then(|folders| folders.split(':').next()).map(PathBuf::from);
    let user = variable(places.user).map(|folder| Path::new(folder).join("yrm"));
    let home = variable("HOME").map(|folder| Path::new(folder).join(places.home));
    let all = [systemd, user, home, Some(PathBuf::from(places.system))];
    all.into_iter().flatten().filter(|folder| folder.is_absolute()).collect()
}

fn find_file(typed: &Typed) -> Option<PathBuf> {
    let variable = variable(&typed.environment, settings::CONFIG_VARIABLE);
    let named = typed.file.clone().or_else(|| variable.map(PathBuf::from));
    named.or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|path| path.is_file()))
}

fn variable<'a>(environment: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    environment.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str())
}

/// Where a bucket is, however it is spelt.
fn place_of(bucket: &Value) -> Option<BucketUrl> {
    Some(match parse::bucket(&bucket.text).ok()? {
        BucketUrl::Directory(path) => {
            let path = bucket.source.locate(path);
            BucketUrl::Directory(path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path))
        }
        url @ BucketUrl::S3 { .. } => url,
    })
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}
