//! What went wrong, in words for people, and what they can do about it.

use std::error::Error;
use std::fmt;

/// One line, and a hint where there is something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    what: String,
    hint: Option<String>,
}

pub(crate) type Result<T, E = Complaint> = std::result::Result<T, E>;

impl Complaint {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Without the hint.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// What can be done, where that is known.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// An error with its causes. Causes that say again what was said already are left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}
