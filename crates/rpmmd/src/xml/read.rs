//! Reading: a cursor over elements, made for documents somebody else wrote.
//!
//! Tolerates any order of attributes, white space, comments, CDATA and unknown elements. Never
//! expands an entity other than XML's own five and character references, refuses document type
//! declarations, and refuses nesting deeper than [`MAX_DEPTH`]; so what it allocates is
//! proportional to the document, which its caller bounded.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::checksum::Sha256;
use crate::compress::DecompressError;

/// Deepest nesting of elements; the format itself needs 5.
const MAX_DEPTH: u32 = 32;

/// Why a metadata document could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It could not be decompressed.
    Decompress(DecompressError),
    /// It is not well-formed XML, or uses XML that metadata never does.
    Malformed {
        /// Byte offset in the uncompressed document.
        position: u64,
        /// What is wrong there.
        problem: String,
    },
    /// An element or attribute is missing, or its value makes no sense.
    Invalid {
        /// Byte offset in the uncompressed document, shortly after the element's start.
        position: u64,
        /// The element and attribute.
        what: &'static str,
        /// The value, when there is one.
        found: Option<String>,
    },
    /// Packages are named by a checksum other than SHA-256.
    ChecksumType {
        /// The `type` attribute.
        found: String,
    },
    /// A package of primary has no counterpart in another document.
    Unmatched {
        /// The other document: `filelists` or `other`.
        document: &'static str,
        /// The package.
        pkgid: Sha256,
    },
}

impl ReadError {
    /// The same error in a document in which what was read begins at `position`.
    pub(crate) fn at(self, begin: u64) -> Self {
        match self {
            Self::Malformed { position, problem } => Self::Malformed { position: begin + position, problem },
            Self::Invalid { position, what, found } => Self::Invalid { position: begin + position, what, found },
            Self::Decompress(_) | Self::ChecksumType { .. } | Self::Unmatched { .. } => self,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decompress(_) => f.write_str("the document does not decompress"),
            Self::Malformed { position, problem } => write!(f, "not well-formed at byte {position}: {problem}"),
            Self::Invalid { position, what, found: None } => write!(f, "{what} missing at byte {position}"),
            Self::Invalid { position, what, found: Some(found) } => {
                write!(f, "{what} is {found:?} at byte {position}")
            }
            Self::ChecksumType { found } => write!(f, "packages are named by {found:?} checksums, not sha256"),
            Self::Unmatched { document, pkgid } => write!(f, "{document} has no entry for package {pkgid}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Decompress(source) => Some(source),
            Self::Malformed { .. } | Self::Invalid { .. } | Self::ChecksumType { .. } | Self::Unmatched { .. } => None,
        }
    }
}

impl From<DecompressError> for ReadError {
    fn from(source: DecompressError) -> Self {
        Self::Decompress(source)
    }
}

/// A cursor inside a document; it always stands in an open element (or before the root).
pub(crate) struct Elements<'a> {
    reader: Reader<&'a [u8]>,
    document: &'a str,
    depth: u32,
}

/// The start of an element: its name and attributes.
pub(crate) struct Element<'a> {
    start: BytesStart<'a>,
    position: u64,
    /// Where the element's `<` stands in the document.
    start_offset: u64,
}

impl<'a> Elements<'a> {
    /// Enters the document's root element, which must have the local name `root`.
    pub(crate) fn enter(document: &'a [u8], root: &'static str) -> Result<(Self, Element<'a>), ReadError> {
        let (elements, element) = Self::begin(document)?;
        if element.name() == root {
            return Ok((elements, element));
        }
        Err(element.invalid("the root element", Some(element.name().to_owned())))
    }

    /// Enters the first element, whatever it is.
    pub(crate) fn begin(document: &'a [u8]) -> Result<(Self, Element<'a>), ReadError> {
        let document = std::str::from_utf8(document).map_err(|error| ReadError::Malformed {
            position: error.valid_up_to() as u64,
            problem: "not UTF-8".to_owned(),
        })?;
        // The reader skips a byte order mark and does not count it: places in the document would be off, by
        // the second of two as well.
        let document = document.trim_start_matches('\u{feff}');
        let mut reader = Reader::from_str(document);
        // One shape for `<a/>` and `<a></a>`.
        reader.config_mut().expand_empty_elements = true;
        let mut elements = Self { reader, document, depth: 0 };
        match elements.child()? {
            Some(element) => Ok((elements, element)),
            None => Err(elements.malformed("no root element")),
        }
    }

