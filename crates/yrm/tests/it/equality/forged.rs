//! Packages made to meet the rules of the format one by one, most of them seldom met in real ones.
//! The rules are numbered as in docs of the metadata: D1 fields, D2 dependencies, D3 requires,
//! D4 files, D7 changelogs, D9 characters.

use forge::{Dependency, File, Rpm, Value, tag};

const LESS: u32 = 1 << 1;
const GREATER: u32 = 1 << 2;
const EQUAL: u32 = 1 << 3;
const POSTTRANS: u32 = 1 << 5;
const PREREQ: u32 = 1 << 6;
const PRETRANS: u32 = 1 << 7;
const INTERP: u32 = 1 << 8;
const SCRIPT_PRE: u32 = 1 << 9;
const SCRIPT_POST: u32 = 1 << 10;
const SCRIPT_PREUN: u32 = 1 << 11;
const SCRIPT_POSTUN: u32 = 1 << 12;
const SCRIPT_VERIFY: u32 = 1 << 13;
const MISSINGOK: u32 = 1 << 19;
const RPMLIB: u32 = 1 << 24;
const STRONG: u32 = 1 << 27;
const META: u32 = 1 << 29;

/// What rpm's scripts and transactions may need beforehand. createrepo_c before 1.1.1 marks two
/// of them differently: the only difference between the two references.
pub(crate) const TRANSACTION_PREREQUISITES: &str = "transaction-prerequisites";

fn rpm(name: &str) -> Rpm {
    Rpm::new(name, "1.0", "1", "x86_64")
}

/// Every package, with its path in the repository.
pub(crate) fn all() -> Vec<(String, Rpm)> {
    let mut packages = Vec::new();
    for (folder, group) in [
        ("", names_and_versions()),
        ("fields/", fields()),
        ("dependencies/", dependencies()),
        ("requires/", requires()),
        ("files/a+b ~c^d%41/é", files()),
        ("changelogs/deep/er/", changelogs()),
        ("text/", text()),
    ] {
        packages.extend(group.into_iter().map(|rpm| (format!("{folder}{}", rpm.file_name()), rpm)));
    }
    packages
}

fn names_and_versions() -> Vec<Rpm> {
    vec![
        rpm("plain"),
        rpm("epoch-zero").epoch(0),
        rpm("epoch-one").epoch(1),
        rpm("epoch-large").epoch(u32::MAX),
        Rpm::new("libstdc++", "12.3", "1.el9", "x86_64"),
        Rpm::new("pre-release", "2.0~rc1", "0.1", "aarch64"),
        Rpm::new("snapshot", "2.0^20240101git", "1", "i686"),
        Rpm::new("all.of_them+~^", "1~2^3+4", "5~6^7+8", "ppc64le"),
        Rpm::new("no-architecture", "1", "1", "noarch"),
        Rpm::new("a-source", "1.0", "1", "x86_64").source().file("a-source.spec").file("a-source-1.0.tar.gz"),
        Rpm::new("a-source-of-nothing", "1.0", "1", "noarch").source(),
        rpm("source-tag-and-none").without_tag(tag::SOURCERPM).file("/usr/share/x"),
        rpm("one-empty-directory-name").without_tag(tag::SOURCERPM).file("x.spec"),
        Rpm::new("unknown-architecture", "1", "1", "pdp11"),
    ]
}

fn fields() -> Vec<Rpm> {
    let five_gib = 5 << 30;
    let bare = [tag::SUMMARY, tag::DESCRIPTION, tag::GROUP, tag::LICENSE, tag::BUILDTIME, tag::BUILDHOST];
    vec![
        bare.into_iter().fold(rpm("nothing-optional"), Rpm::without_tag),
        rpm("every-field")
            .summary(" blanks around ")
            .description("two\n  lines\n\n")
            .group("System/Base")
            .license("GPLv2+ and (MIT or BSD)")
            .vendor("A & B <vendor>")
            .packager("Packager \"Q\" 'q' <p@example.com>")
            .url("https://example.com/?a=1&b=2#c")
            .buildhost("build.example")
            .build_time(1),
        rpm("empty-fields").summary("").description("").vendor("").url("").packager("").license(""),
        rpm("late").build_time(u32::MAX),
        rpm("large").installed_bytes(five_gib).archive_bytes(five_gib + 1),
        rpm("large-files").file(File::new("/usr/lib/huge", "x").claimed_bytes(five_gib)).installed_bytes(five_gib),
        rpm("four-gib-less-one").installed_bytes((4 << 30) - 1).archive_bytes((4 << 30) - 1),
        rpm("no-sizes").without_tag(tag::SIZE).without_signature_tag(tag::SIG_PAYLOADSIZE),
        rpm("both-sizes").installed_bytes(7).tag(tag::LONGSIZE, Value::Int64(vec![9])),
        rpm("translated")
            .tag(tag::HEADERI18NTABLE, Value::texts(["C", "de"]))
            .tag(tag::SUMMARY, Value::Locales(vec![b"English".to_vec(), b"Deutsch".to_vec()]))
            .tag(tag::DESCRIPTION, Value::Locales(vec![b"A text".to_vec(), b"Ein Text".to_vec()]))
            .tag(tag::GROUP, Value::Locales(vec![b"Group".to_vec(), b"Gruppe".to_vec()])),
    ]
}

