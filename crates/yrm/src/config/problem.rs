//! What an operator must mend, and where.

use std::fmt;

/// Something the operator must mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a setting and its source, a file, a variable.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
