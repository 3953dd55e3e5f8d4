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
    wide: bool,
}

/// How wide a table may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As wide as its cells.
    Whole,
    /// At most so many columns, as a terminal has them; longer cells are cut.
    Columns(usize),
}

impl Width {
    /// Whether no line of `text` is wider.
    pub fn holds(self, text: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Columns(columns) => text.lines().all(|line| line.chars().count() <= columns),
        }
    }
}

/// A cell is not cut below this.
const SHORTEST_CELL: usize = 6;
/// How long a moment is ([`time`]).
const MOMENT: usize = "2026-11-23 14:43:17 UTC".len();
/// The blanks around a cell.
const PADDING: usize = 2;

impl Output {
    /// In this format; tables are not cut if they are `wide`.
    pub fn new(format: Format, wide: bool) -> Self {
        Self { format, wide }
    }

    /// How wide tables may be on stdout: whole where no person looks, or where they are asked for whole.
    pub fn width(&self) -> Width {
        let stdout = io::stdout();
        if self.wide || !stdout.is_terminal() {
            return Width::Whole;
        }
        // A terminal without a size says 0.
        match rustix::termios::tcgetwinsize(&stdout) {
            Ok(size) if size.ws_col > 0 => Width::Columns(usize::from(size.ws_col)),
            Ok(_) | Err(_) => Width::Whole,
        }
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

    /// A JSON list that is written item by item: whoever makes it need not hold it.
    pub fn json_list(&self) -> JsonList {
        JsonList { is_empty: true }
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

/// See [`Output::json_list`].
#[derive(Debug)]
pub struct JsonList {
    is_empty: bool,
}

impl JsonList {
    /// One more.
    pub fn push<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let json = serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::Internal, "writing the answer as JSON").because(error))?;
        let before = if std::mem::take(&mut self.is_empty) { '[' } else { ',' };
        written(write!(io::stdout().lock(), "{before}{}", safe_json(&json)))
    }

    /// That was all.
    pub fn end(self) -> Result<()> {
        to_stdout(if self.is_empty { "[]" } else { "]" })
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

/// The same, cut to `width`: the longest cells first, each in its middle, where paths and names differ least.
pub fn fitted<const N: usize>(width: Width, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(|cell| safe(&cell))).collect();
    if let Width::Columns(columns) = width {
        let caps = caps(&widths(&head, &rows), columns);
        for row in &mut rows {
            for (cell, cap) in row.iter_mut().zip(caps) {
                *cell = cut(cell, cap);
            }
        }
    }
    table(head, rows)
}

/// The same where the last column holds ids: an id that was cut is of no use, so where the table does not fit the ids go
/// first.
pub fn with_ids<const N: usize>(width: Width, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let whole = table(head, rows.clone());
    if width.holds(&whole) {
        return whole;
    }
    let without = |mut row: [String; N]| {
        row[N - 1].clear();
        row
    };
    let mut head = head;
    head[N - 1] = "";
    let table = fitted(width, head, rows.into_iter().map(without));
    format!("{table}hint: --wide shows whole cells, and ids\n")
}

/// How wide each column is.
fn widths<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|at| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([head[at].chars().count()]).max().unwrap_or(0)
    })
}

/// How long the cells of each column may be so that all columns together fit: where that is enough, only columns that
/// are longer than a moment are cut.
fn caps<const N: usize>(widths: &[usize; N], columns: usize) -> [usize; N] {
    // The blank after the last column is not printed.
    let room = (columns + 1).saturating_sub(PADDING * N);
    let longest = widths.iter().copied().max().unwrap_or(0);
    for spared in [MOMENT, 0] {
        let capped = |cap: usize| widths.map(|width| if width <= spared { width } else { width.min(cap) });
        let fits = |cap: &usize| capped(*cap).iter().sum::<usize>() <= room;
        if let Some(cap) = (SHORTEST_CELL..=longest).rev().find(fits) {
            return capped(cap);
        }
    }
    [SHORTEST_CELL; N]
}

/// `text` in at most `cap` characters.
fn cut(text: &str, cap: usize) -> String {
    let length = text.chars().count();
    if length <= cap {
        return text.to_owned();
    }
    let (head, tail) = ((cap - 1).div_ceil(2), (cap - 1) / 2);
    let head = text.chars().take(head);
    head.chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

/// A moment for people: `2026-11-23 14:43:17 UTC`. JSON keeps every digit.
pub fn time(moment: Timestamp) -> String {
    moment.strftime("%F %T UTC").to_string()
}

fn to_stdout(text: &str) -> Result<()> {
    written(writeln!(io::stdout().lock(), "{text}"))
}

fn written(outcome: io::Result<()>) -> Result<()> {
    match outcome {
        // Whoever reads has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Error::new(ErrorKind::Unavailable, "writing to stdout").because(error)),
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
    fn a_long_cell_is_cut_in_its_middle_and_a_short_one_stays() {
        let row =
            || [["E_EMPTY".to_owned(), "el9/x86_64/".to_owned() + &"long-".repeat(20) + "1-1.rpm", "ID".to_owned()]];
        let whole = fitted(Width::Whole, ["code", "file", "id"], row());
        assert!(whole.contains(&row()[0][1]), "{whole}");
        let cut = fitted(Width::Columns(60), ["code", "file", "id"], row());
        assert!(cut.lines().all(|line| line.chars().count() <= 60), "{cut}");
        assert!(
            cut.contains("E_EMPTY")
                && cut.contains("el9/x86_64/long-")
                && cut.contains("-1-1.rpm")
                && cut.contains('…'),
            "{cut}"
        );
        assert!(cut.lines().any(|line| line.chars().count() >= 58), "no room is given away: {cut}");
        let moment = "2026-11-23 14:43:17 UTC";
        let row = || [["why ".repeat(20), "path/".repeat(20), moment.to_owned()]];
        for (columns, is_whole) in [(80, true), (50, true), (30, false), (12, false)] {
            let cut = fitted(Width::Columns(columns), ["why", "file", "at"], row());
            assert_eq!(cut.contains(moment), is_whole, "{columns}: {cut}");
            assert!(columns < 20 || Width::Columns(columns).holds(&cut), "{columns}: {cut}");
        }
    }

    #[test]
    fn a_table_is_safe_cell_by_cell() {
        let rows = table(["key"], [["a\u{1b}[2Jb\nc".to_owned()]]);
        assert!(!rows.contains('\u{1b}') && rows.lines().count() == 2, "{rows}");
    }
}
