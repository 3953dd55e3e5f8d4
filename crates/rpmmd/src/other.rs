//! other.xml: the newest changelog entries of every package.

use std::borrow::Cow;

use crate::checksum::Sha256;
use crate::filelists::{read_packages, write_head};
use crate::package::{Changelog, Package};
use crate::xml::{Element, Elements, ReadError, attribute, escape_text, number_attribute};

/// Appends the package's `package` element.
pub fn write(out: &mut Vec<u8>, package: &Package<'_>) {
    write_head(out, package);
    for entry in &package.changelogs {
        out.extend_from_slice(b"  <changelog");
        attribute(out, "author", &entry.author);
        number_attribute(out, "date", entry.date);
        out.push(b'>');
        escape_text(out, &entry.text);
        out.extend_from_slice(b"</changelog>\n");
    }
    out.extend_from_slice(b"</package>\n");
}

/// Reads other.xml (uncompressed): each package's changelog, in the document's order.
pub fn read(document: &[u8]) -> Result<Vec<(Sha256, Vec<Changelog<'static>>)>, ReadError> {
    read_packages(document, "otherdata", read_child)
}

/// Reads one child of a `package` element, if it is a changelog entry.
pub(crate) fn read_child<'a>(
    elements: &mut Elements<'a>,
    element: &Element<'a>,
) -> Result<Option<Changelog<'static>>, ReadError> {
    if element.name() != "changelog" {
        elements.skip()?;
        return Ok(None);
    }
    let author = element.attribute("author")?.unwrap_or_default().into_owned();
    let date = element.number("date", "changelog date")?.unwrap_or(0);
    let text = elements.text()?;
    Ok(Some(Changelog { author: Cow::Owned(author), date, text: Cow::Owned(text) }))
}
