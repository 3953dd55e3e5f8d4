//! What is wrong with a text that somebody wrote.

/// What is wrong, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong with the text.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value, or what is wrong with its text.
pub type Parsed<T> = Result<T, Complaint>;
