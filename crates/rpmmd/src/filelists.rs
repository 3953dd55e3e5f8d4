//! filelists.xml: every file of every package.

use crate::checksum::Sha256;
use crate::package::{File, Package};
use crate::primary::{read_file, write_file, write_version};
use crate::xml::{Element, Elements, ReadError, attribute, digest};

/// Appends the package's `package` element.
pub fn write(out: &mut Vec<u8>, package: &Package<'_>) {
    write_head(out, package);
    for file in &package.files {
        write_file(out, "  ", file);
    }
    out.extend_from_slice(b"</package>\n");
}

/// Appends `<package pkgid name arch>` and the version, the same in filelists and other.
pub(crate) fn write_head(out: &mut Vec<u8>, package: &Package<'_>) {
    out.extend_from_slice(b"<package pkgid=\"");
    digest(out, &package.pkgid);
    out.push(b'"');
    attribute(out, "name", &package.nevra.name);
    attribute(out, "arch", &package.nevra.arch);
    out.extend_from_slice(b">\n");
    write_version(out, &package.nevra.evr);
}

/// Reads filelists.xml (uncompressed): each package's files, in the document's order.
pub fn read(document: &[u8]) -> Result<Vec<(Sha256, Vec<File<'static>>)>, ReadError> {
    read_packages(document, "filelists", read_child)
}

/// Reads one child of a `package` element, if it is a file.
pub(crate) fn read_child<'a>(
    elements: &mut Elements<'a>,
    element: &Element<'a>,
) -> Result<Option<File<'static>>, ReadError> {
    if element.name() == "file" {
        return read_file(elements, element).map(Some);
    }
    elements.skip()?;
    Ok(None)
}

/// Reads a document of `package` elements named by pkgid, each child through `read_child`.
pub(crate) fn read_packages<'a, T>(
    document: &'a [u8],
    root: &'static str,
    read_child: impl Fn(&mut Elements<'a>, &Element<'a>) -> Result<Option<T>, ReadError>,
) -> Result<Vec<(Sha256, Vec<T>)>, ReadError> {
    let (mut elements, _) = Elements::enter(document, root)?;
    let mut packages = Vec::new();
    while let Some(package) = elements.child()? {
        if package.name() != "package" {
            elements.skip()?;
            continue;
        }
        let pkgid = read_pkgid(&package)?;
        packages.push((pkgid, read_children(&mut elements, &read_child)?));
    }
    Ok(packages)
}

/// The pkgid in a `package` element's start.
pub(crate) fn read_pkgid(package: &Element<'_>) -> Result<Sha256, ReadError> {
    package.parse(&package.required("pkgid", "package pkgid")?, "package pkgid")
}

/// Reads the children of the open `package` element.
pub(crate) fn read_children<'a, T>(
    elements: &mut Elements<'a>,
    read_child: impl Fn(&mut Elements<'a>, &Element<'a>) -> Result<Option<T>, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let mut children = Vec::new();
    while let Some(element) = elements.child()? {
        children.extend(read_child(elements, &element)?);
    }
    Ok(children)
}