fn dependencies() -> Vec<Rpm> {
    let odd_versions = [
        ":1",
        "1-",
        "-2",
        "1-2-3",
        "a:1",
        "1-2:3",
        "",
        "00:1-1",
        " 1:1",
        "+1:1",
        "-1:1",
        "1:",
        "1:2",
        "1:2-",
        "1:-3",
        "::",
        ":",
        "-",
        "1 2",
        "0x1:1",
        "99999999999999999999:1",
        "1:2:3",
        "1:2-3:4",
        "~1",
        "1^2~3-4+5",
        "é-ü",
        "1 :1",
    ];
    let odd = odd_versions.iter().enumerate().fold(rpm("odd-versions"), |rpm, (index, version)| {
        let dependency = |kind: &str| Dependency::new(format!("{kind}-{index}")).flags(EQUAL).version(version);
        rpm.provides(dependency("p")).requires(dependency("r")).conflicts(dependency("c")).suggests(dependency("s"))
    });
    let senses = (0..16).fold(rpm("senses"), |rpm, sense| {
        let dependency = Dependency::new(format!("sense-{sense}")).flags(sense).version("1:2-3");
        rpm.requires(dependency.clone()).provides(dependency.clone()).obsoletes(dependency)
    });
    let twice = |rpm: Rpm, add: fn(Rpm, Dependency) -> Rpm| {
        let again = |rpm| add(add(rpm, "again = 1".into()), "again = 1".into());
        add(again(rpm), Dependency::new(""))
    };
    vec![
        odd,
        senses,
        rpm("every-kind")
            .provides("a = 1:2-3")
            .requires("b >= 1:2-3")
            .conflicts("c < 2")
            .obsoletes("d <= 3-1")
            .suggests("e")
            .enhances("f > 4")
            .recommends("g = 5-6")
            .supplements("h")
            .recommends("i")
            .supplements("(j and k)"),
        rpm("rich")
            .requires("(a or b)")
            .requires("((a and b) if c else d)")
            .requires("(a >= 1:2-3 with a < 2)")
            .recommends("(x unless y)")
            .conflicts("(p without q)")
            .provides("not(rich)(64bit)"),
        twice(rpm("repeated-provides"), Rpm::provides),
        twice(rpm("repeated-conflicts"), Rpm::conflicts),
        twice(rpm("repeated-obsoletes"), Rpm::obsoletes),
        twice(rpm("repeated-suggests"), Rpm::suggests),
        twice(rpm("repeated-enhances"), Rpm::enhances),
        twice(rpm("repeated-recommends"), Rpm::recommends),
        twice(rpm("repeated-supplements"), Rpm::supplements),
        rpm("no-provides").without_self_provides(),
        rpm("not-only-requires").provides("rpmlib(x)").conflicts("libc.so.6()(64bit)").recommends("libc.so.6"),
        rpm("legacy-weak")
            .old_suggests("suggested")
            .old_suggests(Dependency::new("recommended").flags(STRONG | EQUAL).version("1-2"))
            .old_enhances("enhanced >= 3")
            .old_enhances(Dependency::new("supplemented").flags(STRONG)),
        rpm("legacy-and-new-weak")
            .suggests("new-suggested")
            .old_suggests(Dependency::new("old-recommended").flags(STRONG))
            .recommends("new-recommended")
            .requires(Dependency::new("missing-ok").flags(MISSINGOK))
            .old_suggests("old-suggested"),
        rpm("pre-elsewhere")
            .provides(Dependency::new("p").flags(PREREQ | SCRIPT_PRE))
            .conflicts(Dependency::new("c").flags(SCRIPT_POST | EQUAL).version("1"))
            .recommends(Dependency::new("r").flags(PREREQ)),
    ]
}

