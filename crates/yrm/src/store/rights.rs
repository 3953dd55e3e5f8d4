//! What credentials may do in a bucket, as `doctor` tells it.

use serde::Serialize;

/// What was tried, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Rights(Vec<Right>);

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Right {
    /// What one has to be able to do.
    pub name: &'static str,
    /// Whether it worked.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// The right that is missing, as policies call it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl Rights {
    /// What was tried.
    pub fn of(rows: Vec<Right>) -> Self {
        Self(rows)
    }

    /// All that was tried.
    pub fn rows(&self) -> &[Right] {
        &self.0
    }

    /// The rights that are missing, each once.
    pub fn missing(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for right in self.0.iter().filter_map(|right| right.missing.as_deref()) {
            if !all.contains(&right) {
                all.push(right);
            }
        }
        all
    }
}
