//! Primary as it stands in another folder: every href after a prefix, at the cost of what changed.

use super::packages::numbered;
use super::repodata::Repodata;
use crate::compress::Compression;
use crate::repodata::{Document, Fragments, Previous, RenderError, RenderOptions, Rendered, Slot, read, render};

const UP: &str = "../../";

fn fragments(number: u32) -> Fragments {
    let mut package = numbered(number, 9_000, 40);
    package.summary = "<location href=\"not this\"/>".into();
    Fragments::of(&package).unwrap()
}

fn options(compression: Compression) -> RenderOptions {
    RenderOptions { href_prefix: UP, ..RenderOptions::new(compression) }
}

fn previous<'a>((rendered, bytes): &'a (Rendered, Vec<u8>), href_prefix: &'static str) -> Previous<'a> {
    let (layout, fragment_bytes) = (&rendered.layout, rendered.fragment_bytes.as_slice());
    Previous { layout, fragment_bytes, file: bytes, verify: None, href_prefix }
}

fn primary(
    options: RenderOptions,
    slots: &[Slot<'_>],
    previous: Option<Previous<'_>>,
) -> Result<(Rendered, Vec<u8>), RenderError> {
    let mut bytes = Vec::new();
    render(Document::Primary, options, slots, previous, &mut bytes).map(|rendered| (rendered, bytes))
}

/// The hrefs that a client reads, the prefix taken off again.
fn hrefs(flat: &Repodata, primary: &[u8]) -> Vec<String> {
    let packages = read(primary, flat.bytes(Document::Filelists), flat.bytes(Document::Other)).unwrap();
    packages.iter().map(|package| package.href.strip_prefix(UP).expect("it has the prefix").to_owned()).collect()
}

#[test]
fn a_prefixed_primary_is_the_same_whether_built_derived_or_spliced() {
    for compression in [Compression::Gz, Compression::Zstd] {
        let packages: Vec<Fragments> = (0..300).map(fragments).collect();
        let flat = Repodata::build(RenderOptions::new(compression), &packages);
        let fresh: Vec<Slot<'_>> = packages.iter().map(Slot::Fresh).collect();
        let kept = [Slot::Kept(0..packages.len())];
        let built = primary(options(compression), &fresh, None).unwrap();
        let flat_primary = (flat.get(Document::Primary).clone(), flat.bytes(Document::Primary).to_vec());
        let derived = primary(options(compression), &kept, Some(previous(&flat_primary, ""))).unwrap();
        let all = |primary: &[u8]| read(primary, flat.bytes(Document::Filelists), flat.bytes(Document::Other)).unwrap();
        assert_eq!(all(&derived.1), all(&built.1));
        assert!(derived.0.reused.is_empty(), "no block of the flat file is one of this");
        let expected: Vec<String> = (0..300).map(|number| numbered(number, 0, 0).href.into_owned()).collect();
        assert_eq!(hrefs(&flat, &derived.1), expected);
        let layout = &derived.0.layout;
        assert_eq!((layout.file_bytes(), layout.open_bytes()), (derived.1.len() as u64, derived.0.open_bytes));
        let longer = |(flat, with): (&u32, &u32)| flat + 6 == *with;
        assert!(flat_primary.0.fragment_bytes.iter().zip(&derived.0.fragment_bytes).all(longer));

        // One package more costs the blocks around it.
        let new = fragments(1_000);
        let slots = [Slot::Kept(0..150), Slot::Fresh(&new), Slot::Kept(150..packages.len())];
        let spliced = primary(options(compression), &slots, Some(previous(&derived, UP))).unwrap();
        let mut all = packages.clone();
        all.insert(150, new.clone());
        let next = Repodata::build(RenderOptions::new(compression), &all);
        assert_eq!(hrefs(&next, &spliced.1).len(), 301);
        let reused: u64 = spliced.0.reused.iter().map(|(at, _)| at.end - at.start).sum();
        assert!(reused * 10 > spliced.0.file_bytes * 6, "{reused} of {}", spliced.0.file_bytes);
    }
}

#[test]
fn a_file_with_another_prefix_is_not_spliced() {
    let package = fragments(1);
    let made = primary(options(Compression::Gz), &[Slot::Fresh(&package)], None).unwrap();
    let flat = RenderOptions::new(Compression::Gz);
    let refused = primary(flat, &[Slot::Kept(0..1)], Some(previous(&made, UP)));
    assert!(matches!(refused, Err(RenderError::PreviousMismatch)));
}

#[test]
fn an_address_stands_before_every_href_and_the_hrefs_stay() {
    const BASE: &str = "https://packages.example/repo/el9/";
    for compression in [Compression::Gz, Compression::Zstd] {
        let all: Vec<Fragments> = (0..300).map(fragments).collect();
        let fresh: Vec<Slot<'_>> = all.iter().map(Slot::Fresh).collect();
        let flat = primary(RenderOptions::new(compression), &fresh, None).unwrap();
        let below = RenderOptions { location_base: BASE, ..RenderOptions::new(compression) };
        let based = primary(below, &[Slot::Kept(0..all.len())], Some(previous(&flat, ""))).unwrap();
        let again = primary(below, &fresh, None).unwrap();
        let xml =
            |file: &[u8]| String::from_utf8(crate::compress::decompress(file, 1 << 30).unwrap().into_owned()).unwrap();
        let (flat, based, again) = (xml(&flat.1), xml(&based.1), xml(&again.1));
        let wanted = flat.replace("<location href=", &format!("<location xml:base=\"{BASE}\" href="));
        assert_eq!((&based, &again), (&wanted, &wanted));
        assert_eq!(wanted.matches(BASE).count(), all.len());
    }
}
