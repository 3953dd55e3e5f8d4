//! Cutting a document, as it streams by, into the children of its root.
//!
//! Knows markup only as far as to see where an element ends; what a piece says is for
//! [`super::Elements`] to read, which checks it again. Holds one piece and what was read ahead.

use memchr::{memchr, memchr3, memmem};

use super::ReadError;
use crate::compress::{DecompressError, OpenText};

/// Text is read so much at a time, or as much as there is of a piece that is longer.
const READ_BYTES: usize = 128 * 1024;

/// A document that is read on as its pieces are asked for.
pub(crate) struct Pieces<'a> {
    text: OpenText<'a>,
    /// The longest piece.
    limit_bytes: usize,
    /// Text that was read, from somewhere before the piece that is looked for.
    buffer: Vec<u8>,
    /// Where in it that piece begins.
    begin: usize,
    /// How much of it has been looked at.
    scanned: usize,
    /// Where in the document the buffer begins.
    offset: u64,
    /// The root element's name, with its prefix.
    root: Vec<u8>,
    /// How many elements are open.
    depth: usize,
    ended: bool,
}

/// A child of the root, with the text before it.
pub(crate) struct Piece<'b> {
    /// Where it stands in the document.
    pub(crate) position: u64,
    pub(crate) xml: &'b [u8],
}

/// What a piece of markup does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Markup {
    Start,
    /// `<a/>`.
    Empty,
    End,
    /// Comments, CDATA, processing instructions.
    Other,
}

impl<'a> Pieces<'a> {
    /// Reads the document up to its root's start, which must have the local name `root`; answers
    /// that beginning too.
    pub(crate) fn enter(
        text: OpenText<'a>,
        root: &'static str,
        limit_bytes: usize,
    ) -> Result<(Self, Vec<u8>), ReadError> {
        let mut pieces = Self {
            text,
            limit_bytes,
            buffer: Vec::new(),
            begin: 0,
            scanned: 0,
            offset: 0,
            root: Vec::new(),
            depth: 0,
            ended: false,
        };
        loop {
            let Some((markup, start)) = pieces.markup()? else { return Err(pieces.malformed("no root element")) };
            match markup {
                Markup::Other => continue,
                Markup::End => return Err(pieces.malformed("an end without a start")),
                Markup::Start => pieces.depth = 1,
                Markup::Empty => pieces.ended = true,
            }
            pieces.root = name(&pieces.buffer[start + 1..pieces.scanned]).to_vec();
            let local = pieces.root.rsplit(|byte| *byte == b':').next().unwrap_or_default();
            if local != root.as_bytes() {
                let found = Some(String::from_utf8_lossy(&pieces.root).into_owned());
                return Err(ReadError::Invalid { position: pieces.position(), what: "the root element", found });
            }
            pieces.begin = pieces.scanned;
            let head = pieces.buffer[..pieces.begin].to_vec();
            if pieces.ended {
                pieces.drain()?;
            }
            return Ok((pieces, head));
        }
    }

