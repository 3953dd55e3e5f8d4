//! repomd.xml: the root of a repository's metadata, naming every other file.
//!
//! Reads what any program wrote and keeps what it does not know: records of other types
//! (updateinfo, group, modules), unknown elements inside a record, `tags` and whatever else
//! stands beside the records, and namespaces declared for them.

use crate::checksum::Sha256;
use crate::xml::{Element, Elements, ReadError, attribute, escape_text, number, text_element};

const NAMESPACE: &str = "http://linux.duke.edu/metadata/repo";
const NAMESPACE_RPM: &str = "http://linux.duke.edu/metadata/rpm";

/// A repomd.xml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repomd {
    /// `revision`, verbatim; a number of seconds by custom. Empty when there is none.
    pub revision: String,
    /// The `data` elements, in order.
    pub records: Vec<Record>,
    /// Other children of the root, as XML.
    pub extra: Vec<String>,
    /// Attributes of the root beyond the two usual namespaces: name and value.
    pub attributes: Vec<(String, String)>,
}

/// One `data` element: a metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `type`: `primary`, `filelists`, `group`, ….
    pub kind: String,
    /// Checksum of the file.
    pub checksum: AnyChecksum,
    /// Checksum of the uncompressed file.
    pub open_checksum: Option<AnyChecksum>,
    /// `location xml:base`, where it differs from the repository.
    pub base: Option<String>,
    /// `location href`, relative to the repository.
    pub href: String,
    /// When the file was made, in seconds.
    pub timestamp: Option<u64>,
    /// The file's length in bytes.
    pub size: Option<u64>,
    /// The uncompressed file's length in bytes.
    pub open_size: Option<u64>,
    /// Other children (`header-checksum`, `database_version`, …), as XML.
    pub extra: Vec<String>,
}

/// A checksum of any type; records of foreign files keep theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyChecksum {
    /// `type`: `sha256`, `sha512`, `sha1`, `sha`, `md5`.
    pub kind: String,
    /// The digest as it is written.
    pub hex: String,
}

impl AnyChecksum {
    /// A SHA-256 checksum.
    pub fn sha256(digest: Sha256) -> Self {
        Self { kind: "sha256".to_owned(), hex: digest.to_string() }
    }

    /// The digest, if it is SHA-256.
    pub fn as_sha256(&self) -> Option<Sha256> {
        if self.kind == "sha256" { self.hex.parse().ok() } else { None }
    }
}

impl Repomd {
    /// The record of one type, if there is one.
    pub fn record(&self, kind: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.kind == kind)
    }

    /// The file's text.
    pub fn write(&self) -> Vec<u8> {
        let mut out = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd".to_vec();
        attribute(&mut out, "xmlns", NAMESPACE);
        attribute(&mut out, "xmlns:rpm", NAMESPACE_RPM);
        for (name, value) in &self.attributes {
            attribute(&mut out, name, value);
        }
        out.extend_from_slice(b">\n");
        text_element(&mut out, "  ", "revision", &self.revision);
        write_extra(&mut out, "  ", &self.extra);
        for record in &self.records {
            record.write(&mut out);
        }
        out.extend_from_slice(b"</repomd>\n");
        out
    }

    /// Reads a file's text.
    pub fn read(text: &[u8]) -> Result<Self, ReadError> {
        let (mut elements, root) = Elements::enter(text, "repomd")?;
        let mut repomd = Self { attributes: root.attributes()?, ..Self::default() };
        repomd.attributes.retain(|(name, _)| name != "xmlns" && name != "xmlns:rpm");
        while let Some(element) = elements.child()? {
            match element.name() {
                "revision" => elements.text()?.trim().clone_into(&mut repomd.revision),
                "data" => repomd.records.push(Record::read(&mut elements, &element)?),
                _ => repomd.extra.push(elements.verbatim(&element)?.to_owned()),
            }
        }
        Ok(repomd)
    }
}

