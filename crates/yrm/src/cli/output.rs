//! Owns stdout and the talk on stderr. Data goes to stdout; everything said about it, to stderr.
//!
//! Text that comes from the bucket (keys, names of packages, messages about them) was chosen by
//! whoever uploaded: before it reaches a terminal its control characters are made visible.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
pub use crate::legible::safe;
use crate::legible::{safe_json, safe_lines};

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON value.
    Json,
}

// By hand: derived, the two lines above would become help of their own, and clap then spreads every
// flag of every verb over three lines.
impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Human, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Human => "human",
            Self::Json => "json",
        }))
    }
}

/// Where a verb's words go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// In this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether a person watches: human format, and stderr is a terminal.
    pub fn is_watched(&self) -> bool {
        self.format == Format::Human && io::stderr().is_terminal()
    }

    /// Data: `value` as JSON, or what `human` makes of it. The latter is made safe line by line.
    pub fn data<T: Serialize>(&self, value: &T, human: impl FnOnce(&T) -> String) -> Result<()> {
        let text = match self.format {
            Format::Human => safe_lines(&human(value)),
            Format::Json => serde_json::to_string(value)
                .map(|json| safe_json(&json))
                .map_err(|error| Error::new(ErrorKind::Internal, "writing the answer as JSON").because(error))?,
        };
        to_stdout(text.trim_end())
    }

    /// Text that is the data itself in either format, such as a configuration file.
    pub fn text(&self, text: &str) -> Result<()> {
        to_stdout(text.trim_end())
    }

    /// A remark about what happens.
    pub fn say(&self, text: &str) {
        to_stderr(&safe_lines(text));
    }

    /// What to do next.
    pub fn hint(&self, text: &str) {
        to_stderr(&format!("hint: {}", safe(text)));
    }

    /// An error and its hint: two lines for people, one object for programs.
    pub fn error(&self, error: &Error) {
        match self.format {
            Format::Human => {
                to_stderr(&format!("error: {}", safe_lines(&error.chain())));
                if let Some(hint) = error.hint_text() {
                    self.hint(hint);
                }
            }
            Format::Json => {
                let body = json!({"error": {
                    "kind": error.kind().name(),
                    "message": error.chain(),
                    "hint": error.hint_text(),
                    "exit_code": error.kind().exit_code(),
                }});
                to_stderr(&safe_json(&body.to_string()));
            }
        }
    }
}

/// A table without borders, its cells made safe.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row.iter().map(|cell| safe(cell)));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A moment for people: `2026-11-23 14:43:17 UTC`. JSON keeps every digit.
pub fn time(moment: Timestamp) -> String {
    moment.strftime("%F %T UTC").to_string()
}

fn to_stdout(text: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        // Whoever reads has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Error::new(ErrorKind::Unavailable, "writing to stdout").because(error)),
    }
}

fn to_stderr(text: &str) {
    // There is nowhere left to say that stderr is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_safe_cell_by_cell() {
        let rows = table(["key"], [["a\u{1b}[2Jb\nc".to_owned()]]);
        assert!(!rows.contains('\u{1b}') && rows.lines().count() == 2, "{rows}");
    }
}