    /// The next element inside the open one, which becomes the open one; `None` when the open
    /// one ends (its parent is then the open one).
    pub(crate) fn child(&mut self) -> Result<Option<Element<'a>>, ReadError> {
        loop {
            let start_offset = self.reader.buffer_position();
            match self.event()? {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(self.malformed("elements nested too deeply"));
                    }
                    return Ok(Some(Element { start, position: self.reader.buffer_position(), start_offset }));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Eof => return Err(self.malformed("the document ends inside an element")),
                // Text between elements carries nothing.
                _ => {}
            }
        }
    }

    /// Makes sure that after the root's end nothing more comes: a piece of a document was cut where
    /// this reader would have cut it.
    pub(crate) fn finish(mut self) -> Result<(), ReadError> {
        match (self.depth, self.child()?) {
            (0, None) => Ok(()),
            (_, Some(_) | None) => Err(self.malformed("a second root element")),
        }
    }

    /// The text of the open element up to its end; elements inside are skipped.
    pub(crate) fn text(&mut self) -> Result<String, ReadError> {
        let mut text = String::new();
        loop {
            match self.event()? {
                Event::Text(piece) => text.push_str(&piece.xml_content(XmlVersion::Implicit1_0)),
                Event::CData(piece) => text.push_str(&piece.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(c)) => text.push(c),
                    Ok(None) => match quick_xml::escape::resolve_predefined_entity(&reference) {
                        Some(known) => text.push_str(known),
                        None => return Err(self.malformed("an entity that XML does not define")),
                    },
                    Err(error) => return Err(self.malformed(&error.to_string())),
                },
                Event::Start(_) => {
                    self.depth += 1;
                    self.skip()?;
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(text);
                }
                Event::Eof => return Err(self.malformed("the document ends inside an element")),
                _ => {}
            }
        }
    }

    /// Leaves the open element, whatever it holds.
    pub(crate) fn skip(&mut self) -> Result<(), ReadError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.child()?;
        }
        Ok(())
    }

    /// Leaves the open element, which began as `element`, and gives its source text.
    pub(crate) fn verbatim(&mut self, element: &Element<'a>) -> Result<&'a str, ReadError> {
        self.skip()?;
        let (start, end) = (element.start_offset, self.reader.buffer_position());
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range
            .and_then(|(start, end)| self.document.get(start..end))
            .map(str::trim)
            .ok_or_else(|| self.malformed("an element that cannot be copied"))
    }

    fn event(&mut self) -> Result<Event<'a>, ReadError> {
        match self.reader.read_event() {
            Ok(Event::DocType(_)) => Err(self.malformed("a document type declaration")),
            Ok(event) => Ok(event),
            Err(error) => {
                Err(ReadError::Malformed { position: self.reader.error_position(), problem: error.to_string() })
            }
        }
    }

    fn malformed(&self, problem: &str) -> ReadError {
        ReadError::Malformed { position: self.reader.buffer_position(), problem: problem.to_owned() }
    }
}

impl Element<'_> {
    /// The name without its namespace prefix.
    pub(crate) fn name(&self) -> &str {
        let name = self.start.name().into_inner();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The attribute's value, if it is there.
    pub(crate) fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>, ReadError> {
        let problem = |error: &dyn fmt::Display| ReadError::Malformed {
            position: self.position,
            problem: format!("attribute {name}: {error}"),
        };
        match self.start.try_get_attribute(name).map_err(|error| problem(&error))? {
            None => Ok(None),
            Some(attribute) => {
                attribute.normalized_value(XmlVersion::Implicit1_0).map(Some).map_err(|error| problem(&error))
            }
        }
    }

    /// The attribute's value, which must be there. `what` names element and attribute.
    pub(crate) fn required(&self, name: &str, what: &'static str) -> Result<Cow<'_, str>, ReadError> {
        self.attribute(name)?.ok_or_else(|| self.invalid(what, None))
    }

    /// The attribute as a number; `None` when it is missing or empty.
    pub(crate) fn number<N: FromStr>(&self, name: &str, what: &'static str) -> Result<Option<N>, ReadError> {
        match self.attribute(name)? {
            Some(text) if !text.trim().is_empty() => self.parse(&text, what).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A number in this element's text or attribute.
    pub(crate) fn parse<N: FromStr>(&self, text: &str, what: &'static str) -> Result<N, ReadError> {
        text.trim().parse().map_err(|_| self.invalid(what, Some(text.to_owned())))
    }

    /// All attributes, names with their prefixes.
    pub(crate) fn attributes(&self) -> Result<Vec<(String, String)>, ReadError> {
        let problem = |error: String| ReadError::Malformed { position: self.position, problem: error };
        let mut all = Vec::new();
        // The check for repeated names would take quadratic time.
        for attribute in self.start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| problem(error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| problem(error.to_string()))?.into_owned();
            all.push((attribute.key.into_inner().to_owned(), value));
        }
        Ok(all)
    }

    /// The error that this element is not what it should be.
    pub(crate) fn invalid(&self, what: &'static str, found: Option<String>) -> ReadError {
        ReadError::Invalid { position: self.position, what, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(document: &str) -> Result<Vec<(String, String)>, ReadError> {
        let (mut elements, _) = Elements::enter(document.as_bytes(), "r")?;
        let mut texts = Vec::new();
        while let Some(element) = elements.child()? {
            texts.push((element.name().to_owned(), elements.text()?));
        }
        Ok(texts)
    }

    #[test]
    fn text_joins_entities_cdata_and_character_references() {
        let document = "<?xml version=\"1.0\"?><!-- c --><x:r>\n <p:a>1 &lt;&#x41;&#13;<![CDATA[<&]]><i>no</i>\r\n2</p:a><b/></x:r>";
        let expected = [("a".to_owned(), "1 <A\r<&\n2".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(texts(document).unwrap(), expected);
    }

    #[test]
    fn hostile_xml_is_refused() {
        for document in [
            "<!DOCTYPE r [<!ENTITY a \"aaaa\">]><r><a>&a;</a></r>",
            "<r><a>&nbsp;</a></r>",
            "<r><a>",
            "<r></a></r>",
            "",
            "<other/>",
            "<r><a>\u{0}&#xD800;</a></r>",
        ] {
            assert!(texts(document).is_err(), "{document}");
        }
        let deep = format!("<r>{}{}</r>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert!(matches!(texts(&deep), Err(ReadError::Malformed { .. })));
        assert!(matches!(Elements::enter(b"<r>\xff</r>", "r"), Err(ReadError::Malformed { position: 3, .. })));
    }
}
