//! Text that others chose, made fit to be looked at: names of packages and files, messages about
//! them, keys. What could steer a terminal or reorder a line is spelt out instead.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Control characters, and the marks that change the direction, hide parts of a line or take no
/// room in it.
pub fn steers(c: char) -> bool {
    c.is_control() || hides(c)
}

/// Those of them that are no control characters.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with everything that steers as `\u{…}`.
pub fn safe(text: &str) -> String {
    spelt(text, steers, |safe, c| safe.extend(c.escape_unicode()))
}

/// [`safe`], with line ends kept.
pub fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// A JSON document on one line that means the same and steers nothing: outside its strings nothing
/// of the kind can stand.
pub fn safe_json(json: &str) -> String {
    spelt(json, steers, as_json)
}

fn as_json(safe: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        write!(safe, "\\u{unit:04x}").expect("a String takes any text");
    }
}

fn spelt(text: &str, odd: impl Fn(char) -> bool, spell: impl Fn(&mut String, char)) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) { spell(&mut safe, c) } else { safe.push(c) }
    }
    safe
}

/// How a log line spells what hides: as JSON would, or for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `\u202e`.
    Json,
    /// `\u{202e}`.
    Human,
}

/// A log's writer. The formatter has made control characters visible, and may have written colours;
/// the rest is done here.
#[derive(Debug)]
pub struct Log<W>(pub W, pub Spelling);

impl<W: Write> Write for Log<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let safe = match self.1 {
            Spelling::Json => spelt(&text, |c| hides(c) || is_late_control(c), as_json),
            Spelling::Human => {
                spelt(&text, |c| hides(c) || is_late_control(c), |safe, c| safe.extend(c.escape_unicode()))
            }
        };
        self.0.write_all(safe.as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters beyond ASCII: neither colours nor line ends.
fn is_late_control(c: char) -> bool {
    c.is_control() && !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "inbox/\u{1b}[2J\u{1b}]0;owned\u{7}a\nb\u{202e}mpr.\u{9b}31m\u{e0041}";

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        let text = safe(HOSTILE);
        assert_eq!(text, "inbox/\\u{1b}[2J\\u{1b}]0;owned\\u{7}a\\u{a}b\\u{202e}mpr.\\u{9b}31m\\u{e0041}");
        assert_eq!(safe("libgreet++-1.0~rc1.noarch – ünï"), "libgreet++-1.0~rc1.noarch – ünï");
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let json = serde_json::to_string(&[HOSTILE]).unwrap();
        assert!(json.contains('\u{202e}'), "the writer of JSON leaves it");
        let safe = safe_json(&json);
        assert!(!safe.chars().any(steers), "{safe}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [HOSTILE]);
    }

    #[test]
    fn a_log_line_keeps_its_colours_and_hides_nothing() {
        let mut line = Vec::new();
        Log(&mut line, Spelling::Human).write_all("\u{1b}[33mWARN\u{1b}[0m a\u{202e}b\u{9b}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), "\u{1b}[33mWARN\u{1b}[0m a\\u{202e}b\\u{9b}\n");
    }
}