fn requires() -> Vec<Rpm> {
    let flags = [
        ("prereq", PREREQ),
        ("interp", INTERP),
        ("pre", SCRIPT_PRE),
        ("post", SCRIPT_POST),
        ("preun", SCRIPT_PREUN),
        ("postun", SCRIPT_POSTUN),
        ("verify", SCRIPT_VERIFY),
        ("meta", META),
        ("pre-post", SCRIPT_PRE | SCRIPT_POST),
        ("pre-interp", SCRIPT_PRE | INTERP),
    ];
    let prerequisites = flags.iter().fold(rpm("prerequisites"), |rpm, (name, flag)| {
        let versioned = Dependency::new(format!("versioned-{name}")).flags(flag | GREATER | EQUAL).version("1-2");
        rpm.requires(Dependency::new(*name).flags(*flag)).requires(versioned)
    });
    let pre = |name: &str| Dependency::new(name).flags(SCRIPT_PRE);
    vec![
        prerequisites,
        rpm(TRANSACTION_PREREQUISITES)
            .requires(Dependency::new("pretrans").flags(PRETRANS))
            .requires(Dependency::new("posttrans").flags(POSTTRANS | GREATER).version("1")),
        rpm("adjacent-repeats").requires("a").requires("a").requires("b").requires("a"),
        rpm("repeats-with-pre").requires("a").requires(pre("a")).requires("a"),
        rpm("repeats-with-versions")
            .requires("a = 1")
            .requires("a = 2")
            .requires("a = 1")
            .requires("a = 1")
            .requires("b >= 1")
            .requires("a = 1")
            .requires("b >= 1"),
        rpm("rpmlib")
            .requires("rpmlib(X) <= 1")
            .requires("rpmlib(")
            .requires("rpmlibrary")
            .requires(Dependency::new("flag-only").flags(RPMLIB | LESS | EQUAL).version("1")),
        rpm("own-provides")
            .provides("foo = 1")
            .provides("unversioned")
            .provides("twice = 1-1")
            .requires("foo = 1")
            .requires("foo")
            .requires("foo >= 1")
            .requires("unversioned")
            .requires("unversioned = 1")
            .requires("twice = 1-1")
            .requires("own-provides = 1.0-1")
            .requires("own-provides = 0:1.0-1"),
        rpm("own-files")
            .file("/etc/own.conf")
            .file("/usr/bin/own")
            .file("/usr/share/own")
            .file(File::dir("/usr/sbin/owndir"))
            .requires("/etc/own.conf")
            .requires(pre("/usr/bin/own"))
            .requires("/usr/share/own")
            .requires("/usr/sbin/owndir")
            .requires("/bin/sh")
            .requires("/usr/bin/other"),
        rpm("missing-ok")
            .requires("a")
            .requires(Dependency::new("ok").flags(MISSINGOK | SCRIPT_PRE | EQUAL).version("1-1"))
            .requires("b")
            .requires(Dependency::new("a").flags(MISSINGOK))
            .recommends("own"),
        libc("libc-sorted", &["libc.so.6", "libc.so.6()(64bit)", "libc.so.6(GLIBC_2.2.5)(64bit)"]),
        libc("libc-reversed", &["libc.so.6(GLIBC_2.34)(64bit)", "libc.so.6(GLIBC_2.4)(64bit)", "libc.so.6()(64bit)"]),
        libc("libc-tie", &["libc.so.6(GLIBC_2.4)", "libc.so.6(GLIBC_2.4)(64bit)", "z", "libc.so.6(GLIBC_2.3)"]),
        libc("libc-odd", &["libc.so.6foo", "libc.so.6(x)", "libc.so.6(GLIBC_PRIVATE)(64bit)", "libc.so.60(GLIBC_2.9)"]),
        libc("libc-only-plain", &["libc.so.6", "libm.so.6(GLIBC_2.29)(64bit)"]),
    ]
}

fn libc(name: &str, required: &[&str]) -> Rpm {
    required.iter().fold(rpm(name).requires("first"), |rpm, name| rpm.requires(*name)).requires("last")
}

fn files() -> Vec<Rpm> {
    let many = (0..3000).fold(rpm("many-files"), |rpm, index| {
        rpm.file(File::new(format!("/usr/share/many/{:02}/{index:04}&<>\"'", index / 100), ""))
    });
    vec![
        rpm("no-files"),
        many,
        rpm("kinds")
            .file(File::dir("/etc/kinds.d"))
            .file(File::ghost("/etc/kinds.d/ghost"))
            .file(File::dir("/var/lib/kinds").flags(1 << 6))
            .file(File::symlink("/usr/lib/link", "target"))
            .file(File::new("/dev/kinds", "").mode(0o020_600))
            .file(File::new("/run/kinds.pipe", "").mode(0o010_600))
            .file(File::ghost("/var/log/kinds.log"))
            .file(File::new("/etc/kinds.conf", "x").flags(1 << 0 | 1 << 4))
            .file(File::new("/usr/share/doc/kinds", "x").flags(1 << 1)),
        rpm("primary-or-not")
            .file("/etc")
            .file("/etc/x")
            .file("/usr/etc/x")
            .file("/usr/lib/sendmail")
            .file("/usr/lib/sendmail.d")
            .file("/usr/lib64/sendmail")
            .file("/usr/lib/cabin/y")
            .file("/usr/bin2")
            .file("/usr/bin/x")
            .file("/sbin/x")
            .file(File::dir("/opt/bin"))
            .file(File::dir("/opt/bin/d"))
            .file(File::ghost("/opt/bin/g"))
            .file("/bin")
            .file("/"),
        rpm("same-path-twice").file("/etc/x").file("/usr/bin/x").file("/etc/x").file("/a").file("/usr/bin/y"),
        rpm("no-file-modes").file("/etc/x").without_tag(tag::FILEMODES),
        rpm("no-file-flags").file("/etc/x").without_tag(tag::FILEFLAGS),
    ]
}

