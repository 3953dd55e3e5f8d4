//! Lines on standard error, for the journal or a terminal. Every message goes through here and loses the queries of
//! addresses: a presigned address has its signature there.

use std::io::Write as _;
use std::sync::LazyLock;

/// The journal reads a line's importance from its start (sd-daemon(3)).
static IN_THE_JOURNAL: LazyLock<bool> = LazyLock::new(|| std::env::var_os("JOURNAL_STREAM").is_some());

/// All is well.
pub(crate) fn note(text: &str) {
    write(6, text);
}

/// Somebody has to do something.
pub(crate) fn warn(text: &str) {
    write(4, text);
}

fn write(importance: u8, text: &str) {
    let line = one_line(text);
    // Nobody can be told that nobody can be told.
    drop(if *IN_THE_JOURNAL {
        writeln!(std::io::stderr(), "<{importance}>{line}")
    } else {
        writeln!(std::io::stderr(), "yrm-client: {line}")
    });
}

/// One line, with the queries of addresses left out: others' texts may hold what they like.
pub(crate) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| match word.split_once('?') {
            Some((before, query)) if query.contains('=') => format!("{before}?…"),
            _ => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_queries_and_no_control_characters() {
        assert_eq!(
            one_line("no answer from https://b.s3.amazonaws.com/k?X-Amz-Signature=1234&x=y:\n\u{1b}[31mgone?"),
            "no answer from https://b.s3.amazonaws.com/k?… [31mgone?"
        );
    }
}