impl Record {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"  <data");
        attribute(out, "type", &self.kind);
        out.extend_from_slice(b">\n");
        write_checksum(out, "checksum", &self.checksum);
        if let Some(checksum) = &self.open_checksum {
            write_checksum(out, "open-checksum", checksum);
        }
        out.extend_from_slice(b"    <location");
        if let Some(base) = &self.base {
            attribute(out, "xml:base", base);
        }
        attribute(out, "href", &self.href);
        out.extend_from_slice(b"/>\n");
        for (name, value) in [("timestamp", self.timestamp), ("size", self.size), ("open-size", self.open_size)] {
            if let Some(value) = value {
                write_number(out, name, value);
            }
        }
        write_extra(out, "    ", &self.extra);
        out.extend_from_slice(b"  </data>\n");
    }

    fn read(elements: &mut Elements<'_>, start: &Element<'_>) -> Result<Self, ReadError> {
        let kind = start.required("type", "data type")?.into_owned();
        let (mut checksum, mut location) = (None, None);
        let (mut open_checksum, mut timestamp, mut size, mut open_size) = (None, None, None, None);
        let mut extra = Vec::new();
        while let Some(element) = elements.child()? {
            match element.name() {
                "checksum" => checksum = Some(read_checksum(elements, &element)?),
                "open-checksum" => open_checksum = Some(read_checksum(elements, &element)?),
                "location" => {
                    let base = element.attribute("xml:base")?.map(std::borrow::Cow::into_owned);
                    location = Some((base, element.required("href", "location href")?.into_owned()));
                    elements.skip()?;
                }
                // Old tools write fractions of a second; yum 3 reads integers only.
                "timestamp" => {
                    let text = elements.text()?;
                    let seconds = text.split_once('.').map_or(text.as_str(), |(seconds, _)| seconds);
                    timestamp = Some(element.parse(seconds, "timestamp")?);
                }
                "size" => size = Some(element.parse(&elements.text()?, "size")?),
                "open-size" => open_size = Some(element.parse(&elements.text()?, "open-size")?),
                _ => extra.push(elements.verbatim(&element)?.to_owned()),
            }
        }
        let checksum = checksum.ok_or_else(|| start.invalid("a record's checksum", None))?;
        let (base, href) = location.ok_or_else(|| start.invalid("a record's location", None))?;
        Ok(Self { kind, checksum, open_checksum, base, href, timestamp, size, open_size, extra })
    }
}

fn read_checksum(elements: &mut Elements<'_>, element: &Element<'_>) -> Result<AnyChecksum, ReadError> {
    let kind = element.required("type", "a checksum's type")?.into_owned();
    Ok(AnyChecksum { kind, hex: elements.text()?.trim().to_owned() })
}

fn write_checksum(out: &mut Vec<u8>, name: &str, checksum: &AnyChecksum) {
    out.extend_from_slice(b"    <");
    out.extend_from_slice(name.as_bytes());
    attribute(out, "type", &checksum.kind);
    out.push(b'>');
    escape_text(out, &checksum.hex);
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">\n");
}

fn write_number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b"    <");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    number(out, value);
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">\n");
}

/// Elements kept as XML, one a line.
fn write_extra(out: &mut Vec<u8>, indent: &str, extra: &[String]) {
    for element in extra {
        out.extend_from_slice(indent.as_bytes());
        out.extend_from_slice(element.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATEREPO: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1795441967</revision>
  <tags>
    <content>binary &amp; more</content>
  </tags>
  <data type="primary">
    <checksum type="sha256">fb49</checksum>
    <open-checksum type="sha256">e450</open-checksum>
    <location href="repodata/fb49-primary.xml.gz"/>
    <timestamp>1795441967</timestamp>
    <size>535</size>
    <open-size>1002</open-size>
  </data>
  <data type="primary_zck">
    <checksum type="sha512">57e1</checksum>
    <location xml:base="http://mirror/" href="repodata/57e1-primary.xml.zck"/>
    <timestamp>1795441967</timestamp>
    <size>1639</size>
    <header-checksum type="sha256">9b</header-checksum>
    <header-size>132</header-size>
  </data>
</repomd>
"#;

    #[test]
    fn a_byte_order_mark_shifts_nothing() {
        for marks in 1..4 {
            let marked = format!("{}{CREATEREPO}", "\u{feff}".repeat(marks));
            let repomd = Repomd::read(marked.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(repomd.write()).unwrap(), CREATEREPO);
        }
    }

    #[test]
    fn what_createrepo_c_wrote_is_written_back_byte_for_byte() {
        let repomd = Repomd::read(CREATEREPO.as_bytes()).unwrap();
        assert_eq!(repomd.revision, "1795441967");
        assert_eq!(repomd.record("primary_zck").unwrap().extra.len(), 2);
        assert_eq!(repomd.record("primary").unwrap().open_size, Some(1002));
        assert_eq!(String::from_utf8(repomd.write()).unwrap(), CREATEREPO);
    }

    #[test]
    fn what_is_unknown_survives() {
        let text = r#"<repomd xmlns:x="urn:x"><x:a b="1"/><data type="group">
            <location href="comps.xml"/><x:c><x:d/>&lt;</x:c><checksum type="sha">00</checksum>
            <timestamp> 12.75 </timestamp></data><revision> 7 </revision></repomd>"#;
        let repomd = Repomd::read(text.as_bytes()).unwrap();
        assert_eq!(repomd.extra, [r#"<x:a b="1"/>"#]);
        assert_eq!(repomd.attributes, [("xmlns:x".to_owned(), "urn:x".to_owned())]);
        let group = repomd.record("group").unwrap();
        assert_eq!(group.extra, ["<x:c><x:d/>&lt;</x:c>"]);
        assert_eq!((group.timestamp, group.size), (Some(12), None));
        assert_eq!(Repomd::read(&repomd.write()).unwrap(), repomd);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_empty() {
        let whole = CREATEREPO.trim_end();
        for length in 0..whole.len() {
            assert!(Repomd::read(&whole.as_bytes()[..length]).is_err(), "cut at {length}");
        }
    }
}
