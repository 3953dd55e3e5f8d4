//! The one error: what kind it is, what was being done, what caused it, what to do about it.
//!
//! A bad package is not an error but a verdict (`bucket::verdict`).

use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the operator does next; gives the exit code, the HTTP status and the default hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Mend the configuration or the command line.
    Config,
    /// Wait, or look at the network or the store: nothing is wrong here.
    Unavailable,
    /// Somebody else changed it first: look, then try again.
    Conflict,
    /// The store refused these credentials.
    Denied,
    /// What is stored is not what it should be.
    Corrupt,
    /// The store has it in an archive and does not give its bytes: have it restored.
    Archived,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Config, Self::Unavailable, Self::Conflict, Self::Denied, Self::Corrupt, Self::Archived, Self::Internal];

    /// The process's exit code for this kind; documented in docs/reference/exit-codes.md.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Config => 2,
            Self::Unavailable | Self::Archived => 3,
            Self::Conflict => 4,
            Self::Denied => 5,
            Self::Corrupt => 6,
        }
    }

    /// The kind's name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Config => "config",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Corrupt => "corrupt",
            Self::Archived => "archived",
        }
    }
}

/// Something could not be done.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while `doing` (a verb phrase with its object, such as "reading the
    /// header of inbox/foo.rpm").
    pub fn new(kind: ErrorKind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), hint: None, source: None }
    }

    /// With what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With what the operator can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the operator does next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The hint, if there is one.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole chain in one line: `doing: cause: its cause`.
    pub fn chain(&self) -> String {
        let mut line = self.doing.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // An SDK's outer error often says only what its source says again.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
