//! What is fuzzed: one function a target, which takes any bytes and panics when a promise about
//! them is broken.
//!
//! Also compiled into the tests of `yrm`, which run every file of `regressions/` through them.

use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, HeaderSignature, Parsed};
use rpmmd::package::{FileFacts, Package, Rules};
use rpmmd::repodata::{Build, Fragments, RenderOptions};
use rpmmd::repomd::Repomd;
use rpmmd::{compress::Compression, filelists, other, primary, repodata, tag};
use sha2::Digest as _;
use yrm::bucket::catalog::{Catalog, Decoded, Entries, Entry};
use yrm::bucket::locate::Locator;
use yrm::config::{BucketUrl, Folders, Repositories};
use yrm::events::message::{Inbox, Said};
use yrm::openpgp::keyring::Keyring;
use yrm::openpgp::verify::{Trust, Verification};
use yrm::store::key::{self, Key, MAX_KEY_BYTES, MirrorFolder};

/// Headers: any prefix of a file gets the same answer as the whole, or asks for more of it.
pub fn header(data: &[u8]) {
    let whole = HeaderFile::parse_prefix(data);
    let (mut length, mut steps) = (0, 0);
    loop {
        match HeaderFile::parse_prefix(&data[..length]) {
            Ok(Parsed::Needs(bytes)) => {
                assert!(bytes > length as u64, "it has what it needs");
                if bytes > data.len() as u64 {
                    return;
                }
                length = usize::try_from(bytes).expect("no longer than the data");
                steps += 1;
                assert!(steps <= 6, "it never has enough");
            }
            Ok(Parsed::Ready(file)) => {
                let Ok(Parsed::Ready(same)) = whole else { panic!("more bytes changed the answer") };
                assert_eq!(file.header_end, same.header_end);
                assert_eq!(file.header_end, length as u64, "it asked for more than it needed");
                return read_all(&file);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(whole.is_err(), "more bytes changed the answer");
                return;
            }
        }
    }
}

fn read_all(file: &HeaderFile<'_>) {
    let _ = (file.expected_file_bytes(), file.payload_sha256(), file.verify_header_digests().is_ok(), file.is_v3());
    for tag in [tag::NAME, tag::SUMMARY, tag::DIRNAMES, tag::DIRINDEXES, tag::REQUIREFLAGS, tag::LONGSIZE] {
        for header in [file.signature, file.main] {
            let texts = header.texts(tag).map_or(0, |texts| texts.map(<[u8]>::len).sum());
            let integers = header.integers(tag).map_or(0, Iterator::count);
            assert!(texts + integers <= header.as_bytes().len());
            let _ = (header.text(tag), header.bytes(tag), header.has(tag));
        }
    }
    // Whatever could be read can be read again with another signature, and means the same.
    if let Ok(start) = file.start_with_signature(HeaderSignature::Rsa(b"a signature")) {
        let signed = [&start, file.main.as_bytes()].concat();
        let Ok(Parsed::Ready(signed)) = HeaderFile::parse_prefix(&signed) else { panic!("signed, it cannot be read") };
        assert_eq!(signed.main.as_bytes(), file.main.as_bytes());
        assert_eq!(signed.signature.bytes(tag::signature::RSA), Some(&b"a signature"[..]));
        assert_eq!(file.unsignable(), signed.unsignable());
    }
}

