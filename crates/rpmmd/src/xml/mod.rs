//! XML as the metadata documents use it: what may stand in a text, how it is escaped, and a
//! small reader that knows elements, attributes and text and nothing else of XML.

mod pieces;
mod read;
mod write;

pub(crate) use pieces::Pieces;
pub use read::ReadError;
pub(crate) use read::{Element, Elements};
pub(crate) use write::{attribute, digest, escape_attribute, escape_text, number, number_attribute, text_element};

/// Whether XML 1.0 forbids the character, even as a character reference: control characters
/// other than tab, line feed and carriage return, and U+FFFE, U+FFFF. (Surrogates, the rest of
/// the forbidden code points, are no `char`.)
pub const fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
