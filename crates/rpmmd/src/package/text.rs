//! Header bytes as text that XML can hold.

use std::borrow::Cow;
use std::fmt;

use crate::header::Texts;
use crate::tag::Tag;

/// Something about a package that was put right on the way to the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Characters that XML forbids became U+FFFD.
    ForbiddenCharacters {
        /// The tag with the text; for lists, once however many texts had them.
        tag: Tag,
    },
    /// A text that is not UTF-8 was read as Latin-1.
    NotUtf8 {
        /// The tag with the text.
        tag: Tag,
    },
    /// A dependency whose version has an epoch that is no number was left out.
    BadEpoch {
        /// The tag with the version.
        tag: Tag,
        /// The whole version.
        version: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForbiddenCharacters { tag } => write!(f, "{tag}: replaced characters that XML cannot hold"),
            Self::NotUtf8 { tag } => write!(f, "{tag}: not UTF-8, read as Latin-1"),
            Self::BadEpoch { tag, version } => {
                write!(f, "{tag}: left out a dependency on {version:?}, whose epoch is no number")
            }
        }
    }
}

/// A hostile package can give a reason to warn a million times.
const WARNINGS_MAX: usize = 100;

/// Cleans texts and remembers what it had to change.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    warnings: Vec<Warning>,
}

impl Cleaner {
    /// What was changed so far.
    pub(super) fn warnings(self) -> Vec<Warning> {
        self.warnings
    }

    /// Adds a warning, once.
    pub(super) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The text of `bytes`, borrowed when nothing has to change.
    pub(super) fn clean<'a>(&mut self, tag: Tag, bytes: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !has_forbidden(text) => Cow::Borrowed(text),
            Ok(text) => {
                self.warn(Warning::ForbiddenCharacters { tag });
                Cow::Owned(text.replace(is_forbidden, "\u{fffd}"))
            }
            Err(_) => {
                if let Some(text) = loose_utf8(bytes) {
                    self.warn(Warning::ForbiddenCharacters { tag });
                    return Cow::Owned(text);
                }
                self.warn(Warning::NotUtf8 { tag });
                Cow::Owned(latin1(bytes))
            }
        }
    }

    /// The texts of a list.
    pub(super) fn clean_all<'a>(&mut self, tag: Tag, texts: Texts<'a>) -> Vec<Cow<'a, str>> {
        texts.map(|text| self.clean(tag, text)).collect()
    }
}

fn has_forbidden(text: &str) -> bool {
    // U+FFFE and U+FFFF start with 0xEF: most texts are done after one look at their bytes,
    // many at a time since none ends it early.
    let suspicious = |byte: u8| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 0xef);
    text.bytes().fold(false, |any, byte| any | suspicious(byte)) && text.contains(is_forbidden)
}

/// Code points that XML 1.0 has no way to write (surrogates are no `char`s).
fn is_forbidden(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => true,
        _ => false,
    }
}

/// Reads bytes that have the shape of UTF-8, which is all that libxml2 (and so createrepo_c)
/// asks for, with U+FFFD for what they may not say: surrogates, overlong forms, code points
/// beyond Unicode. `None` when they have not even the shape.
fn loose_utf8(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let length = match first {
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf | 0xf8..=0xff => return None,
        };
        let sequence = rest.get(..length)?;
        if sequence[1..].iter().any(|byte| byte & 0xc0 != 0x80) {
            return None;
        }
        let character = std::str::from_utf8(sequence).ok().and_then(|text| text.chars().next());
        text.push(character.filter(|character| !is_forbidden(*character)).unwrap_or('\u{fffd}'));
        rest = &rest[length..];
    }
    Some(text)
}

/// Reads bytes as createrepo_c reads Latin-1: without control characters and without 0x80-0xBF.
fn latin1(bytes: &[u8]) -> String {
    bytes
        .iter()
        .copied()
        .filter(|byte| matches!(byte, 9 | 10 | 13 | 0x20..=0x7f | 0xc0..=0xff))
        .map(char::from)
        .collect()
}
