//! Each of createrepo_c's rules on a package that shows it.

use forge::{Dependency as Asked, File as Packed, Rpm, Value};
use proptest::prelude::*;

use super::*;
use crate::header::{HeaderFile, Parsed};
use crate::tag;

const PRE: u32 = 1 << 9;
const MISSINGOK: u32 = 1 << 19;
const STRONG: u32 = 1 << 27;

fn parse(file: &[u8]) -> HeaderFile<'_> {
    match HeaderFile::parse_prefix(file).unwrap() {
        Parsed::Ready(headers) => headers,
        Parsed::Needs(bytes) => panic!("needs {bytes}"),
    }
}

fn facts(file: &[u8]) -> FileFacts<'static> {
    FileFacts { pkgid: Sha256::of(file), href: "a/b.rpm", file_time: 7, package_bytes: file.len() as u64 }
}

/// Reads `rpm` and hands the package and its warnings to `look`.
fn with<T>(rpm: &Rpm, look: impl FnOnce(&Package<'_>, &[Warning]) -> T) -> T {
    let file = rpm.build();
    let (package, warnings) = Package::from_header(&parse(&file), &facts(&file), &Rules::default()).unwrap();
    look(&package, &warnings)
}

fn error(rpm: &Rpm) -> String {
    let file = rpm.build();
    Package::from_header(&parse(&file), &facts(&file), &Rules::default()).unwrap_err().to_string()
}

fn base() -> Rpm {
    Rpm::new("base", "1", "2", "noarch").without_self_provides()
}

/// One dependency as one word each: `name[ SENSE epoch:ver-rel][ pre]`, `_` for absent parts.
fn show(list: &[Dependency<'_>]) -> Vec<String> {
    let part = |part: &Option<Cow<'_, str>>| part.as_deref().unwrap_or("_").to_owned();
    let show = |one: &Dependency<'_>| {
        let version = one.version.as_ref().map_or(String::new(), |bound| {
            format!(" {:?} {}:{}-{}", bound.sense, part(&bound.epoch), part(&bound.version), part(&bound.release))
        });
        format!("{}{version}{}", one.name, if one.pre { " pre" } else { "" })
    };
    list.iter().map(show).collect()
}

fn requires(rpm: &Rpm) -> Vec<String> {
    with(rpm, |package, _| show(&package.requires))
}

fn paths(rpm: &Rpm) -> Vec<String> {
    with(rpm, |package, _| package.files.iter().map(File::path).collect())
}

#[test]
fn a_package_has_its_headers_identity_texts_and_sizes() {
    let rpm = Rpm::new("a", "1.0~rc1", "2^x", "x86_64")
        .epoch(3)
        .summary(" S ")
        .description("D\n")
        .packager("P")
        .url("U")
        .license("L")
        .vendor("V")
        .group("G")
        .buildhost("B")
        .build_time(u32::MAX)
        .installed_bytes(1234)
        .archive_bytes(5678);
    let file = rpm.build();
    let headers = parse(&file);
    with(&rpm, |package, warnings| {
        assert_eq!(warnings, []);
        assert_eq!(package.nevra.to_string(), "a-3:1.0~rc1-2^x.x86_64");
        assert_eq!((&*package.summary, &*package.description), (" S ", "D\n"));
        assert_eq!((&*package.packager, &*package.url, &*package.license), ("P", "U", "L"));
        assert_eq!((&*package.vendor, &*package.group, &*package.buildhost), ("V", "G", "B"));
        assert_eq!(&*package.sourcerpm, "a-1.0~rc1-2^x.src.rpm");
        assert_eq!((package.file_time, package.build_time), (7, u64::from(u32::MAX)));
        assert_eq!(package.package_bytes, file.len() as u64);
        assert_eq!((package.installed_bytes, package.archive_bytes), (1234, 5678));
        assert_eq!((package.header_start, package.header_end), (headers.header_start, headers.header_end));
        assert_eq!((package.pkgid, &*package.href), (Sha256::of(&file), "a/b.rpm"));
        assert_eq!(show(&package.provides), ["a Equal 3:1.0~rc1-2^x", "a(x86-64) Equal 3:1.0~rc1-2^x"]);
        assert!(matches!(package.summary, Cow::Borrowed(_)), "clean text is not copied");
    });
}

#[test]
fn missing_tags_are_empty() {
    let rpm = base().without_tag(1014).without_tag(1007).without_tag(1004).without_tag(1006).without_tag(1009);
    with(&rpm.without_signature_tag(1007), |package, _| {
        assert_eq!([&*package.license, &*package.buildhost, &*package.summary, &*package.url], [""; 4]);
        assert_eq!((package.build_time, package.installed_bytes, package.archive_bytes), (0, 0, 0));
        assert_eq!(package.nevra.evr.epoch, 0);
    });
}

#[test]
fn sizes_beyond_4_gib_come_from_the_long_tags() {
    with(&base().installed_bytes(5 << 30).archive_bytes(6 << 30), |package, _| {
        assert_eq!((package.installed_bytes, package.archive_bytes), (5 << 30, 6 << 30));
    });
}

#[test]
fn version_6_packages_have_no_archive_size() {
    with(&base().tag(5114, Value::int32(6)), |package, _| assert_eq!(package.archive_bytes, 0));
}

#[test]
fn a_package_without_a_name_is_refused() {
    assert_eq!(error(&base().without_tag(1000)), "the header has no NAME");
    assert_eq!(error(&base().tag(1001, Value::text(""))), "the header has no VERSION");
    // Types are checked by the header's reader, but for packages from before rpm 4.
    let old = || base().without_region();
    assert_eq!(error(&old().tag(1002, Value::int32(1))), "the header has no RELEASE");
    assert_eq!(error(&base().without_tag(1022)), "the header has no ARCH");
    assert_eq!(error(&old().tag(1003, Value::Int64(vec![1 << 32]))), "EPOCH 4294967296 is too large");
}

#[test]
fn translated_texts_are_those_of_the_c_locale() {
    let locales = || Value::Locales(vec![b"C".to_vec(), b"de".to_vec()]);
    with(&base().tag(100, Value::texts(["C", "de"])).tag(1004, locales()).tag(1016, locales()), |package, _| {
        assert_eq!((&*package.summary, &*package.group), ("C", "C"));
    });
}

#[test]
fn source_packages_have_the_architecture_src() {
    with(&Rpm::new("s", "1", "1", "x86_64").source().file("s.spec"), |package, _| {
        assert_eq!((&*package.nevra.arch, &*package.sourcerpm), ("src", ""));
        assert_eq!(package.files[0].path(), "s.spec");
    });
}

#[test]
fn packages_that_say_neither_source_nor_binary_are_judged_by_their_directories() {
    let arch = |rpm: &Rpm| with(rpm, |package, _| (package.nevra.arch.clone(), package.sourcerpm.to_string()));
    let neither = base().without_tag(1044);
    assert_eq!(arch(&neither.clone()), ("noarch".into(), "(none)".into()));
    assert_eq!(arch(&neither.clone().file("/etc/x")), ("noarch".into(), "(none)".into()));
    assert_eq!(arch(&neither.file("x.spec").file("x.tar")), ("src".into(), String::new()));
}

#[test]
fn versions_of_dependencies_are_split_as_they_are_written() {
    let rpm = ["= 1", "= :1", "= 00:1-", "=  1:1-2-3", "= +1:-2", "= -1:1", "= ", "< 1", "> 1", "<= 1", ">= 1:2-3"]
        .iter()
        .fold(base(), |rpm, version| rpm.provides(format!("p {version}").as_str()));
    assert_eq!(
        with(&rpm, |package, _| show(&package.provides)),
        [
            "p Equal 0:1-_",
            "p Equal 0:1-_",
            "p Equal 00:1-_",
            "p Equal  1:1-2-3",
            "p Equal +1:_-2",
            "p Equal -1:1-_",
            "p Equal _:_-_",
            "p Less 0:1-_",
            "p Greater 0:1-_",
            "p LessOrEqual 0:1-_",
            "p GreaterOrEqual 1:2-3",
        ]
    );
}

#[test]
fn flags_that_compare_nothing_leave_the_version_out() {
    let rpm = [0, 1, 3, 6, 14]
        .into_iter()
        .fold(base(), |rpm, flags| rpm.provides(Asked::new("p").flags(flags).version("1:2-3")));
    assert_eq!(with(&rpm, |package, _| show(&package.provides)), ["p"; 5]);
}

#[test]
fn a_dependency_whose_epoch_is_no_number_is_left_out_with_a_warning() {
    let rpm = base().conflicts("a = a:1").conflicts("b = 1-2:3").conflicts("c = +:1").conflicts("d =  :1");
    let rpm = rpm.conflicts(Asked::new("e").version("x:1")).conflicts("f");
    with(&rpm, |package, warnings| {
        assert_eq!(show(&package.conflicts), ["f"]);
        assert_eq!(
            warnings[0].to_string(),
            "CONFLICTVERSION: left out a dependency on \"a:1\", whose epoch is no number"
        );
        assert_eq!(warnings.len(), 5);
    });
}

#[test]
fn other_lists_keep_duplicates_and_rpmlib() {
    let all = || ["a", "a", "rpmlib(x)", "libc.so.6", "libc.so.6(X)", "/etc/x"];
    let mut rpm = base().file("/etc/x").provides("");
    for name in all() {
        rpm = rpm.provides(name).conflicts(name).obsoletes(name).suggests(name);
        rpm = rpm.enhances(name).recommends(name).supplements(name);
    }
    with(&rpm, |package, _| {
        let lists = [&package.provides, &package.conflicts, &package.obsoletes, &package.suggests];
        for list in lists.into_iter().chain([&package.enhances, &package.recommends, &package.supplements]) {
            assert_eq!(show(list), all());
        }
    });
}

#[test]
fn rich_dependencies_are_names() {
    assert_eq!(requires(&base().requires("(a >= 1 if b)")), ["(a >= 1 if b)"]);
}

#[test]
fn requirements_of_rpm_itself_are_left_out() {
    assert_eq!(requires(&base().requires(Asked::new("rpmlib(X)")).requires("rpmlibrary")), ["rpmlibrary"]);
}

#[test]
fn own_primary_paths_are_not_required() {
    let rpm = base().file("/etc/x").file("/usr/bin/x").file("/usr/share/x").file("/usr/lib/sendmail");
    let asked = ["/etc/x", "/usr/bin/x", "/usr/share/x", "/usr/lib/sendmail", "/etc/y"];
    let rpm = asked.into_iter().fold(rpm, Rpm::requires);
    assert_eq!(requires(&rpm), ["/usr/share/x", "/etc/y"]);
    // Only what starts with a slash is taken for a path.
    assert_eq!(requires(&base().source().file("bin/x").requires("bin/x")), ["bin/x"]);
}

#[test]
fn what_is_provided_exactly_is_not_required() {
    let rpm = base().provides("a = 1").provides("b");
    let rpm = ["a", "a = 1", "a = 0:1", "a >= 1", "b", "b = 1"].into_iter().fold(rpm, Rpm::requires);
    assert_eq!(requires(&rpm), ["a", "a Equal 0:1-_", "a GreaterOrEqual 0:1-_", "b Equal 0:1-_"]);
}

#[test]
fn what_scripts_need_is_marked() {
    let rpm = (5..=12).fold(base(), |rpm, bit| rpm.requires(Asked::new(format!("b{bit}")).flags(1 << bit)));
    assert_eq!(requires(&rpm), ["b5 pre", "b6 pre", "b7 pre", "b8", "b9 pre", "b10 pre", "b11", "b12"]);
    with(&base().conflicts(Asked::new("c").flags(PRE)), |package, _| assert_eq!(show(&package.conflicts), ["c"]));
}

#[test]
fn only_adjacent_repetitions_of_a_name_vanish() {
    let pre = || Asked::new("a").flags(PRE);
    let rpm = base().requires("a").requires(pre()).requires("b").requires(pre()).requires("a").requires("a");
    assert_eq!(requires(&rpm), ["a", "a pre", "b", "a"]);
    let rpm = base().requires("a > 1").requires("a < 3").requires("a > 1").requires("a > 1");
    assert_eq!(requires(&rpm), ["a Greater 0:1-_", "a Less 0:3-_", "a Greater 0:1-_"]);
}

#[test]
fn requirements_that_may_be_missing_are_recommendations() {
    let rpm = base().recommends("own").requires("a").requires(Asked::new("m").flags(MISSINGOK | PRE));
    with(&rpm.requires("m"), |package, _| {
        assert_eq!(show(&package.requires), ["a", "m"]);
        assert_eq!(show(&package.recommends), ["m", "own"]);
    });
}

#[test]
fn of_libc_requirements_the_highest_is_kept_at_the_end() {
    for (names, highest) in [
        (&["libc.so.6", "libc.so.6()(64bit)"][..], "libc.so.6()(64bit)"),
        (&["libc.so.6(GLIBC_2.9)(64bit)", "libc.so.6(GLIBC_2.14)(64bit)"], "libc.so.6(GLIBC_2.14)(64bit)"),
        (&["libc.so.6(GLIBC_2.3)(64bit)", "libc.so.6(GLIBC_PRIVATE)(64bit)"], "libc.so.6(GLIBC_2.3)(64bit)"),
        (&["libc.so.6()(64bit)", "libc.so.6(GLIBC_PRIVATE)"], "libc.so.6(GLIBC_PRIVATE)"),
        (&["libc.so.6foo", "libc.so.6"], "libc.so.6foo"),
    ] {
        for rotated in 0..names.len() {
            let mut rpm = base().requires("a");
            let order = names.iter().cycle().skip(rotated).take(names.len());
            if rotated > 0 && highest == "libc.so.6foo" {
                continue; // A tie keeps the first.
            }
            for name in order {
                rpm = rpm.requires(*name);
            }
            assert_eq!(requires(&rpm.requires("z")), ["a", "z", highest]);
        }
    }
}

#[test]
fn old_weak_dependencies_go_by_their_strength() {
    let strong = |name: &str| Asked::new(name).flags(STRONG);
    let rpm = base().old_suggests("os").old_suggests(strong("or")).old_enhances("oe").old_enhances(strong("op"));
    with(&rpm.suggests("s").recommends("r").enhances("e").supplements("p"), |package, _| {
        assert_eq!(
            (show(&package.suggests), show(&package.recommends)),
            (vec!["s".into(), "os".into()], vec!["r".into(), "or".into()])
        );
        assert_eq!(
            (show(&package.enhances), show(&package.supplements)),
            (vec!["e".into(), "oe".into()], vec!["p".into(), "op".into()])
        );
    });
}

#[test]
fn lists_of_different_length_are_refused() {
    let uneven = base().provides("a").provides("b").tag(1112, Value::int32(0));
    assert_eq!(error(&uneven), "PROVIDENAME has 2 values but PROVIDEFLAGS has 1");
    let two = || base().file("/etc/a").file("/etc/b");
    assert_eq!(error(&two().tag(1116, Value::int32(0))), "BASENAMES has 2 values but DIRINDEXES has 1");
    assert_eq!(error(&two().tag(1030, Value::Int16(vec![0]))), "BASENAMES has 2 values but FILEMODES has 1");
    assert_eq!(error(&two().tag(1116, Value::Int32(vec![0, 1]))), "a file is in directory 1 of 1");
    assert_eq!(error(&two().without_tag(1118)), "a file is in directory 0 of 0");
}

#[test]
fn a_list_without_flags_or_versions_is_none() {
    with(&base().provides("a").without_tag(1113), |package, _| assert_eq!(package.provides, []));
}

#[test]
fn files_keep_their_order_kind_and_duplicates() {
    let rpm = base().file("/b/z").file(Packed::dir("/a")).file("/b/z").file(Packed::ghost("/g"));
    let rpm = rpm.file(Packed::dir("/d").flags(1 << 6)).file(Packed::symlink("/l", "z"));
    with(&rpm, |package, _| {
        let shown: Vec<_> = package.files.iter().map(|file| (file.path(), file.kind)).collect();
        let expected = [
            ("/b/z", FileKind::Plain),
            ("/a", FileKind::Dir),
            ("/b/z", FileKind::Plain),
            ("/g", FileKind::Ghost),
            ("/d", FileKind::Dir),
            ("/l", FileKind::Plain),
        ];
        assert_eq!(shown, expected.map(|(path, kind)| (path.to_owned(), kind)));
        assert_eq!((&*package.files[0].dir, &*package.files[0].base), ("/b/", "z"));
    });
}

#[test]
fn primary_shows_the_files_that_clients_expect_there() {
    let primary = |dir: &'static str, base: &'static str| {
        File { dir: dir.into(), base: base.into(), kind: FileKind::Plain }.is_primary()
    };
    for (dir, base) in [("/etc/", "x"), ("/etc/a/b/", "x"), ("/usr/bin/", "x"), ("/usr/lib/cabin/", "y")] {
        assert!(primary(dir, base), "{dir}{base}");
    }
    assert!(primary("/usr/lib/", "sendmail") && primary("bin/", "x"));
    for (dir, base) in
        [("/", "etc"), ("/opt/", "bin"), ("/usr/bin2/", "x"), ("/usr/lib/", "sendmail2"), ("/x/etc/", "y")]
    {
        assert!(!primary(dir, base), "{dir}{base}");
    }
    // Cut elsewhere than at the last slash.
    assert!(primary("/", "etc/x") && primary("/usr/b", "in/x") && primary("/usr/lib/send", "mail"));
    assert!(!primary("/usr/bin", "x"));
}

#[test]
fn without_one_of_the_five_lists_there_are_no_files() {
    for missing in [1117, 1116, 1030, 1035, 1037] {
        assert!(paths(&base().file("/etc/x").without_tag(missing)).is_empty(), "{missing}");
    }
}

#[test]
fn packages_from_before_rpm_4_have_whole_paths_and_provide_themselves() {
    let names = Value::texts(["/etc/a", "/b", "/usr/bin/"]);
    let rpm = base().file("/etc/a").file("/b").file("/usr/bin/").without_tag(1116).without_tag(1117).without_tag(1118);
    let rpm = rpm.tag(tag::OLDFILENAMES.number(), names);
    assert_eq!(paths(&rpm), ["/etc/a", "/b", "/usr/bin/"]);
    let rpm = rpm.without_region().epoch(3).provides("x = 1");
    with(&rpm, |package, _| assert_eq!(show(&package.provides), ["x Equal 0:1-_", "base Equal 3:1-2"]));
    with(&rpm.without_tag(1113), |package, _| assert_eq!(show(&package.provides), ["x", "base Equal 3:1-2"]));
    with(&base().source().without_region(), |package, _| assert!(package.provides.is_empty()));
}

#[test]
fn the_ten_newest_changelogs_are_shown_oldest_first() {
    let rpm = (0..30).fold(base(), |rpm, age| rpm.changelog(1000 - age, format!("A{age}"), format!("t{age}")));
    let file = rpm.build();
    let dates = |changelog_limit| {
        let rules = Rules { changelog_limit };
        let (package, _) = Package::from_header(&parse(&file), &facts(&file), &rules).unwrap();
        package.changelogs.iter().map(|entry| entry.date).collect::<Vec<_>>()
    };
    assert_eq!(dates(Some(10)), (991..=1000).collect::<Vec<_>>());
    assert_eq!(dates(None), (971..=1000).collect::<Vec<_>>());
    assert_eq!(dates(Some(0)), []);
    with(&rpm, |package, _| {
        assert_eq!((&*package.changelogs[0].author, &*package.changelogs[0].text), ("A9", "t9"));
    });
}

#[test]
fn changelogs_of_one_second_are_pushed_apart() {
    let dates = |seconds: &[u32]| {
        let rpm = seconds.iter().fold(base(), |rpm, second| rpm.changelog(*second, "a", "t"));
        with(&rpm, |package, _| package.changelogs.iter().map(|entry| entry.date).collect::<Vec<_>>())
    };
    assert_eq!(dates(&[1000, 1000, 1000, 999, 999, 999]), [999, 1000, 1001, 1002, 1003, 1004]);
    assert_eq!(dates(&[5, 9, 9]), [9, 10, 5]);
    assert_eq!(dates(&[u32::MAX, u32::MAX]), [u64::from(u32::MAX), 1 << 32]);
}

#[test]
fn authors_lose_trailing_blanks_but_never_the_first_character() {
    let rpm = ["a ", "  ", "", " b  ", "c\t"].into_iter().fold(base(), |rpm, author| rpm.changelog(1, author, " t "));
    with(&rpm, |package, _| {
        let authors: Vec<_> = package.changelogs.iter().rev().map(|entry| &*entry.author).collect();
        assert_eq!(authors, ["a", " ", "", " b", "c\t"]);
        assert_eq!(package.changelogs[0].text, " t ");
    });
}

#[test]
fn text_that_is_no_utf8_is_read_as_latin1_as_a_whole() {
    let rpm = base().summary(b"utf \xc3\xa9 \xe9").license(b"a\x80\x05b\n").file(Packed::new(b"/etc/\xe9", ""));
    with(&rpm.vendor("a\u{7f}\u{85}é\u{1f600}"), |package, warnings| {
        assert_eq!((&*package.summary, &*package.license), ("utf Ã é", "ab\n"));
        assert_eq!(package.files[0].path(), "/etc/é");
        assert_eq!(&*package.vendor, "a\u{7f}\u{85}é\u{1f600}");
        let tags = [tag::BASENAMES, tag::SUMMARY, tag::LICENSE];
        assert_eq!(warnings, tags.map(|tag| Warning::NotUtf8 { tag }));
    });
}

#[test]
fn characters_that_xml_forbids_are_replaced_with_a_warning() {
    let rpm = base()
        .summary("a\x01b\u{fffe}c\u{ffff}d\t\n\r\u{fffd}")
        .description(b"surrogate \xed\xa0\x80 overlong \xc0\xaf beyond \xf7\xbf\xbf\xbf \x02 \xc3\xa9")
        .file("/etc/\x1b]]>")
        .requires("n\x02")
        .changelog(1, "a\x03", "t\x04");
    with(&rpm, |package, warnings| {
        assert_eq!(&*package.summary, "a\u{fffd}b\u{fffd}c\u{fffd}d\t\n\r\u{fffd}");
        assert_eq!(&*package.description, "surrogate \u{fffd} overlong \u{fffd} beyond \u{fffd} \u{fffd} é");
        assert_eq!(package.files[0].path(), "/etc/\u{fffd}]]>");
        assert_eq!(show(&package.requires), ["n\u{fffd}"]);
        assert_eq!((&*package.changelogs[0].author, &*package.changelogs[0].text), ("a\u{fffd}", "t\u{fffd}"));
        assert_eq!(warnings.len(), 6);
        assert_eq!(warnings[0].to_string(), "BASENAMES: replaced characters that XML cannot hold");
    });
}

proptest! {
    /// Whatever sound header damage leaves, describing it never panics.
    #[test]
    fn damaged_packages_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let rpm = base().file("/etc/x").requires("a >= 1:2-3").old_suggests("s").changelog(1, "a", "b");
        let mut file = rpm.build();
        for (place, byte) in changes {
            // Behind lead and signature header: damage there hides the rest.
            let place = 300 + place.index(file.len() - 300);
            file[place] = byte;
        }
        if let Ok(Parsed::Ready(headers)) = HeaderFile::parse_prefix(&file) {
            let _ = Package::from_header(&headers, &facts(&file), &Rules { changelog_limit: None });
        }
    }
}
