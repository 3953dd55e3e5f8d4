//! What is read package by package is what is read at once.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::canonical;
use super::packages::{numbered, package};
use super::repodata::Repodata;
use crate::compress::{Compression, decompress};
use crate::package::{Changelog, Package};
use crate::primary;
use crate::repodata::{Document, Fragments, Mark, PackageStream, PackageXml, ReadError, RenderOptions, join, read};

fn rendered(packages: &[Package<'_>], options: RenderOptions) -> Repodata {
    let fragments: Vec<Fragments> = packages.iter().map(|package| Fragments::of(package).unwrap()).collect();
    Repodata::build(options, &fragments)
}

fn all(document: Document, file: &[u8]) -> Result<Vec<PackageXml>, ReadError> {
    let mut stream = PackageStream::open(document, &file)?;
    let mut packages = Vec::new();
    while let Some(package) = stream.next_package()? {
        packages.push(package);
    }
    Ok(packages)
}

fn joined(files: [&[u8]; 3]) -> Result<Vec<Fragments>, ReadError> {
    let [primary, filelists, other] = files;
    let (primary, filelists) = (all(Document::Primary, primary)?, all(Document::Filelists, filelists)?);
    let other = all(Document::Other, other)?;
    let same = |among: &[PackageXml], wanted: &PackageXml| {
        among.iter().find(|one| one.pkgid == wanted.pkgid).cloned().unwrap_or_else(|| among[0].clone())
    };
    let fragments =
        |said: &PackageXml| Ok(join([said, &same(&filelists, said), &same(&other, said)])?.fragments().unwrap());
    primary.iter().map(fragments).collect()
}

/// What the slow way makes of the same.
fn written_anew(files: [&[u8]; 3]) -> Result<Vec<Fragments>, ReadError> {
    let [primary, filelists, other] = files;
    let packages = read(primary, filelists, other)?;
    Ok(packages.iter().map(|package| Fragments::of(package).unwrap()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_packages_are_read_as_they_were_written(packages in vec(package(), 1..4), zstd in any::<bool>()) {
        let compression = if zstd { Compression::Zstd } else { Compression::Gz };
        let made = rendered(&packages, RenderOptions::new(compression));
        let files = Document::ALL.map(|document| made.bytes(document));
        prop_assert_eq!(joined(files).unwrap(), written_anew(files).unwrap());
    }
}

#[test]
fn our_own_files_tell_their_generation_and_others_none() {
    for compression in [Compression::Gz, Compression::Zstd] {
        for (generation, packages) in [(Some(7), 0), (Some(u64::MAX), 3000), (None, 3)] {
            let packages: Vec<Package<'_>> = (0..packages).map(|number| numbered(number, 2, 1)).collect();
            let mark = generation.map(|revision| Mark { revision, writer: 1 });
            let made = rendered(&packages, RenderOptions { mark, ..RenderOptions::new(compression) });
            for document in Document::ALL {
                let file = made.bytes(document);
                assert_eq!(PackageStream::open(document, &file).unwrap().generation(), generation);
                assert_eq!(all(document, file).unwrap().len(), packages.len());
            }
        }
    }
}

#[test]
fn a_file_cut_or_damaged_anywhere_is_an_error_and_never_short() {
    let made = rendered(&[numbered(1, 10, 3), numbered(2, 10, 3)], RenderOptions::new(Compression::Gz));
    for document in Document::ALL {
        let file = made.bytes(document);
        for length in 0..file.len() {
            assert!(all(document, &file[..length]).is_err(), "{} cut at {length}", document.name());
        }
        let text = decompress(file, 1 << 20).unwrap();
        for length in 0..text.len() - 1 {
            assert!(all(document, &text[..length]).is_err(), "{} cut at {length}", document.name());
        }
    }
}

#[test]
fn what_is_between_packages_is_passed_over_and_errors_tell_where() {
    let one = |pkgid: char| format!("<package pkgid=\"{}\"><file>/f</file></package>", pkgid.to_string().repeat(64));
    let document =
        format!("<filelists><x><package/></x>{} text <!-- {} -->{}</filelists>", one('a'), one('b'), one('c'));
    let packages = all(Document::Filelists, document.as_bytes()).unwrap();
    assert_eq!(packages.len(), 2);
    let broken = document.replace("pkgid=\"c", "pkgid=\"x");
    let Err(ReadError::Invalid { position, .. }) = all(Document::Filelists, broken.as_bytes()) else {
        panic!("a pkgid that is no digest")
    };
    assert_eq!(&broken[..usize::try_from(position).unwrap()], broken.split_at(broken.rfind("<file>").unwrap()).0);
}

#[test]
fn documents_of_different_packages_are_not_joined() {
    let made = rendered(&[numbered(1, 1, 1), numbered(2, 1, 1)], RenderOptions::new(Compression::Gz));
    let [primary, filelists, other] = Document::ALL.map(|document| all(document, made.bytes(document)).unwrap());
    assert!(join([&primary[0], &filelists[0], &other[0]]).is_ok());
    let unmatched = [join([&primary[0], &filelists[1], &other[0]]), join([&primary[0], &filelists[0], &other[1]])];
    assert!(unmatched.iter().all(|joined| matches!(joined, Err(ReadError::Unmatched { .. }))));
}

#[test]
fn an_element_is_copied_only_where_it_would_be_written_so() {
    let mut package = numbered(1, 6, 2);
    let text = "- a & b <c>\r\n\t\u{fffd} \u{e9}";
    let entry = |author: &'static str, date| Changelog { author: author.into(), date, text: text.into() };
    package.changelogs = vec![entry("\"A\" <a@b> & c", 0), entry("b", 1_700_000_000)];
    let made = rendered(&[package], RenderOptions::new(Compression::Gz));
    let texts = Document::ALL.map(|document| decompress(made.bytes(document), 1 << 20).unwrap().into_owned());
    let [filelists, other] = [1, 2].map(|at| all(Document::ALL[at], &texts[at]).unwrap().remove(0));
    let read = primary::read(&texts[0]).unwrap().remove(0);
    assert!(canonical::as_written(&read, &filelists, &other).is_some(), "nothing has to be read of what we wrote");
    let pieces: [&[u8]; 16] = [
        b"<",
        b">",
        b"&",
        b"\"",
        b"'",
        b" ",
        b"\n",
        b"\t",
        b"\r",
        b"\0",
        b"\xff",
        b"/",
        b"&amp;",
        b"&#65;",
        b"<!---->",
        "\u{ffff}".as_bytes(),
    ];
    let mut copied = 0;
    for document in [1, 2] {
        let find = |what: &[u8]| texts[document].windows(what.len()).position(|at| at == what).unwrap();
        for at in find(b"<package ") + 9..find(b"</package>") {
            for (piece, replaces) in pieces.iter().flat_map(|piece| [(piece, 0), (piece, 1)]) {
                let mut text = texts[document][..at].to_vec();
                text.extend_from_slice(piece);
                text.extend_from_slice(&texts[document][at + replaces..]);
                let mut files = [&texts[0][..], &texts[1][..], &texts[2][..]];
                files[document] = &text;
                match (joined(files), written_anew(files)) {
                    (Ok(joined), Ok(anew)) => assert_eq!(joined, anew, "{}", String::from_utf8_lossy(&text)),
                    (Err(_), _) => {}
                    (Ok(joined), Err(error)) => panic!("{error}: {joined:?}"),
                }
                copied += 1;
            }
        }
    }
    assert!(copied > 10_000, "{copied}");
}
