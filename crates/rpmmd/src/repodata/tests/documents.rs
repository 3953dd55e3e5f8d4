//! Packages survive being written and read, and look as createrepo_c would write them.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::packages::{numbered, package};
use super::repodata::Repodata;
use crate::compress::Compression;
use crate::package::{Changelog, Dependency, File, FileKind, Package, Sense, VersionBound};
use crate::repodata::{Document, Fragments, ReadError, RenderOptions, Rendered, TooLong, read, records};

fn rendered(packages: &[Package<'_>], compression: Compression) -> Repodata {
    let fragments: Vec<Fragments> = packages.iter().map(|package| Fragments::of(package).unwrap()).collect();
    let options = RenderOptions { open_checksum: true, ..RenderOptions::new(compression) };
    Repodata::build(options, &fragments)
}

fn read_back(repodata: &Repodata) -> Result<Vec<Package<'static>>, ReadError> {
    let [primary, filelists, other] = Document::ALL.map(|document| repodata.bytes(document));
    read(primary, filelists, other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_packages_are_read_as_they_were_written(packages in vec(package(), 0..4), zstd in any::<bool>()) {
        let compression = if zstd { Compression::Zstd } else { Compression::Gz };
        prop_assert_eq!(read_back(&rendered(&packages, compression)).unwrap(), packages);
    }
}

#[test]
fn the_same_file_under_two_paths_is_two_packages() {
    let first = numbered(1, 10, 3);
    let second = Package { href: Cow::Borrowed("elsewhere.rpm"), ..first.clone() };
    let packages = [first, second];
    assert_eq!(read_back(&rendered(&packages, Compression::Gz)).unwrap(), packages);
}

#[test]
fn a_package_that_filelists_does_not_know_is_an_error() {
    let (both, one) = ([numbered(1, 1, 1), numbered(2, 1, 1)], [numbered(1, 1, 1)]);
    let (both, one) = (rendered(&both, Compression::Gz), rendered(&one, Compression::Gz));
    let [primary, filelists, other] = Document::ALL.map(|document| both.bytes(document));
    let error = read(primary, one.bytes(Document::Filelists), other).unwrap_err();
    assert!(matches!(error, ReadError::Unmatched { document: "filelists", .. }));
    assert!(read(primary, filelists, one.bytes(Document::Other)).is_err());
}

#[test]
fn packages_named_by_another_checksum_are_told_apart() {
    let primary = r#"<metadata><package type="rpm"><name>a</name><checksum type="sha512" pkgid="YES">00</checksum>
        </package></metadata>"#;
    let error = read(primary.as_bytes(), b"<filelists/>", b"<otherdata/>").unwrap_err();
    assert!(matches!(error, ReadError::ChecksumType { found } if found == "sha512"));
}

#[test]
fn a_cut_document_is_an_error_and_never_short() {
    let repodata = rendered(&[numbered(1, 10, 3), numbered(2, 10, 3)], Compression::Gz);
    let open = |document| crate::compress::decompress(repodata.bytes(document), 1 << 20).unwrap().into_owned();
    let [primary, filelists, other] = Document::ALL.map(open);
    for length in 0..primary.len() - 1 {
        assert!(read(&primary[..length], &filelists, &other).is_err(), "primary cut at {length}");
    }
    for length in 0..filelists.len() - 1 {
        assert!(read(&primary, &filelists[..length], &other).is_err(), "filelists cut at {length}");
    }
}

#[test]
fn fragments_look_as_createrepo_c_writes_them() {
    let versioned = |sense, epoch, version, release| Some(VersionBound { sense, epoch, version, release });
    let mut package = numbered(7, 0, 0);
    package.description = Cow::Borrowed("a < b & \"c\"\r\n");
    package.provides = vec![Dependency {
        name: Cow::Borrowed("p(\"x\")"),
        version: versioned(Sense::Equal, Some("0".into()), Some("1".into()), Some("2".into())),
        pre: false,
    }];
    package.requires = vec![
        Dependency { name: Cow::Borrowed("/bin/sh"), version: None, pre: true },
        Dependency {
            name: Cow::Borrowed("r"),
            version: versioned(Sense::GreaterOrEqual, Some("0".into()), Some("3".into()), None),
            pre: false,
        },
    ];
    let file = |dir, base, kind| File { dir: Cow::Borrowed(dir), base: Cow::Borrowed(base), kind };
    package.files = vec![
        file("/etc/", "a", FileKind::Ghost),
        file("/usr/share/", "é", FileKind::Plain),
        file("/usr/lib/cabin/", "d", FileKind::Dir),
    ];
    package.changelogs = vec![Changelog { author: "A <a@b> - 1".into(), date: 9, text: "- x > y".into() }];
    let fragments = Fragments::of(&package).unwrap();
    let text = |document| std::str::from_utf8(fragments.get(document)).unwrap().to_owned();
    let pkgid = package.pkgid.to_string();
    assert_eq!(text(Document::Primary).replace(&pkgid, "PKGID"), PRIMARY);
    assert_eq!(text(Document::Filelists).replace(&pkgid, "PKGID"), FILELISTS);
    assert_eq!(text(Document::Other).replace(&pkgid, "PKGID"), OTHER);
}

const PRIMARY: &str = r#"<package type="rpm">
  <name>package-7</name>
  <arch>noarch</arch>
  <version epoch="0" ver="7" rel="1"/>
  <checksum type="sha256" pkgid="YES">PKGID</checksum>
  <summary>package-7</summary>
  <description>a &lt; b &amp; "c"&#13;
</description>
  <packager></packager>
  <url></url>
  <time file="1" build="2"/>
  <size package="3" installed="4" archive="5"/>
  <location href="package-7.rpm"/>
  <format>
    <rpm:license>MIT</rpm:license>
    <rpm:vendor></rpm:vendor>
    <rpm:group></rpm:group>
    <rpm:buildhost></rpm:buildhost>
    <rpm:sourcerpm></rpm:sourcerpm>
    <rpm:header-range start="6" end="7"/>
    <rpm:provides>
      <rpm:entry name="p(&quot;x&quot;)" flags="EQ" epoch="0" ver="1" rel="2"/>
    </rpm:provides>
    <rpm:requires>
      <rpm:entry name="/bin/sh" pre="1"/>
      <rpm:entry name="r" flags="GE" epoch="0" ver="3"/>
    </rpm:requires>
    <file type="ghost">/etc/a</file>
    <file type="dir">/usr/lib/cabin/d</file>
  </format>
</package>
"#;

const FILELISTS: &str = r#"<package pkgid="PKGID" name="package-7" arch="noarch">
  <version epoch="0" ver="7" rel="1"/>
  <file type="ghost">/etc/a</file>
  <file>/usr/share/é</file>
  <file type="dir">/usr/lib/cabin/d</file>
</package>
"#;

const OTHER: &str = r#"<package pkgid="PKGID" name="package-7" arch="noarch">
  <version epoch="0" ver="7" rel="1"/>
  <changelog author="A &lt;a@b&gt; - 1" date="9">- x &gt; y</changelog>
</package>
"#;

#[test]
fn a_long_directory_with_many_files_does_not_fill_the_memory() {
    let mut package = numbered(1, 0, 0);
    let dir = "d".repeat(1024 * 1024);
    let file = File { dir: Cow::Borrowed(&dir), base: Cow::Borrowed("f"), kind: FileKind::Plain };
    package.files = vec![file; 100_000];
    assert_eq!(Fragments::of(&package), Err(TooLong));
}

#[test]
fn records_describe_the_files() {
    let repodata = rendered(&[numbered(1, 10, 3)], Compression::Zstd);
    let records = records(&repodata.files, 12);
    for (document, record) in Document::ALL.into_iter().zip(&records) {
        let file: &Rendered = repodata.get(document);
        let bytes = repodata.bytes(document);
        let open = crate::compress::decompress(bytes, 1 << 20).unwrap();
        assert_eq!(record.kind, document.name());
        assert_eq!(record.href, format!("repodata/{}-{}.xml.zst", file.sha256, document.name()));
        assert_eq!(record.checksum.as_sha256(), Some(crate::checksum::Sha256::of(bytes)));
        let open_checksum = record.open_checksum.as_ref().unwrap();
        assert_eq!(open_checksum.as_sha256(), Some(crate::checksum::Sha256::of(&open)));
        let sizes = (record.timestamp, record.size, record.open_size);
        assert_eq!(sizes, (Some(12), Some(bytes.len() as u64), Some(open.len() as u64)));
    }
}
