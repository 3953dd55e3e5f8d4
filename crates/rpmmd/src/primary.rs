//! primary.xml: what a client needs to find and resolve a package.
//!
//! Writer and reader of one `package` element, side by side; element order and emptiness are
//! createrepo_c's. The reader sees only the files primary lists; [`crate::repodata::read`] puts
//! the whole list in their place.

use std::borrow::Cow;

use crate::checksum::Sha256;
use crate::evr::Evr;
use crate::nevra::Nevra;
use crate::package::{Dependency, File, FileKind, Package, Sense, VersionBound};
use crate::xml::{Element, Elements, ReadError, attribute, digest, escape_text, number_attribute, text_element};

/// Appends the package's `package` element.
pub fn write(out: &mut Vec<u8>, package: &Package<'_>) {
    out.extend_from_slice(b"<package type=\"rpm\">\n");
    text_element(out, "  ", "name", &package.nevra.name);
    text_element(out, "  ", "arch", &package.nevra.arch);
    write_version(out, &package.nevra.evr);
    out.extend_from_slice(b"  <checksum type=\"sha256\" pkgid=\"YES\">");
    digest(out, &package.pkgid);
    out.extend_from_slice(b"</checksum>\n");
    text_element(out, "  ", "summary", &package.summary);
    text_element(out, "  ", "description", &package.description);
    text_element(out, "  ", "packager", &package.packager);
    text_element(out, "  ", "url", &package.url);
    out.extend_from_slice(b"  <time");
    number_attribute(out, "file", package.file_time);
    number_attribute(out, "build", package.build_time);
    out.extend_from_slice(b"/>\n  <size");
    number_attribute(out, "package", package.package_bytes);
    number_attribute(out, "installed", package.installed_bytes);
    number_attribute(out, "archive", package.archive_bytes);
    out.extend_from_slice(b"/>\n  <location");
    attribute(out, "href", &package.href);
    out.extend_from_slice(b"/>\n  <format>\n");
    write_format(out, package);
    out.extend_from_slice(b"  </format>\n</package>\n");
}

/// Appends `<version epoch ver rel/>`, the same in all three documents.
pub(crate) fn write_version(out: &mut Vec<u8>, evr: &Evr) {
    out.extend_from_slice(b"  <version");
    number_attribute(out, "epoch", u64::from(evr.epoch));
    attribute(out, "ver", &evr.version);
    attribute(out, "rel", &evr.release);
    out.extend_from_slice(b"/>\n");
}

fn write_format(out: &mut Vec<u8>, package: &Package<'_>) {
    text_element(out, "    ", "rpm:license", &package.license);
    text_element(out, "    ", "rpm:vendor", &package.vendor);
    text_element(out, "    ", "rpm:group", &package.group);
    text_element(out, "    ", "rpm:buildhost", &package.buildhost);
    text_element(out, "    ", "rpm:sourcerpm", &package.sourcerpm);
    out.extend_from_slice(b"    <rpm:header-range");
    number_attribute(out, "start", package.header_start);
    number_attribute(out, "end", package.header_end);
    out.extend_from_slice(b"/>\n");
    write_dependencies(out, "provides", &package.provides);
    write_dependencies(out, "requires", &package.requires);
    write_dependencies(out, "conflicts", &package.conflicts);
    write_dependencies(out, "obsoletes", &package.obsoletes);
    write_dependencies(out, "suggests", &package.suggests);
    write_dependencies(out, "enhances", &package.enhances);
    write_dependencies(out, "recommends", &package.recommends);
    write_dependencies(out, "supplements", &package.supplements);
    for file in package.files.iter().filter(|file| file.is_primary()) {
        write_file(out, "    ", file);
    }
}

fn write_dependencies(out: &mut Vec<u8>, section: &str, dependencies: &[Dependency<'_>]) {
    if dependencies.is_empty() {
        return;
    }
    out.extend_from_slice(b"    <rpm:");
    out.extend_from_slice(section.as_bytes());
    out.extend_from_slice(b">\n");
    for dependency in dependencies {
        out.extend_from_slice(b"      <rpm:entry");
        attribute(out, "name", &dependency.name);
        if let Some(bound) = &dependency.version {
            attribute(out, "flags", sense_text(bound.sense));
            for (name, part) in [("epoch", &bound.epoch), ("ver", &bound.version), ("rel", &bound.release)] {
                if let Some(part) = part {
                    attribute(out, name, part);
                }
            }
        }
        if dependency.pre {
            out.extend_from_slice(b" pre=\"1\"");
        }
        out.extend_from_slice(b"/>\n");
    }
    out.extend_from_slice(b"    </rpm:");
    out.extend_from_slice(section.as_bytes());
    out.extend_from_slice(b">\n");
}

fn sense_text(sense: Sense) -> &'static str {
    match sense {
        Sense::Less => "LT",
        Sense::Greater => "GT",
        Sense::Equal => "EQ",
        Sense::LessOrEqual => "LE",
        Sense::GreaterOrEqual => "GE",
    }
}