/// Signatures: two bytes of length, so many bytes of a keyring, a package. Whatever they are, there is an
/// answer, and only a key of the ring is said to have signed.
pub fn signatures(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let Some((keys, package)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { return };
    let keyring = match Keyring::parse(keys) {
        Ok(keyring) => keyring,
        Err(why) => return assert!(!why.to_string().is_empty() && !why.hint().is_empty()),
    };
    assert!(!keyring.is_empty());
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(package) else { return };
    let now = jiff::Timestamp::from_second(1_800_000_000).expect("a moment of 2027");
    let trust = Trust { keyring: std::sync::Arc::new(keyring.clone()), only: None, now };
    let mut verification = Verification::begin(&file, trust);
    verification.update(&package[usize::try_from(file.header_end).expect("it was given")..]);
    match verification.finish(true) {
        Ok(signed) => assert!(keyring.has(&signed.by)),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

/// Packages: what a header becomes is read back as what was meant, by our reader.
pub fn package(data: &[u8]) {
    let Ok(Parsed::Ready(headers)) = HeaderFile::parse_prefix(data) else { return };
    let facts = FileFacts { pkgid: Sha256::of(data), href: "a/b.rpm", file_time: 1, package_bytes: data.len() as u64 };
    let (package, _) = match Package::from_header(&headers, &facts, &Rules::default()) {
        Ok(described) => described,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let Ok(fragments) = Fragments::of(&package) else { return };
    let mut files = [Vec::new(), Vec::new(), Vec::new()];
    let [primary, filelists, other] = &mut files;
    let build = Build::begin(RenderOptions::new(Compression::Gz), 1, [primary, filelists, other]);
    let mut build = build.expect("a Vec takes any bytes");
    build.append(&[fragments]).and_then(|()| build.finish()).expect("a Vec takes any bytes");
    let read = repodata::read(&files[0], &files[1], &files[2]).expect("what we write we read");
    let [read] = read.as_slice() else { panic!("{} packages", read.len()) };

    let paths = |package: &Package<'_>| package.files.iter().map(rpmmd::package::File::path).collect::<Vec<_>>();
    assert_eq!(paths(read), paths(&package));
    // Where paths are cut is the reader's own rule.
    assert_eq!(without_files(read), without_files(&package));
}

fn without_files<'a>(package: &Package<'a>) -> Package<'a> {
    Package { files: Vec::new(), ..package.clone() }
}

/// primary.xml: what is read can be written, and is then read by everybody.
pub fn primary(data: &[u8]) {
    let Ok(packages) = primary::read(data) else { return };
    let mut document = b"<metadata>".to_vec();
    for package in &packages {
        primary::write(&mut document, package);
    }
    document.extend_from_slice(b"</metadata>");
    assert_eq!(primary::read(&document).expect("what we write we read").len(), packages.len());
    for package in &packages {
        let _ = package.nevra.evr.vercmp(&packages[0].nevra.evr);
    }
}

/// filelists.xml.
pub fn filelists(data: &[u8]) {
    let _ = filelists::read(data);
    let _ = repodata::read(b"<metadata/>", data, b"<otherdata/>");
}

/// other.xml.
pub fn other(data: &[u8]) {
    let _ = other::read(data);
    let _ = repodata::read(b"<metadata/>", b"<filelists/>", data);
}

/// repomd.xml: what was kept of a foreign one is kept again.
pub fn repomd(data: &[u8]) {
    let _ = repodata::generation(data);
    let Ok(repomd) = Repomd::read(data) else { return };
    let again = Repomd::read(&repomd.write()).expect("what we write we read");
    assert_eq!(Repomd::read(&again.write()).expect("what we write we read"), again);
    assert_eq!(again.records.len(), repomd.records.len());
}

/// Messages of a queue: whatever a body says, only keys of the inbox come of it.
pub fn events(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    for prefix in ["", "team/a"] {
        let bucket = BucketUrl::S3 { name: "b".to_owned(), prefix: prefix.to_owned() };
        let inbox = Inbox::of(&bucket, &Folders::default()).expect("it is on S3");
        match inbox.said(body) {
            Said::Arrived(keys) => {
                assert!(!keys.is_empty());
                assert!(keys.iter().all(|key| key.starts_with("inbox/") && key.len() <= data.len()));
            }
            Said::Test => {}
            Said::NotOurs(why) => assert!(!why.is_empty()),
        }
    }
}

/// Catalogs: as they lie in the store, and the same bytes under a checksum that fits them.
pub fn catalog(data: &[u8]) {
    decode(data);
    decode(&sealed(data));
}

fn decode(bytes: &[u8]) {
    match Catalog::decode(bytes) {
        Ok(Decoded::Whole(mut catalog)) => {
            let bytes = catalog.encode().expect("what was decoded is encoded");
            assert!(matches!(Catalog::decode(&bytes), Ok(Decoded::Whole(again)) if again.entries == catalog.entries));
            let hrefs = (0..catalog.entries.len()).map(|at| catalog.entries.href(at));
            for href in hrefs.take(3) {
                let _ = (catalog.entries.position(href), catalog.entries.lower_bound(href));
            }
        }
        Ok(Decoded::Delta(delta)) => {
            let _ = delta.on(&base());
        }
        Err(error) => assert!(!error.chain().is_empty()),
    }
}

/// A catalog of three packages for changes to be of.
fn base() -> Catalog {
    let mut entries = Entries::default();
    for href in ["a.rpm", "b/c.rpm", "d.rpm"] {
        entries.push(&Entry {
            href: href.into(),
            name: "n".into(),
            epoch: 0,
            version: "1".into(),
            release: "1".into(),
            arch: "noarch".into(),
            pkgid: [7; 32],
            size_bytes: 1,
            build_time: 2,
            first_published: 3,
            etag: "e".into(),
            fragment_bytes: [1, 2, 3],
            module: None,
        });
    }
    Catalog { entries, ..Catalog::empty(Compression::Gz) }
}

/// The envelope of a stored catalog: name, checksum, length, and a zstd frame.
fn sealed(raw: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(raw, 1).expect("a Vec takes any bytes");
    let body = [&(raw.len() as u64).to_le_bytes()[..], &packed].concat();
    [&b"yrm-cat\x02"[..], &sha2::Sha256::digest(&body), &body].concat()
}

/// Keys: whatever an uploader's path is, what is built of it stays where it belongs.
pub fn keys(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    // Longer ones no store has.
    if path.len() + "inbox/".len() > MAX_KEY_BYTES {
        return;
    }
    let folders = Folders::default();
    let stays = |key: &str, folder: &str| {
        let rest = key.strip_prefix(folder).unwrap_or_else(|| panic!("{key:?} left {folder}"));
        assert!(key::is_plain_path(rest), "{key:?} may lead elsewhere");
        assert!(key.len() <= MAX_KEY_BYTES, "{key:?} is too long");
    };
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("an id");
    stays(&Key::Quarantined { path, id }.path(&folders), "quarantine/");
    stays(&Key::QuarantineRecord { path, id }.path(&folders), "quarantine/");
    if !key::is_publishable_path(path) {
        return;
    }
    assert!(key::is_plain_path(path));
    let globs = ["*", "el*/*", "a/{b,c}"].map(str::to_owned).to_vec();
    for repositories in
        [Repositories::Single, Repositories::Depth(1), Repositories::Depth(3), Repositories::Globs(globs)]
    {
        let locator = Locator::new(&repositories).expect("the patterns are sound");
        let Some((repository, href)) = locator.locate(path) else { continue };
        let target = Key::Package { repository: &repository, href }.path(&folders);
        assert_eq!(target, format!("repo/{path}"), "a package's path is its path in the inbox");
        if key::longest_of(&folders, &repository, true) > MAX_KEY_BYTES {
            continue;
        }
        stays(&target, "repo/");
        stays(&Key::Repomd { repository: &repository }.path(&folders), "repo/");
        stays(&Key::Catalog { repository: &repository, repomd: Sha256::of(data) }.path(&folders), ".yrm/");
        stays(&Key::Swept { repository: &repository }.path(&folders), ".yrm/");
        let (repository, repomd) = (&repository, Sha256::of(data));
        let folder = MirrorFolder { revision: u64::MAX, repomd, key_id: None };
        let in_folder = Key::MirrorFile { repository, folder: &folder, href: "repodata/repomd.xml" };
        stays(&in_folder.path(&folders), "repo/");
        stays(&Key::Mirrorlist { repository }.path(&folders), "repo/");
        stays(&Key::MirrorsLeft { repository }.path(&folders), ".yrm/");
    }
}
