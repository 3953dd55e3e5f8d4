//! Whether a package's element in filelists or other stands there just as this crate would write it: then its bytes
//! are taken as they are, at the speed of memory. createrepo_c writes as we do, so nearly all are. What is not
//! recognized is read and written anew; this may only err that way.

use memchr::memchr;

use super::element::PackageXml;
use crate::filelists::write_head;
use crate::package::{FileKind, Package, is_primary_path};
use crate::xml::escape_text;

/// The two elements' bytes, if they are what would be written of the package, of which `primary` has been read:
/// with the files that primary lists, which must be those that it should.
pub(super) fn as_written<'x>(
    primary: &Package<'_>,
    filelists: &'x PackageXml,
    other: &'x PackageXml,
) -> Option<[&'x [u8]; 2]> {
    let mut head = Vec::with_capacity(256);
    write_head(&mut head, primary);
    let (filelists, other) = (filelists.xml.trim_ascii_start(), other.xml.trim_ascii_start());
    are_files(filelists.strip_prefix(&head[..])?, primary)?;
    are_changelogs(other.strip_prefix(&head[..])?)?;
    Some([filelists, other])
}

const END: &[u8] = b"</package>";

fn are_files(mut rest: &[u8], primary: &Package<'_>) -> Option<()> {
    let mut listed = primary.files.iter();
    let mut written = Vec::new();
    while rest != END {
        rest = rest.strip_prefix(b"  <file")?;
        let kinds: [(&[u8], FileKind); 3] =
            [(b">", FileKind::Plain), (b" type=\"dir\">", FileKind::Dir), (b" type=\"ghost\">", FileKind::Ghost)];
        let (after, kind) = kinds.into_iter().find_map(|(start, kind)| Some((rest.strip_prefix(start)?, kind)))?;
        let (path, after) = text(after)?;
        rest = after.strip_prefix(b"</file>\n")?;
        // What is escaped in a path makes no difference to the rule.
        if is_primary_path(path) {
            let file = listed.next()?;
            written.clear();
            escape_text(&mut written, &file.dir);
            escape_text(&mut written, &file.base);
            (file.kind == kind && written == path.as_bytes()).then_some(())?;
        }
    }
    listed.next().is_none().then_some(())
}

fn are_changelogs(mut rest: &[u8]) -> Option<()> {
    while rest != END {
        let author = rest.strip_prefix(b"  <changelog author=\"")?;
        let (author, after) = author.split_at(memchr(b'"', author)?);
        is_written(
            std::str::from_utf8(author).ok()?,
            &[b"amp;", b"lt;", b"gt;", b"quot;", b"#9;", b"#10;", b"#13;"],
            32,
        )
        .then_some(())?;
        let date = after.strip_prefix(b"\" date=\"")?;
        let (date, after) = date.split_at(memchr(b'"', date)?);
        let is_number = !date.is_empty() && date.len() <= 19 && date.iter().all(u8::is_ascii_digit);
        (is_number && (date[0] != b'0' || date.len() == 1)).then_some(())?;
        let (_, after) = text(after.strip_prefix(b"\">")?)?;
        rest = after.strip_prefix(b"</changelog>\n")?;
    }
    Some(())
}

/// The text up to the next tag, if it is escaped as it would be, and the rest.
fn text(from: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = from.split_at(memchr(b'<', from)?);
    let text = std::str::from_utf8(text).ok()?;
    is_written(text, &[b"amp;", b"lt;", b"gt;", b"#13;"], 9).then_some((text, rest))
}

/// Whether reading and writing the text again gives the same: of what could be escaped, only these are, and no
/// control character below `controls_end`, or from 11 to 31, stands there.
fn is_written(text: &str, escapes: &[&[u8]], controls_end: u8) -> bool {
    let bytes = text.as_bytes();
    let special = |byte: u8| byte < controls_end || matches!(byte, 11..=31 | b'&' | b'<' | b'>' | 0xef);
    if !bytes.iter().fold(false, |any, byte| any | special(*byte)) {
        return true;
    }
    bytes.iter().enumerate().filter(|(_, byte)| special(**byte)).all(|(at, byte)| match byte {
        b'&' => escapes.iter().any(|escape| bytes[at + 1..].starts_with(escape)),
        // All but U+FFFE and U+FFFF.
        0xef => !matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf])),
        _ => false,
    })
}