/// Appends one `file` element, the same in primary and filelists but for the indent.
pub(crate) fn write_file(out: &mut Vec<u8>, indent: &str, file: &File<'_>) {
    out.extend_from_slice(indent.as_bytes());
    out.extend_from_slice(match file.kind {
        FileKind::Plain => b"<file>",
        FileKind::Dir => b"<file type=\"dir\">".as_slice(),
        FileKind::Ghost => b"<file type=\"ghost\">",
    });
    escape_text(out, &file.dir);
    escape_text(out, &file.base);
    out.extend_from_slice(b"</file>\n");
}

/// Reads primary.xml (uncompressed). Each package's `files` are the ones primary lists, and its
/// `changelogs` are empty.
pub fn read(document: &[u8]) -> Result<Vec<Package<'static>>, ReadError> {
    let (mut elements, _) = Elements::enter(document, "metadata")?;
    let mut packages = Vec::new();
    while let Some(element) = elements.child()? {
        if element.name() == "package" {
            packages.push(read_package(&mut elements, &element)?);
        } else {
            elements.skip()?;
        }
    }
    Ok(packages)
}

/// The pkgid of a package whose `package` element is open; what comes before it is passed over.
pub(crate) fn read_pkgid(elements: &mut Elements<'_>, start: &Element<'_>) -> Result<Sha256, ReadError> {
    while let Some(element) = elements.child()? {
        if element.name() == "checksum" {
            return read_checksum(elements, &element);
        }
        elements.skip()?;
    }
    Err(start.invalid("the package's checksum", None))
}

fn read_checksum(elements: &mut Elements<'_>, element: &Element<'_>) -> Result<Sha256, ReadError> {
    let kind = element.required("type", "the checksum's type")?;
    if kind != "sha256" {
        return Err(ReadError::ChecksumType { found: kind.into_owned() });
    }
    element.parse(&elements.text()?, "the package's checksum")
}

/// Reads the package whose `package` element is open, as [`read`] does.
pub(crate) fn read_package(elements: &mut Elements<'_>, start: &Element<'_>) -> Result<Package<'static>, ReadError> {
    let (package, base) = read_located(elements, start)?;
    match base {
        None => Ok(package),
        // The file is then somewhere else: there is no href in this repository.
        Some(base) => Err(start.invalid("location xml:base", Some(base))),
    }
}

/// The same of a package that may lie elsewhere: with its location's `xml:base`.
pub(crate) fn read_located(
    elements: &mut Elements<'_>,
    start: &Element<'_>,
) -> Result<(Package<'static>, Option<String>), ReadError> {
    let (mut name, mut pkgid, mut version, mut base) = (None, None, None, None);
    let mut package = empty();
    while let Some(element) = elements.child()? {
        match element.name() {
            "name" => name = Some(elements.text()?),
            "arch" => package.nevra.arch = elements.text()?,
            "checksum" => pkgid = Some(read_checksum(elements, &element)?),
            "summary" => package.summary = text(elements)?,
            "description" => package.description = text(elements)?,
            "packager" => package.packager = text(elements)?,
            "url" => package.url = text(elements)?,
            "format" => read_format(elements, &mut package)?,
            other => {
                match other {
                    "version" => version = Some(read_version(&element)?),
                    "time" => {
                        package.file_time = element.number("file", "time file")?.unwrap_or(0);
                        package.build_time = element.number("build", "time build")?.unwrap_or(0);
                    }
                    "size" => {
                        package.package_bytes = element.number("package", "size package")?.unwrap_or(0);
                        package.installed_bytes = element.number("installed", "size installed")?.unwrap_or(0);
                        package.archive_bytes = element.number("archive", "size archive")?.unwrap_or(0);
                    }
                    "location" => {
                        base = element.attribute("xml:base")?.map(Cow::into_owned);
                        package.href = Cow::Owned(element.required("href", "location href")?.into_owned());
                    }
                    _ => {}
                }
                elements.skip()?;
            }
        }
    }
    package.nevra.name = name.ok_or_else(|| start.invalid("the package's name", None))?;
    package.nevra.evr = version.ok_or_else(|| start.invalid("the package's version", None))?;
    package.pkgid = pkgid.ok_or_else(|| start.invalid("the package's checksum", None))?;
    if package.href.is_empty() {
        return Err(start.invalid("location href", None));
    }
    Ok((package, base))
}

/// Where a package is said to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// `xml:base`, where the repository's own folder is not meant.
    pub base: Option<String>,
    /// `href`.
    pub href: String,
}

/// Reads of a package, whose `package` element is open, only where it lies.
pub(crate) fn read_location(elements: &mut Elements<'_>, start: &Element<'_>) -> Result<Location, ReadError> {
    let mut location = None;
    while let Some(element) = elements.child()? {
        if element.name() == "location" {
            let base = element.attribute("xml:base")?.map(Cow::into_owned);
            let href = element.required("href", "location href")?.into_owned();
            location = Some(Location { base, href });
        }
        elements.skip()?;
    }
    location.filter(|location| !location.href.is_empty()).ok_or_else(|| start.invalid("location href", None))
}

