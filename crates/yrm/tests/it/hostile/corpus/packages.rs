//! Sound headers with hostile contents: names, lists, texts, numbers.

use forge::{Dependency, File, Rpm, Value, tag};

use super::{Accepted, Content, Entry, Rejected, sound};

const INVALID: super::Expected = Rejected("E_HEADER_INVALID");
const LIMIT: super::Expected = Rejected("E_HEADER_LIMIT");
const NAME: super::Expected = Rejected("E_POLICY_NAME");

/// Most values that librpm takes in a list.
const MOST: usize = 0xf_ffff;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "name-missing", expected: INVALID, make: |name| sound(name).without_tag(tag::NAME).into() },
    Entry { name: "name-empty", expected: INVALID, make: |_| named("").into() },
    Entry {
        name: "name-of-numbers",
        expected: INVALID,
        make: |name| sound(name).tag(tag::NAME, Value::int32(7)).into(),
    },
    Entry { name: "name-that-climbs", expected: NAME, make: |_| named("../../x").into() },
    Entry { name: "name-of-64-kib", expected: NAME, make: |_| named("n".repeat(64 << 10)).into() },
    Entry { name: "name-with-slash", expected: NAME, make: |_| named("a/b").into() },
    Entry { name: "name-with-newline", expected: NAME, make: |_| named("a\nb").into() },
    // A string ends at its NUL, and what follows it is no tag's.
    Entry { name: "name-with-nul", expected: INVALID, make: |name| named(format!("{name}\0../x")).into() },
    Entry { name: "name-turned-around", expected: NAME, make: |_| named("a\u{202e}mpr.b").into() },
    Entry { name: "name-with-markup", expected: NAME, make: |_| named("<script>").into() },
    Entry { name: "version-with-spaces", expected: NAME, make: |name| Rpm::new(name, "1 0", "1", "noarch").into() },
    Entry {
        name: "release-with-markup",
        expected: NAME,
        make: |name| Rpm::new(name, "1", "<script>", "noarch").into(),
    },
    Entry {
        name: "epoch-of-64-bits",
        expected: INVALID,
        make: |name| sound(name).tag(tag::EPOCH, Value::Int64(vec![1 << 32])).into(),
    },
    Entry { name: "unknown-architecture", expected: Accepted, make: |name| Rpm::new(name, "1", "1", "pdp11").into() },
    Entry { name: "architecture-that-climbs", expected: NAME, make: |name| Rpm::new(name, "1", "1", "../x").into() },
    Entry {
        name: "source-and-binary",
        expected: Accepted,
        make: |name| sound(name).tag(tag::SOURCEPACKAGE, Value::int32(1)).into(),
    },
    Entry { name: "source-in-a-binary-folder", expected: Accepted, make: |name| sound(name).source().into() },
    Entry {
        name: "fewer-directory-numbers-than-files",
        expected: INVALID,
        make: |name| sound(name).file("/usr/share/two").tag(tag::DIRINDEXES, Value::Int32(vec![0])).into(),
    },
    Entry {
        name: "directory-number-out-of-range",
        expected: INVALID,
        make: |name| sound(name).tag(tag::DIRINDEXES, Value::Int32(vec![1])).into(),
    },
    Entry {
        name: "directory-number-negative",
        expected: INVALID,
        make: |name| sound(name).tag(tag::DIRINDEXES, Value::Int32(vec![u32::MAX])).into(),
    },
    Entry { name: "1048576-files", expected: LIMIT, make: |name| files(name, MOST + 1).into() },
    Entry { name: "1048575-files", expected: LIMIT, make: |name| files(name, MOST).into() },
    Entry { name: "100000-files", expected: Accepted, make: |name| files(name, 100_000).into() },
    Entry {
        name: "file-names-that-climb",
        expected: Accepted,
        make: |name| sound(name).file("/../../etc/passwd").file("../x").into(),
    },
    Entry { name: "file-names-in-latin-1", expected: Accepted, make: |name| with_file(name, b"/usr/share/caf\xe9") },
    Entry {
        name: "file-names-of-invalid-utf-8",
        expected: Accepted,
        make: |name| with_file(name, b"/usr/share/\xe4\xb8/\xc0\xaf"),
    },
    Entry {
        name: "file-names-with-controls",
        expected: Accepted,
        make: |name| with_file(name, b"/usr/share/\x01\x1b[31m\x7f\n\t"),
    },
    Entry {
        name: "file-names-with-markup",
        expected: Accepted,
        make: |name| with_file(name, b"/usr/share/]]></file><file>&\"'"),
    },
    Entry {
        name: "file-names-not-in-unicode",
        expected: Accepted,
        make: |name| with_file(name, b"/usr/\xef\xbf\xbf/\xed\xa0\x80"),
    },
    // One directory of 64 KiB that must be changed, and what it is worth for every file.
    Entry { name: "40000-files-in-a-long-odd-directory", expected: LIMIT, make: files_in_a_long_directory },
    Entry {
        name: "10-mib-changelog",
        expected: Accepted,
        make: |name| sound(name).changelog(9, "me", "x".repeat(10 << 20)).into(),
    },
    Entry {
        name: "10-mib-changelog-of-controls",
        expected: LIMIT,
        make: |name| sound(name).changelog(9, "me", "\u{1}\"".repeat(5 << 20)).into(),
    },
    Entry { name: "100000-changelogs-of-one-second", expected: Accepted, make: changelogs_of_one_second },
    Entry {
        name: "more-texts-than-locales",
        expected: Accepted,
        make: |name| {
            let texts = vec![b"C".to_vec(), b"de".to_vec(), b"fr".to_vec()];
            sound(name).tag(tag::SUMMARY, Value::Locales(texts)).into()
        },
    },
    Entry { name: "no-locales", expected: Accepted, make: |name| sound(name).without_tag(tag::HEADERI18NTABLE).into() },
    Entry {
        name: "fewer-versions-than-provides",
        expected: INVALID,
        make: |name| sound(name).provides("a").tag(tag::PROVIDEVERSION, Value::texts(["1"])).into(),
    },
    Entry {
        name: "more-flags-than-provides",
        expected: INVALID,
        make: |name| sound(name).tag(tag::PROVIDEFLAGS, Value::Int32(vec![8; 9])).into(),
    },
    Entry { name: "negative-sizes", expected: Accepted, make: negative_sizes },
    Entry { name: "sizes-of-2-64", expected: Accepted, make: sizes_of_2_64 },
    Entry { name: "built-in-2106", expected: Accepted, make: |name| sound(name).build_time(u32::MAX).into() },
    Entry {
        name: "built-in-2-63",
        expected: INVALID,
        make: |name| sound(name).tag(tag::BUILDTIME, Value::Int64(vec![1 << 63])).into(),
    },
    Entry { name: "version-3", expected: Accepted, make: version_3 },
    Entry { name: "version-6", expected: Accepted, make: version_6 },
    Entry { name: "50000-requires", expected: Accepted, make: |name| requires(name, 50_000) },
    Entry { name: "1048575-requires", expected: LIMIT, make: |name| requires(name, MOST) },
    Entry { name: "200000-of-every-dependency", expected: LIMIT, make: every_dependency },
    // Each is compared with the highest so far.
    Entry { name: "50000-libc-requires-and-a-long-one", expected: Accepted, make: libc_requires },
    Entry { name: "texts-of-every-kind-of-markup", expected: Accepted, make: markup },
];

