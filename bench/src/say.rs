//! Telling the person at the terminal how far it is.

/// Tells the person at the terminal.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}