pub(crate) fn read_version(element: &Element<'_>) -> Result<Evr, ReadError> {
    Ok(Evr {
        epoch: element.number("epoch", "version epoch")?.unwrap_or(0),
        version: element.required("ver", "version ver")?.into_owned(),
        release: element.required("rel", "version rel")?.into_owned(),
    })
}

fn read_format(elements: &mut Elements<'_>, package: &mut Package<'static>) -> Result<(), ReadError> {
    while let Some(element) = elements.child()? {
        match element.name() {
            "license" => package.license = text(elements)?,
            "vendor" => package.vendor = text(elements)?,
            "group" => package.group = text(elements)?,
            "buildhost" => package.buildhost = text(elements)?,
            "sourcerpm" => package.sourcerpm = text(elements)?,
            "header-range" => {
                package.header_start = element.number("start", "header-range start")?.unwrap_or(0);
                package.header_end = element.number("end", "header-range end")?.unwrap_or(0);
                elements.skip()?;
            }
            "provides" => package.provides = read_dependencies(elements)?,
            "requires" => package.requires = read_dependencies(elements)?,
            "conflicts" => package.conflicts = read_dependencies(elements)?,
            "obsoletes" => package.obsoletes = read_dependencies(elements)?,
            "suggests" => package.suggests = read_dependencies(elements)?,
            "enhances" => package.enhances = read_dependencies(elements)?,
            "recommends" => package.recommends = read_dependencies(elements)?,
            "supplements" => package.supplements = read_dependencies(elements)?,
            "file" => package.files.push(read_file(elements, &element)?),
            _ => elements.skip()?,
        }
    }
    Ok(())
}

fn read_dependencies(elements: &mut Elements<'_>) -> Result<Vec<Dependency<'static>>, ReadError> {
    let mut dependencies = Vec::new();
    while let Some(element) = elements.child()? {
        if element.name() == "entry" {
            dependencies.push(read_dependency(&element)?);
        }
        elements.skip()?;
    }
    Ok(dependencies)
}

fn read_dependency(element: &Element<'_>) -> Result<Dependency<'static>, ReadError> {
    let part =
        |name| -> Result<_, ReadError> { Ok(element.attribute(name)?.map(|part| Cow::Owned(part.into_owned()))) };
    let version = match element.attribute("flags")? {
        None => None,
        Some(flags) => {
            let sense = match flags.as_ref() {
                "LT" => Sense::Less,
                "GT" => Sense::Greater,
                "EQ" => Sense::Equal,
                "LE" => Sense::LessOrEqual,
                "GE" => Sense::GreaterOrEqual,
                _ => return Err(element.invalid("a dependency's flags", Some(flags.into_owned()))),
            };
            Some(VersionBound { sense, epoch: part("epoch")?, version: part("ver")?, release: part("rel")? })
        }
    };
    let name = element.required("name", "a dependency's name")?.into_owned();
    let pre = element.attribute("pre")?.is_some_and(|pre| pre == "1");
    Ok(Dependency { name: Cow::Owned(name), version, pre })
}

/// Reads one `file` element; the path is cut after its last `/`.
pub(crate) fn read_file(elements: &mut Elements<'_>, element: &Element<'_>) -> Result<File<'static>, ReadError> {
    let kind = match element.attribute("type")?.as_deref() {
        Some("dir") => FileKind::Dir,
        Some("ghost") => FileKind::Ghost,
        Some(_) | None => FileKind::Plain,
    };
    let mut dir = elements.text()?;
    let base = dir.split_off(dir.rfind('/').map_or(0, |slash| slash + 1));
    Ok(File { dir: Cow::Owned(dir), base: Cow::Owned(base), kind })
}

fn text(elements: &mut Elements<'_>) -> Result<Cow<'static, str>, ReadError> {
    elements.text().map(Cow::Owned)
}

fn empty() -> Package<'static> {
    let evr = Evr { epoch: 0, version: String::new(), release: String::new() };
    Package {
        nevra: Nevra { name: String::new(), evr, arch: String::new() },
        pkgid: Sha256::from_bytes([0; 32]),
        href: Cow::Borrowed(""),
        summary: Cow::Borrowed(""),
        description: Cow::Borrowed(""),
        packager: Cow::Borrowed(""),
        url: Cow::Borrowed(""),
        file_time: 0,
        build_time: 0,
        package_bytes: 0,
        installed_bytes: 0,
        archive_bytes: 0,
        license: Cow::Borrowed(""),
        vendor: Cow::Borrowed(""),
        group: Cow::Borrowed(""),
        buildhost: Cow::Borrowed(""),
        sourcerpm: Cow::Borrowed(""),
        header_start: 0,
        header_end: 0,
        provides: Vec::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        obsoletes: Vec::new(),
        suggests: Vec::new(),
        enhances: Vec::new(),
        recommends: Vec::new(),
        supplements: Vec::new(),
        files: Vec::new(),
        changelogs: Vec::new(),
    }
}