fn changelogs() -> Vec<Rpm> {
    let thirty = (0..30).fold(rpm("thirty-changelogs"), |rpm, index| {
        let time = 1_700_000_000 - (index / 4) * 86_400;
        rpm.changelog(time, format!("A <a@example.com> - 1-{}  ", 30 - index), format!("- change {index}\n\n"))
    });
    let times = |name: &str, times: &[u32]| {
        times.iter().enumerate().fold(rpm(name), |rpm, (index, time)| {
            rpm.changelog(*time, format!("Author {index}"), format!("- text {index}"))
        })
    };
    vec![
        thirty,
        times("same-second", &[1000, 1000, 1000, 999, 999, 999]),
        times("all-the-same", &[5; 12]),
        times("ten", &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        times("eleven-same-at-the-end", &[20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 11]),
        times("out-of-order", &[3, 5, 5, 4, 6, 6, 5, 7]),
        times("chain", &[1002, 1001, 1000, 1000, 1000]),
        times("zero-and-largest", &[u32::MAX, 0, 0]),
        rpm("authors")
            .changelog(4, "  leading and trailing  ", "x")
            .changelog(3, "tab\t", "x")
            .changelog(2, "   ", "only blanks")
            .changelog(1, "", "no author"),
        rpm("changelog-text").changelog(2, "<a> & \"b\"", " <b>&amp;]]>\r\n\ttab ").changelog(1, "c", ""),
    ]
}

fn text() -> Vec<Rpm> {
    let everywhere = |rpm: Rpm, text: &[u8]| {
        rpm.summary(text)
            .description(text)
            .vendor(text)
            .packager(text)
            .url(text)
            .license(text)
            .group(text)
            .buildhost(text)
            .requires(Dependency::new(text).flags(EQUAL).version("1"))
            .file(File::new([b"/etc/", text].concat(), ""))
            .file(File::new([b"/", text, b"/x"].concat(), ""))
            .changelog(1, text, text)
    };
    let latin1: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != b'/').collect();
    vec![
        everywhere(rpm("unicode"), "Grüße, 世界 🎉 \u{300}\u{200f}\u{10ffff}".as_bytes()),
        everywhere(rpm("markup"), b"a<b>&amp;\"quotes\" 'single' ]]> -- <!-- &#x41; %41"),
        everywhere(rpm("white-space"), b" tab\t line\n return\r both\r\n "),
        everywhere(rpm("delete-and-c1"), b"\x7f \xc2\x80\xc2\x85\xc2\x9f \xe2\x80\xa8"),
        everywhere(rpm("latin-1"), b"caf\xe9 na\xefve \xff"),
        everywhere(rpm("latin-1-whole"), &latin1),
        everywhere(rpm("half-utf-8"), b"utf \xc3\xa9 and latin \xe9"),
        everywhere(rpm("cut-utf-8"), b"cut \xe4\xb8"),
        everywhere(rpm("beyond-unicode"), b"beyond \xf4\x90\x80\x80 \xf8\x88\x80\x80\x80"),
        rpm("long-text").description("x".repeat(300_000)).summary("é".repeat(10_000)),
    ]
}

/// Packages that createrepo_c drops, or whose metadata no client could read (D9): we keep them
/// and write U+FFFD.
pub(crate) fn forbidden_characters() -> Vec<(String, Rpm)> {
    let with = |name: &str, text: &[u8]| {
        rpm(name)
            .summary(text)
            .requires(Dependency::new([b"r", text].concat()))
            .file(File::new([b"/etc/", text].concat(), ""))
            .changelog(1, text, text)
    };
    vec![
        with("control", b"a\x01b\x1fc"),
        with("escape", b"a\x1b[31mb\x08c"),
        with("not-a-character", b"a\xef\xbf\xbeb\xef\xbf\xbfc"),
        with("surrogate", b"a\xed\xa0\x80b\xed\xbf\xbfc"),
        with("overlong", b"a\xc0\xafb\xe0\x80\xafc"),
    ]
    .into_iter()
    .map(|rpm| (rpm.file_name(), rpm))
    .collect()
}