    /// The next child; `None` when the root and the file have ended soundly.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        // Moving what is left only when that is the lesser part costs nothing to speak of.
        if self.begin > self.buffer.len() / 2 {
            self.offset += self.begin as u64;
            self.buffer.drain(..self.begin);
            self.scanned -= self.begin;
            self.begin = 0;
        }
        loop {
            let Some((markup, start)) = self.markup()? else {
                return Err(self.malformed("the document ends inside an element"));
            };
            match markup {
                Markup::Start => self.depth += 1,
                Markup::End => self.depth -= 1,
                Markup::Empty => {}
                Markup::Other => continue,
            }
            if self.depth == 0 {
                if name(&self.buffer[start + 2..self.scanned]) != self.root {
                    return Err(self.malformed("the root element ends under another name"));
                }
                self.ended = true;
                self.drain()?;
                return Ok(None);
            }
            if self.depth == 1 {
                let begin = std::mem::replace(&mut self.begin, self.scanned);
                let position = self.offset + begin as u64;
                return Ok(Some(Piece { position, xml: &self.buffer[begin..self.scanned] }));
            }
        }
    }

    /// Goes past the next markup; says what it is and where in the buffer it begins. `None` at the
    /// end of the text.
    fn markup(&mut self) -> Result<Option<(Markup, usize)>, ReadError> {
        let start = loop {
            match memchr(b'<', &self.buffer[self.scanned..]) {
                Some(at) => break self.scanned + at,
                None => self.scanned = self.buffer.len(),
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        loop {
            if let Some((markup, bytes)) = self.measure(start)? {
                self.scanned = start + bytes;
                return Ok(Some((markup, start)));
            }
            if !self.fill()? {
                return Err(self.malformed("the document ends inside a tag"));
            }
        }
    }

    /// What the markup at `start` is and how long, if the buffer holds all of it.
    fn measure(&self, start: usize) -> Result<Option<(Markup, usize)>, ReadError> {
        let text = &self.buffer[start..];
        let until = |open: usize, end: &[u8]| {
            let at = memmem::find(text.get(open..)?, end)?;
            Some((Markup::Other, open + at + end.len()))
        };
        match text {
            [b'<', b'!', b'-', b'-', ..] => Ok(until(4, b"-->")),
            [b'<', b'!', b'[', ..] => Ok(until(3, b"]]>")),
            [b'<', b'!', b'-'] | [b'<', b'!'] | [b'<'] => Ok(None),
            [b'<', b'!', ..] => Err(self.malformed("a document type declaration")),
            [b'<', b'?', ..] => Ok(until(2, b"?>")),
            [b'<', b'/', ..] => Ok(memchr(b'>', text).map(|at| (Markup::End, at + 1))),
            _ => Ok(tag_bytes(text).map(|bytes| match text[..bytes] {
                [.., b'/', b'>'] => (Markup::Empty, bytes),
                _ => (Markup::Start, bytes),
            })),
        }
    }

    /// Reads on; false at the end of the text.
    fn fill(&mut self) -> Result<bool, ReadError> {
        let (filled, piece) = (self.buffer.len(), self.buffer.len() - self.begin);
        if piece > self.limit_bytes {
            return Err(DecompressError::TooLong { limit_bytes: self.limit_bytes as u64 }.into());
        }
        self.buffer.resize(filled + READ_BYTES.max(piece), 0);
        let read = self.text.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + read.as_ref().map_or(0, |read| *read));
        Ok(read? > 0)
    }

    /// Reads what follows the root, so that the file's own checks are made.
    fn drain(&mut self) -> Result<(), ReadError> {
        self.buffer.resize(READ_BYTES, 0);
        while self.text.read(&mut self.buffer)? > 0 {}
        self.buffer = Vec::new();
        (self.scanned, self.begin) = (0, 0);
        Ok(())
    }

    fn position(&self) -> u64 {
        self.offset + self.scanned as u64
    }

    fn malformed(&self, problem: &str) -> ReadError {
        ReadError::Malformed { position: self.position(), problem: problem.to_owned() }
    }
}

/// The length of a start tag: to its `>`, past those in attributes' values.
fn tag_bytes(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr3(b'>', b'"', b'\'', &text[at..])?;
        match text[at] {
            b'>' => return Some(at + 1),
            quote => at += 1 + memchr(quote, &text[at + 1..])? + 1,
        }
    }
}

