//! A repository on disk, read by this test's own means: repomd.xml, the files it names with
//! everything it says about them, and every package of the three documents.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use rpmmd::checksum::Sha256;

use super::tree::Element;

const DOCUMENTS: [&str; 3] = ["primary", "filelists", "other"];

/// What a repository says, package by package.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repository {
    /// By location href: the package's element in primary, filelists and other.
    pub(crate) packages: BTreeMap<String, [Element; 3]>,
}

impl Repository {
    /// Reads `folder/repodata`. What repomd.xml says wrongly of a file is an error.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let repomd = fs::read_to_string(folder.join("repodata/repomd.xml")).map_err(|error| error.to_string())?;
        let repomd = Element::parse(&repomd)?;
        let revision = repomd.child("revision").map_or("", |revision| &revision.text);
        if revision.parse::<u64>().is_err() {
            return Err(format!("revision {revision:?} is not a number"));
        }
        let mut documents = BTreeMap::new();
        for record in repomd.children.iter().filter(|child| child.name == "data") {
            let kind = record.attribute("type").to_owned();
            let document = read_record(folder, record).map_err(|error| format!("{kind}: {error}"))?;
            documents.insert(kind, document);
        }
        let [primary, filelists, other] = DOCUMENTS.map(|kind| documents.remove(kind));
        if !documents.is_empty() {
            return Err(format!("unexpected records {:?}", documents.keys()));
        }
        let (primary, filelists, other) =
            (primary.ok_or("no primary")?, filelists.ok_or("no filelists")?, other.ok_or("no other")?);
        join(primary, filelists, other)
    }

    /// What differs between this and `other`, a line each.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (href, ours) in &self.packages {
            match other.packages.get(href) {
                None => found.push(format!("{href}: only in the first")),
                Some(theirs) => {
                    for ((left, right), document) in ours.iter().zip(theirs).zip(DOCUMENTS) {
                        left.differences(right, &format!("{href} {document}"), &mut found);
                    }
                }
            }
        }
        let missing = other.packages.keys().filter(|href| !self.packages.contains_key(*href));
        found.extend(missing.map(|href| format!("{href}: only in the second")));
        found
    }
}

/// Reads one file that repomd.xml names and checks everything said about it.
fn read_record(folder: &Path, record: &Element) -> Result<Element, String> {
    let text = |name: &str| record.child(name).map(|child| child.text.clone()).ok_or(format!("no {name}"));
    let href = record.child("location").ok_or("no location")?.attribute("href").to_owned();
    let file = fs::read(folder.join(&href)).map_err(|error| format!("{href}: {error}"))?;
    let open = decompress(&file)?;
    // Files that are kept by blocks are not hashed open; their generation stands at the top.
    let by_blocks = open.windows(16).take(256).any(|window| window == b"<!-- generation ");
    for (name, bytes, size) in [("checksum", &file, "size"), ("open-checksum", &open, "open-size")] {
        if by_blocks && name == "open-checksum" {
            continue;
        }
        let checksum = record.child(name).ok_or(format!("no {name}"))?;
        if checksum.attribute("type") != "sha256" || checksum.text != Sha256::of(bytes).to_string() {
            return Err(format!("{name} is wrong: {checksum:?}"));
        }
        if text(size)?.parse() != Ok(bytes.len()) {
            return Err(format!("{size} is wrong: {}", text(size)?));
        }
    }
    if !href.starts_with(&format!("repodata/{}-{}.xml.", text("checksum")?, record.attribute("type"))) {
        return Err(format!("{href} is not named for its content"));
    }
    if text("timestamp")?.parse::<u64>().is_err() {
        return Err(format!("timestamp is not a number: {}", text("timestamp")?));
    }
    let document = Element::parse(std::str::from_utf8(&open).map_err(|error| error.to_string())?)?;
    if document.attribute("packages").parse() != Ok(document.children.len()) {
        return Err(format!("packages={:?} for {}", document.attribute("packages"), document.children.len()));
    }
    Ok(document)
}

pub(crate) fn decompress(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut open = Vec::new();
    if file.starts_with(&[0x1f, 0x8b]) {
        // Only the first member: some clients read no further, so nothing may be behind it.
        let mut decoder = flate2::bufread::GzDecoder::new(file);
        decoder.read_to_end(&mut open).map_err(|error| error.to_string())?;
        if !decoder.into_inner().is_empty() {
            return Err("something follows the first gzip member".into());
        }
    } else {
        open = zstd::decode_all(file).map_err(|error| error.to_string())?;
    }
    Ok(open)
}

fn join(primary: Element, filelists: Element, other: Element) -> Result<Repository, String> {
    let by_pkgid = |document: Element| -> Result<BTreeMap<String, Element>, String> {
        let mut packages = BTreeMap::new();
        for package in document.children {
            let pkgid = package.attribute("pkgid").to_owned();
            if packages.insert(pkgid.clone(), package).is_some() {
                return Err(format!("{pkgid} twice"));
            }
        }
        Ok(packages)
    };
    let (mut filelists, mut other) = (by_pkgid(filelists)?, by_pkgid(other)?);
    let mut repository = Repository::default();
    for package in primary.children {
        let pkgid = package.child("checksum").map(|checksum| checksum.text.clone()).ok_or("no checksum")?;
        let href = package.child("location").ok_or("no location")?.attribute("href").to_owned();
        let files = filelists.remove(&pkgid).ok_or(format!("{href} is not in filelists"))?;
        let changes = other.remove(&pkgid).ok_or(format!("{href} is not in other"))?;
        if repository.packages.insert(href.clone(), [package, files, changes]).is_some() {
            return Err(format!("{href} twice"));
        }
    }
    if let Some(pkgid) = filelists.keys().chain(other.keys()).next() {
        return Err(format!("{pkgid} is not in primary"));
    }
    Ok(repository)
}
