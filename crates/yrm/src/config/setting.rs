//! What is known of a setting: its name and its spellings, whose it is, and which verbs take it.

/// Which verbs take a setting as a flag; the file and the environment may always hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where the bucket is and how it is reached: every verb.
    Bucket,
    /// Which folders are repositories: verbs that look at repositories.
    Repositories,
    /// How a run publishes: `serve` and `run`.
    Publish,
    /// What metadata is signed with: verbs that publish, `check` and `key`.
    Signing,
    /// How the service runs: `serve`.
    Serve,
}

/// How a value is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; `[a, b]` in the file is `a,b`.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`; the bare flag is `true`.
    Switch,
    /// Text that is never shown.
    Secret,
}

/// Whose a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each process has its own.
    Process,
    /// The same for all who write to the bucket, which keeps it in `.yrm/bucket.toml`.
    Bucket,
    /// Folders of the bucket are the bucket's, and files are the process's.
    Places,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its one name.
    pub name: &'static str,
    /// Which verbs take it as a flag.
    pub group: Group,
    /// How it is spelt.
    pub kind: Kind,
    /// Whose it is.
    pub scope: Scope,
    /// What the help calls its value.
    pub placeholder: &'static str,
    /// What it does; the first sentence is the help's.
    pub help: &'static str,
    /// What holds when nobody sets it.
    pub default: Option<&'static str>,
    /// One-letter flag.
    pub short: Option<char>,
    /// Other long flags: the first version's spellings.
    pub aliases: &'static [&'static str],
    /// Its name before it had a plain one: still read in the file, the environment and as a flag, and shown nowhere.
    pub formerly: Option<&'static str>,
    /// A variable that others already use for the same thing; ours wins over it.
    pub also_variable: Option<&'static str>,
}

impl Setting {
    pub(super) const fn new(name: &'static str, group: Group, placeholder: &'static str, help: &'static str) -> Self {
        Self {
            name,
            group,
            kind: Kind::Text,
            scope: Scope::Process,
            placeholder,
            help,
            default: None,
            short: None,
            aliases: &[],
            formerly: None,
            also_variable: None,
        }
    }

    pub(super) const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(super) const fn of_the_bucket(mut self) -> Self {
        self.scope = Scope::Bucket;
        self
    }

    pub(super) const fn places(mut self) -> Self {
        self.scope = Scope::Places;
        self
    }

    pub(super) const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    pub(super) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn formerly(mut self, name: &'static str) -> Self {
        self.formerly = Some(name);
        self
    }

    pub(super) const fn also(mut self, variable: &'static str) -> Self {
        self.also_variable = Some(variable);
        self
    }

    /// `YRM_TIME_INTERVAL`.
    pub fn variable(&self) -> String {
        variable_of(self.name)
    }

    /// `YRM_SWEEP_INTERVAL`: the variable by the earlier name.
    pub fn former_variable(&self) -> Option<String> {
        self.formerly.map(variable_of)
    }

    /// `--time-interval`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }
}

fn variable_of(name: &str) -> String {
    format!("YRM_{}", name.to_ascii_uppercase().replace('-', "_"))
}