/// The name that a tag begins with.
fn name(tag: &[u8]) -> &[u8] {
    let end = tag.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'));
    &tag[..end.unwrap_or(tag.len())]
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: u64 = 1 << 30;

    fn pieces(document: &[u8]) -> Result<Vec<String>, ReadError> {
        let (mut pieces, _) = Pieces::enter(OpenText::new(document, LIMIT)?, "r", 1 << 20)?;
        let mut all = Vec::new();
        while let Some(piece) = pieces.next()? {
            assert_eq!(&document[usize::try_from(piece.position).unwrap()..][..piece.xml.len()], piece.xml);
            all.push(String::from_utf8(piece.xml.to_vec()).unwrap());
        }
        assert!(pieces.next()?.is_none());
        Ok(all)
    }

    #[test]
    fn a_piece_ends_where_its_element_does() {
        let document = "<?xml version=\"1.0\"?><!-- <r> --><p:r a='>'>\n<a x=\"</a>>\"><a/>\
                        <![CDATA[</a>]]><!--</a>--></a> text <b/><?x </b>?></p:r> \n";
        let expected = ["\n<a x=\"</a>>\"><a/><![CDATA[</a>]]><!--</a>--></a>".to_owned(), " text <b/>".to_owned()];
        assert_eq!(pieces(document.as_bytes()).unwrap(), expected);
        assert_eq!(pieces(b"<r/>").unwrap(), [""; 0]);
        assert_eq!(pieces(b"<r></r>").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for document in [
            "",
            "text",
            "<other/>",
            "</r>",
            "<r>",
            "<r><a>",
            "<r><a></a>",
            "<r><a/></s>",
            "<r><a b=\"></a></r>",
            "<!DOCTYPE r [<!ENTITY a \"aaaa\">]><r/>",
            "<r><!-- </r>",
        ] {
            assert!(pieces(document.as_bytes()).is_err(), "{document}");
        }
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error() {
        let document = b"<?xml?><r><a b='c'><!-- d --><e/></a><![CDATA[f]]><g/></r>";
        for length in 0..document.len() {
            assert!(pieces(&document[..length]).is_err(), "cut at {length}");
        }
        assert_eq!(pieces(document).unwrap().len(), 2);
    }

    /// `<r>` and elements without end; counts what was read of them.
    struct Endless<'a> {
        read: &'a AtomicUsize,
        element: Vec<u8>,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let before = self.read.fetch_add(into.len(), Ordering::Relaxed);
            for (at, byte) in (before..).zip(into.iter_mut()) {
                *byte = if at < 3 { b"<r>"[at] } else { self.element[(at - 3) % self.element.len()] };
            }
            Ok(into.len())
        }
    }

    #[test]
    fn no_more_is_read_than_the_piece_needs() {
        let read = AtomicUsize::new(0);
        for (element_bytes, most_ahead) in [(1_000, 2 * READ_BYTES), (3 << 20, 8 << 20)] {
            read.store(0, Ordering::Relaxed);
            let element = format!("<a>{}</a>", "x".repeat(element_bytes)).into_bytes();
            let length = element.len();
            let text = OpenText::new(BufReader::new(Endless { read: &read, element }), LIMIT).unwrap();
            let (mut pieces, _) = Pieces::enter(text, "r", 8 << 20).unwrap();
            for count in 1..=40 {
                assert_eq!(pieces.next().unwrap().unwrap().xml.len(), length);
                let ahead = read.load(Ordering::Relaxed) - 3 - count * length;
                assert!(ahead <= most_ahead, "{ahead} bytes were read ahead");
            }
        }
    }

    #[test]
    fn a_piece_over_the_limit_is_refused_before_it_is_read() {
        let read = AtomicUsize::new(0);
        let element = format!("<a>{}", "x".repeat(1_000)).into_bytes();
        let text = OpenText::new(BufReader::new(Endless { read: &read, element }), LIMIT).unwrap();
        let (mut pieces, _) = Pieces::enter(text, "r", 1 << 20).unwrap();
        let refused = pieces.next().map(|_| ());
        assert!(matches!(refused, Err(ReadError::Decompress(DecompressError::TooLong { .. }))));
        assert!(read.load(Ordering::Relaxed) <= 4 << 20);
    }
}