fn named(name: impl AsRef<[u8]>) -> Rpm {
    Rpm::new(name, "1", "1", "noarch")
}

fn with_file(name: &str, path: &[u8]) -> Content {
    sound(name).file(File::new(path, "")).into()
}

/// So many files with the least that each of them needs.
fn files(name: &str, count: usize) -> Rpm {
    let numbers = |number: u32| Value::Int32(vec![number; count]);
    sound(name)
        .tag(tag::DIRNAMES, Value::texts(["/d/"]))
        .tag(tag::DIRINDEXES, numbers(0))
        .tag(tag::BASENAMES, Value::Texts(vec![b"f".to_vec(); count]))
        .tag(tag::FILEMODES, Value::Int16(vec![0o100_644; count]))
        .tag(tag::FILEFLAGS, numbers(0))
        .tag(tag::FILEDIGESTS, Value::Texts(vec![Vec::new(); count]))
        .tag(tag::FILESIZES, numbers(0))
}

fn files_in_a_long_directory(name: &str) -> Content {
    let dir = [b"/".as_slice(), &vec![0xe9; 64 << 10], b"/"].concat();
    files(name, 40_000).tag(tag::DIRNAMES, Value::texts([dir])).into()
}

fn changelogs_of_one_second(name: &str) -> Content {
    let count = 100_000;
    sound(name)
        .tag(tag::CHANGELOGTIME, Value::Int32(vec![5; count]))
        .tag(tag::CHANGELOGNAME, Value::Texts(vec![b"me".to_vec(); count]))
        .tag(tag::CHANGELOGTEXT, Value::Texts(vec![b"text".to_vec(); count]))
        .into()
}

fn negative_sizes(name: &str) -> Content {
    let file = File::new("/usr/share/negative", "").claimed_bytes(u64::from(u32::MAX));
    sound(name).file(file).installed_bytes(u64::from(u32::MAX)).archive_bytes(u64::from(u32::MAX)).into()
}

fn sizes_of_2_64(name: &str) -> Content {
    let file = File::new("/usr/share/huge", "").claimed_bytes(u64::MAX);
    sound(name).file(file).installed_bytes(u64::MAX).archive_bytes(u64::MAX).into()
}

/// Whole paths, no region, and provides without versions.
fn version_3(name: &str) -> Content {
    let new = [tag::DIRNAMES, tag::DIRINDEXES, tag::BASENAMES, tag::PROVIDEVERSION, tag::PROVIDEFLAGS];
    let old = sound(name).without_region().tag(tag::OLDFILENAMES, Value::texts(["/usr/share/sound"]));
    new.into_iter().fold(old, Rpm::without_tag).into()
}

/// Sizes in the main header, none in the signature header.
fn version_6(name: &str) -> Content {
    const PAYLOADSIZE: u32 = 5112;
    const RPMFORMAT: u32 = 5114;
    let old = [tag::SIG_SIZE, tag::SIG_PAYLOADSIZE, tag::SIG_MD5, tag::SIG_SHA1];
    let payload = vec![0; 1000];
    let rpm = sound(name).tag(RPMFORMAT, Value::int32(6)).tag(PAYLOADSIZE, Value::Int64(vec![1000])).payload(payload);
    old.into_iter().fold(rpm, Rpm::without_signature_tag).into()
}

fn requires(name: &str, count: usize) -> Content {
    sound(name)
        .tag(tag::REQUIRENAME, Value::texts((0..count).map(|number| format!("r{number}"))))
        .tag(tag::REQUIREFLAGS, Value::Int32(vec![0; count]))
        .tag(tag::REQUIREVERSION, Value::Texts(vec![Vec::new(); count]))
        .into()
}

fn every_dependency(name: &str) -> Content {
    const LISTS: [[u32; 3]; 8] = [
        [tag::PROVIDENAME, tag::PROVIDEFLAGS, tag::PROVIDEVERSION],
        [tag::REQUIRENAME, tag::REQUIREFLAGS, tag::REQUIREVERSION],
        [tag::CONFLICTNAME, tag::CONFLICTFLAGS, tag::CONFLICTVERSION],
        [tag::OBSOLETENAME, tag::OBSOLETEFLAGS, tag::OBSOLETEVERSION],
        [tag::SUGGESTNAME, tag::SUGGESTFLAGS, tag::SUGGESTVERSION],
        [tag::ENHANCENAME, tag::ENHANCEFLAGS, tag::ENHANCEVERSION],
        [tag::RECOMMENDNAME, tag::RECOMMENDFLAGS, tag::RECOMMENDVERSION],
        [tag::SUPPLEMENTNAME, tag::SUPPLEMENTFLAGS, tag::SUPPLEMENTVERSION],
    ];
    let count = 200_000;
    let add = |rpm: Rpm, [names, flags, versions]: [u32; 3]| {
        rpm.tag(names, Value::Texts(vec![b"d".to_vec(); count]))
            .tag(flags, Value::Int32(vec![0; count]))
            .tag(versions, Value::Texts(vec![Vec::new(); count]))
    };
    LISTS.into_iter().fold(sound(name), add).into()
}

fn libc_requires(name: &str) -> Content {
    let long = format!("libc.so.6({})", "9".repeat(4 << 20));
    let names = std::iter::once(long).chain((0..50_000).map(|number| format!("libc.so.6(G_{number})")));
    let count = 50_001;
    sound(name)
        .tag(tag::REQUIRENAME, Value::texts(names))
        .tag(tag::REQUIREFLAGS, Value::Int32(vec![0; count]))
        .tag(tag::REQUIREVERSION, Value::Texts(vec![Vec::new(); count]))
        .into()
}

fn markup(name: &str) -> Content {
    let text =
        "</package><package type=\"rpm\"><name>evil</name> ]]> <!-- <!DOCTYPE a [<!ENTITY b \"c\">]> &b; &#0; \u{FFFE}";
    sound(name)
        .summary(text)
        .description(text)
        .url(text)
        .vendor(text)
        .packager(text)
        .license(text)
        .requires(Dependency::new(text).flags(8).version(text))
        .changelog(1, text, text)
        .into()
}
