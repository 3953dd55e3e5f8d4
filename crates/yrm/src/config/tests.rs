use std::path::PathBuf;
use std::time::Duration;

use super::settings::{SETTINGS, setting};
use super::*;

fn typed(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Typed {
    Typed {
        // A file that exists and says nothing, so that no yrm.toml of this machine is read.
        file: Some(PathBuf::from("/dev/null")),
        environment: environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        flags: flags.iter().map(|(name, text)| (setting(name).unwrap(), (*text).to_owned())).collect(),
    }
}

fn with_file(text: &str, mut typed: Typed) -> (Low, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    typed.file = Some(file.path().to_owned());
    (Low::gather(&typed), file)
}

fn config(typed: &Typed) -> Config {
    Config::of(&Low::gather(typed)).unwrap().0
}

fn problems(low: &Low) -> String {
    Config::of(low).unwrap_err().chain()
}

#[test]
fn a_setting_is_read_by_its_earlier_name_and_wins_by_its_own() {
    let interval = |typed: &Typed| config(typed).policy.sweep_interval;
    let bucket = [("bucket", "./b")];
    let earlier = ("YRM_SWEEP_INTERVAL", "1h");
    assert_eq!(interval(&typed(&[earlier], &bucket)), Duration::from_hours(1));
    assert_eq!(interval(&typed(&[earlier, ("YRM_CLEANUP_INTERVAL", "2h")], &bucket)), Duration::from_hours(2));
    let (low, _file) = with_file("sweep-interval = \"3h\"\n", typed(&[], &bucket));
    assert_eq!(Config::of(&low).unwrap().0.policy.sweep_interval, Duration::from_hours(3));
    let (low, _file) = with_file("sweep-interval = \"3h\"\ncleanup-interval = \"4h\"\n", typed(&[], &bucket));
    assert!(problems(&low).contains("\"cleanup-interval\" is set twice"), "{}", problems(&low));
}

#[test]
fn the_defaults_need_only_a_bucket() {
    let config = config(&typed(&[], &[("bucket", "./b")]));
    assert_eq!(config.bucket, BucketUrl::Directory(PathBuf::from("./b")));
    assert_eq!(config.policy.folders, Folders::default());
    assert!(matches!(config.policy.repositories, Repositories::Single));
    assert_eq!(config.policy.retention, None);
    assert_eq!(config.policy.grace, Duration::from_hours(72));
    assert_eq!(config.policy.max_package_bytes, 20 << 30);
    assert_eq!(config.policy.concurrency, 32);
    assert_eq!(config.policy.sweep_interval, Duration::from_hours(6));
    assert_eq!(config.service.interval, Duration::from_mins(1));
    assert_eq!(config.service.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(config.s3, S3Config::default());
    assert!(config.datadog.is_none());
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let typed = typed(&[("YRM_INBOX", "from-env"), ("YRM_REPO", "env-repo")], &[("inbox", "from-flag")]);
    let file = "bucket = \"./b\"\ninbox = \"from-file\"\nrepo = \"file-repo\"\nkeep_at_least = 3\nrepositories = [\"el9/*\", \"el8/*\"]\n";
    let (low, path) = with_file(file, typed);
    let (config, _) = Config::of(&low).unwrap();
    assert_eq!(config.policy.folders, Folders { inbox: "from-flag".to_owned(), repo: "env-repo".to_owned() });
    assert!(matches!(config.policy.repositories, Repositories::Globs(globs) if globs == ["el9/*", "el8/*"]));
    let sources: Vec<String> =
        ["inbox", "repo", "bucket", "grace"].iter().map(|name| low.get(name).unwrap().source.to_string()).collect();
    assert_eq!(sources, ["--inbox", "YRM_REPO", &path.path().display().to_string(), "default"]);
}

#[test]
fn either_half_of_retention_brings_the_other() {
    let day = Duration::from_hours(24);
    let keep = config(&typed(&[], &[("bucket", "./b"), ("keep-at-least", "3")]));
    assert_eq!(keep.policy.retention, Some(Retention { keep_at_least: 3, older_than: 60 * day }));
    let age = config(&typed(&[("YRM_PRUNE_AGE_DAYS", "7")], &[("bucket", "./b")]));
    assert_eq!(age.policy.retention, Some(Retention { keep_at_least: 10, older_than: 7 * day }));
}

#[test]
fn all_problems_are_reported_at_once_with_where_they_came_from() {
    let typed = typed(&[("YRM_CONCURRENCY", "many")], &[("grace", "soon"), ("inbox", "x"), ("repo", "x/y")]);
    let (low, _file) = with_file("keep-atleast = 3\nlisten = \"nowhere\"\nlog-file = 1.5\n", typed);
    let text = problems(&low);
    for expected in [
        "there is no setting \"keep-atleast\" (did you mean keep-at-least?)",
        "no bucket is named",
        "concurrency (YRM_CONCURRENCY): \"many\" is not a whole number from 1 to 256",
        "grace (--grace): \"soon\" is not a duration",
        "\"x\" and \"x/y\" overlap",
        "is not an address and port",
        "a float is no value for this",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing from:\n{text}");
    }
}

#[test]
fn a_broken_file_is_named_with_its_line_and_its_text_is_not_repeated() {
    let (low, _file) = with_file("inbox = \"a\"\ndatadog-api-key = hunter2secret\n", typed(&[], &[("bucket", "./b")]));
    let text = problems(&low);
    assert!(text.contains("line 2"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_missing_file_that_was_named_is_a_problem() {
    let low =
        Low::gather(&Typed { file: Some(PathBuf::from("/nonexistent/yrm.toml")), ..typed(&[], &[("bucket", "./b")]) });
    assert!(problems(&low).contains("/nonexistent/yrm.toml"));
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "abcdef0123\n").unwrap();
    let path = key.path().to_str().unwrap();
    let from_file = typed(&[("YRM_DATADOG_API_KEY_FILE", path)], &[("bucket", "./b")]);
    let datadog = config(&from_file).datadog.unwrap();
    assert_eq!(datadog.api_key, Some(Secret::Known("abcdef0123".to_owned())));
    assert!(!format!("{datadog:?}").contains("abcdef"));

    let louder = typed(&[("YRM_DATADOG_API_KEY_FILE", path)], &[("bucket", "./b"), ("datadog-api-key", "flagkey")]);
    assert_eq!(config(&louder).datadog.unwrap().api_key, Some(Secret::Known("flagkey".to_owned())));
    assert!(!format!("{:?}", show(&Low::gather(&louder))).contains("flagkey"));

    let both = typed(&[("YRM_DATADOG_API_KEY_FILE", path), ("YRM_DATADOG_API_KEY", "envkey")], &[("bucket", "./b")]);
    let text = problems(&Low::gather(&both));
    assert!(text.contains("both set it") && !text.contains("envkey"), "{text}");

    let address = typed(&[], &[("bucket", "./b"), ("endpoint", "https://user:hunter2@host:9000")]);
    let shown = format!("{:?} {}", show(&Low::gather(&address)), problems(&Low::gather(&address)));
    assert!(shown.contains("(not shown)@host:9000") && !shown.contains("hunter2"), "{shown}");

    let broken = typed(&[("YRM_DATADOG_API_KEY", "two words")], &[("bucket", "./b")]);
    assert!(!problems(&Low::gather(&broken)).contains("two words"));
}

#[test]
fn dd_site_counts_and_ours_wins_over_it() {
    let flags = [("bucket", "./b"), ("dogstatsd", "127.0.0.1:8125")];
    let theirs = config(&typed(&[("DD_SITE", "datadoghq.eu")], &flags)).datadog.unwrap();
    assert_eq!((theirs.site.as_str(), theirs.api_key), ("datadoghq.eu", None));
    let ours = config(&typed(&[("DD_SITE", "datadoghq.eu"), ("YRM_DATADOG_SITE", "us3.datadoghq.com")], &flags));
    assert_eq!(ours.datadog.unwrap().site, "us3.datadoghq.com");
}

#[test]
fn an_unknown_variable_warns_when_it_is_nearly_one_of_ours_and_stops_nothing() {
    let low = Low::gather(&typed(&[("YRM_BUCKT", "./x"), ("YRM_SERVICE_HOST", "10.0.0.1")], &[("bucket", "./b")]));
    let (_, warnings) = Config::of(&low).unwrap();
    assert_eq!(warnings, ["the variable YRM_BUCKT means nothing to yrm; did you mean YRM_BUCKET?"]);
}

#[test]
fn a_short_grace_warns() {
    let (_, warnings) = Config::of(&Low::gather(&typed(&[], &[("bucket", "./b"), ("grace", "1h")]))).unwrap();
    assert!(warnings[0].contains("48h"));
}

#[test]
fn the_template_is_a_file_that_works_as_it_is_and_with_every_comment_taken_away() {
    let text = template(Some("./my bucket"));
    let (low, file) = with_file(&text, typed(&[], &[]));
    let (config, _) = Config::of(&low).unwrap();
    assert_eq!(config.bucket, BucketUrl::Directory(file.path().with_file_name("my bucket")));
    for setting in SETTINGS {
        assert!(text.contains(&format!("{} = ", setting.name)), "{} is missing", setting.name);
    }
    let opened = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
    let open = text.lines().map(opened).collect::<Vec<_>>().join("\n");
    let table: toml::Table = toml::from_str(&open).unwrap();
    assert_eq!(table.len(), SETTINGS.len() + 1, "the settings, and the rules");
}

#[test]
fn rules_and_keyrings_are_read_from_the_file() {
    let file = "bucket = \"./b\"\nsigning-key = \"k\"\nkeyring = [\"/k/a.asc\", \"bucket:keys/\"]\n\
                [[rule]]\nfolder = \"/el9/*/\"\nnames = \"lib*\"\nsignatures = \"require\"\nkeys = [\"AB\"]\n\
                [[rule]]\nfolder = [\"a\", \"b\"]\nsignatures = \"warn\"\nsign-packages = \"missing\"\n";
    let (low, _file) = with_file(file, typed(&[], &[]));
    let trust = Config::of(&low).unwrap().0.policy.trust;
    assert_eq!(trust.signatures, Level::Off);
    assert_eq!(
        trust.keyrings,
        [KeyringPlace::Path(PathBuf::from("/k/a.asc")), KeyringPlace::Bucket("keys".to_owned())]
    );
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let first = Rule {
        folders: texts(&["el9/*"]),
        names: texts(&["lib*"]),
        keys: texts(&["AB"]),
        signatures: Some(Level::Require),
        ..Rule::default()
    };
    let second = Rule {
        folders: texts(&["a", "b"]),
        signatures: Some(Level::Warn),
        sign_packages: Some(SignPackages::Missing),
        ..Rule::default()
    };
    assert_eq!(trust.rules, [first, second]);
    let shown = show(&low);
    let rules: Vec<&str> =
        shown.iter().filter(|row| row.name == "rule").filter_map(|row| row.value.as_deref()).collect();
    let [first, second] =
        ["folder=el9/* names=lib* keys=AB signatures=require", "folder=a,b signatures=warn sign-packages=missing"];
    assert_eq!(rules, [first, second]);
}

#[test]
fn packages_are_signed_by_a_key_or_not_at_all() {
    let read = |text: &str| {
        let (low, _file) = with_file(&format!("bucket = \"./b\"\n{text}"), typed(&[], &[]));
        Config::of(&low).map(|(config, _)| config.policy.trust.sign_packages)
    };
    assert_eq!(read("").unwrap(), SignPackages::Off);
    assert_eq!(read("signing-key = \"k\"\nsign-packages = \"always\"\n").unwrap(), SignPackages::Always);
    for text in ["sign-packages = \"missing\"\n", "[[rule]]\nfolder = \"el9\"\nsign-packages = \"always\"\n"] {
        let said = read(text).unwrap_err().chain();
        assert!(said.contains("there is no key to sign them with"), "{said}");
    }
    let said = read("signing-key = \"k\"\nsign-packages = \"yes\"\n").unwrap_err().chain();
    assert!(said.contains("\"yes\" is neither off, missing nor always"), "{said}");
    let file = "signing-key = \"k\"\n[[rule]]\nfolder = \"el9\"\nkeys = [\"AB\"]\nsign-packages = \"missing\"\n";
    assert_eq!(read(file).unwrap(), SignPackages::Off, "keys are of use there without signatures being asked for");
}

#[test]
fn everything_wrong_with_the_rules_is_said() {
    let file = "bucket = \"./b\"\nkeyring = \"bucket:inbox/keys\"\n\
                [[rule]]\nfoldr = \"el9\"\nsignatures = \"always\"\n\
                [[rule]]\nfolder = \"el9\"\nkeys = [\"AB\"]\nnames = []\n\
                [[rule]]\nfolder = \"a[\"\nkeys = 7\n";
    let (low, _file) = with_file(file, typed(&[], &[]));
    let said = problems(&low);
    for part in [
        "uploaders could add a key",
        "a rule has no \"foldr\"",
        "did you mean folder?",
        "it does not say for which folder it is",
        "\"always\" is neither off, warn nor require",
        "\"names\" is an empty list, which nothing would satisfy",
        "\"a[\" is not a glob",
        "neither a text nor a list of texts",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = "bucket = \"./b\"\nsignatures = \"require\"\n[[rule]]\nfolder = \"el8\"\nsignatures = \"off\"\nkeys = [\"AB\"]\n";
    let (low, _file) = with_file(file, typed(&[], &[]));
    let said = problems(&low);
    assert!(said.contains("there is no key to verify them with"), "{said}");
    assert!(said.contains("rule 1: it names keys, and signatures are not looked at there"), "{said}");
    let (low, _file) = with_file("bucket = \"./b\"\nrule = \"el9\"\n", typed(&[], &[]));
    assert!(problems(&low).contains("this is no list of tables"));
}

#[test]
fn mirrorlist_is_a_switch_for_all_or_a_rule_s_and_needs_an_address() {
    let rule = "[[rule]]\nfolder = \"el9\"\nmirrorlist = true\n";
    let (low, _file) = with_file(rule, typed(&[], &[("bucket", "./b")]));
    assert!(problems(&low).contains("nobody says where clients reach the repositories"));
    let url = [("bucket", "./b"), ("public-url", "https://a.example/repo/,http://b.example:81/repo")];
    let (low, _file) = with_file(rule, typed(&[], &url));
    let policy = Config::of(&low).unwrap().0.policy;
    let public_urls = vec!["https://a.example/repo".to_owned(), "http://b.example:81/repo".to_owned()];
    assert_eq!(policy.mirrors, Mirrors { on: false, public_urls, name: Some("yrm".to_owned()) });
    assert_eq!(policy.trust.rules[0].mirrorlist, Some(true));
    let shown = show(&low);
    assert!(shown.iter().any(|row| row.value.as_deref() == Some("folder=el9 mirrorlist=true")), "{shown:?}");

    let on = config(&typed(&[("YRM_MIRRORLIST", "true")], &url));
    assert!(on.policy.mirrors.on);
    let (low, _file) = with_file("[[rule]]\nfolder = \"el9\"\nmirrorlist = \"yes\"\n", typed(&[], &url));
    assert!(problems(&low).contains("rule 1, mirrorlist"));
    let with_password = typed(&[("YRM_PUBLIC_URL", "https://user:hunter2@host/repo")], &[("bucket", "./b")]);
    assert!(!problems(&Low::gather(&with_password)).contains("hunter2"));
}

/// A public key on P-256 as `openssl pkey -pubout | base64 -w0` prints it.
const RELEASE_KEY: &str = "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFN1VscWRJZmwvN2ZJVlVxTWdmbGNMbWNPbThsaQo2V0krRllYbjZJemNNakNteHpub3RST2NRbkxubnNGMlVDbkJmT3VQTXdkS3FjVXAwSHB0UVRtNm5BPT0KLS0tLS1FTkQgUFVCTElDIEtFWS0tLS0tCg==";

#[test]
fn self_update_is_off_and_takes_a_key_and_a_folder_of_the_service() {
    let plain = [("bucket", "s3://bucket")];
    assert_eq!(config(&typed(&[], &plain)).service.self_update, None);
    let environment = [
        ("YRM_SELF_UPDATE", "true"),
        ("YRM_RELEASE_KEY", RELEASE_KEY),
        ("STATE_DIRECTORY", "/var/lib/private/yrm:/other"),
        ("HOME", "/home/me"),
    ];
    let update = config(&typed(&environment, &plain)).service.self_update.unwrap();
    assert_eq!((update.interval, update.key.is_some()), (Duration::from_mins(5), true));
    let folders = ["/var/lib/private/yrm", "/home/me/.local/state/yrm", "/var/lib/yrm"].map(PathBuf::from);
    assert_eq!(update.folders, folders);
}

#[test]
fn what_is_no_release_key_is_said_and_never_shown() {
    let private = base64_of("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n");
    let truncated = &RELEASE_KEY[..80];
    for (text, why) in [
        ("no key", "this is not a PEM in base64"),
        (&private, "this is a private key"),
        (truncated, "this is no public key on the curve P-256"),
        (&base64_of("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "no public key on the curve"),
    ] {
        let low = Low::gather(&typed(&[], &[("bucket", "s3://bucket"), ("release-key", text)]));
        let said = problems(&low);
        assert!(said.contains(why) && said.contains("release-key (--release-key)"), "{said}");
        assert!(!said.contains(text), "{said}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn what_is_said_with_objects_is_read_and_what_does_not_go_together_is_refused() {
    let file = "bucket = \"s3://b12/p\"\nsse = \"aws:kms\"\nsse-kms-key = \"alias/rpms\"\nsse-bucket-key = true\n\
                acl = \"bucket-owner-full-control\"\nrequester-pays = true\n\
                storage-class = [\"packages:STANDARD_IA\", \"quarantine:GLACIER_IR\"]\ntags = [\"all:team=x\"]\n";
    let (low, _file) = with_file(file, typed(&[("AWS_CA_BUNDLE", "/ca.pem")], &[]));
    let s3 = Config::of(&low).unwrap().0.s3;
    assert!(matches!(
        &s3.written.encryption,
        Some(Encryption::Kms { is_double: false, key: Some(key), bucket_key: Some(true) }) if key.as_str() == "alias/rpms"
    ));
    assert_eq!((s3.written.acl, s3.requester_pays), (Some(Acl::BucketOwnerFullControl), true));
    assert_eq!(s3.written.storage_class(ObjectClass::Packages), Some("STANDARD_IA"));
    assert_eq!(s3.written.tags(ObjectClass::State).count(), 1);
    assert_eq!(s3.ca_bundle, Some(PathBuf::from("/ca.pem")));

    for (flags, why) in [
        (
            &[("bucket", "s3://b12"), ("sse-kms-key", "alias/rpms")][..],
            "sse-kms-key: this is for sse = \"aws:kms\" only",
        ),
        (&[("bucket", "s3://b12"), ("sse", "AES256"), ("sse-kms-key", "alias/rpms")], "for sse = \"aws:kms\" only"),
        (&[("bucket", "s3://b12"), ("sse-bucket-key", "true")], "sse-bucket-key: this is for"),
        (
            &[("bucket", "s3://b12"), ("sse", "aws:kms:dsse"), ("sse-bucket-key", "true")],
            "no bucket keys for aws:kms:dsse",
        ),
        (&[("bucket", "s3://b12"), ("sse", "kms")], "\"kms\" is no encryption of S3"),
        (&[("bucket", "s3://b12"), ("acl", "public-read")], "use a bucket policy"),
        (&[("bucket", "s3://b12"), ("storage-class", "all:GLACIER")], "cannot be read until they are restored"),
        (&[("bucket", "s3://b12"), ("tags", "team=x")], "names no class of objects"),
        (&[("bucket", "./b"), ("sse", "AES256")], "this bucket is a directory"),
        (&[("bucket", "./b"), ("requester-pays", "true")], "this bucket is a directory"),
    ] {
        let said = problems(&Low::gather(&typed(&[], flags)));
        assert!(said.contains(why), "{flags:?}: {why:?} is not in {said}");
    }
    assert!(config(&typed(&[], &[("bucket", "./b"), ("ca-bundle", "/ca.pem")])).s3.ca_bundle.is_some());
}

#[test]
fn an_access_point_is_named_in_the_place_of_a_bucket() {
    let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/rpms";
    for (text, prefix) in [
        (format!("s3://{arn}"), ""),
        (format!("s3://{arn}/team/a/"), "team/a"),
        (arn.to_owned(), ""),
        ("s3://arn:aws:s3:eu-west-1:123456789012:accesspoint:rpms/team".to_owned(), "team"),
    ] {
        let config = config(&typed(&[], &[("bucket", &text), ("signing-key", "k")]));
        assert_eq!(config.bucket, BucketUrl::S3 { name: arn.to_owned(), prefix: prefix.to_owned() }, "{text}");
        assert_eq!((config.bucket.short_name().as_str(), config.signing.unwrap().key_name.as_str()), ("rpms", "rpms"));
    }
    for (text, why) in [
        ("s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "multi-region"),
        ("s3://arn:aws:s3-outposts:eu-west-1:123456789012:accesspoint/x", "s3-outposts"),
        ("s3://arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/x", "s3-object-lambda"),
        ("s3://arn:aws:s3:::bucket", "names no access point"),
        ("s3://arn:aws:s3:eu-west-1:12:accesspoint/x", "no ARN of an access point"),
        ("arn:aws", "no ARN of an access point"),
        ("s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/rpms/a//b", "not a plain prefix"),
    ] {
        let said = problems(&Low::gather(&typed(&[], &[("bucket", text)])));
        assert!(said.contains(why), "{text}: {said}");
    }
    let by_path = problems(&Low::gather(&typed(&[], &[("bucket", arn), ("path-style", "true")])));
    assert!(by_path.contains("an access point has no address in path style"), "{by_path}");
}

#[test]
fn a_directory_has_no_queue_and_no_releases() {
    let flags = [("bucket", "./b"), ("self-update", "true"), ("queue", "arn:aws:sqs:eu-west-1:123456789012:name")];
    let said = problems(&Low::gather(&typed(&[], &flags)));
    for expected in
        ["queue: a directory tells no queue", "self-update: releases are looked for at the root of an S3 bucket"]
    {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let never = problems(&Low::gather(&typed(&[], &[("bucket", "s3://bucket"), ("self-update-interval", "0")])));
    assert!(never.contains("self-update-interval (--self-update-interval): an interval of 0"), "{never}");
}

/// What is said of a `yrm.toml` with this text beside its bucket, if anything is wrong with it.
fn wrong_with(text: &str) -> Option<String> {
    let (low, _file) = with_file(&format!("bucket = \"./b\"\nkeyring = \"/k\"\n{text}"), typed(&[], &[]));
    Config::of(&low).err().map(|error| error.chain())
}

#[test]
fn a_rule_that_can_never_hold_is_refused() {
    let rule = |folder: &str| {
        let folder = toml::Value::String(folder.to_owned());
        wrong_with(&format!("[[rule]]\nfolder = {folder}\nsignatures = \"require\"\n"))
    };
    let cases = [
        ("./secure", "\"secure\""),
        (" secure", "\"secure\""),
        ("secure ", "\"secure\""),
        ("secure /x", "\"secure/x\""),
        ("secure\u{a0}", "\"secure\""),
        (".", "\"**\" for every folder"),
        ("./", "\"**\" for every folder"),
        ("repo/secure", "\"secure\", or \"[r]epo/secure\""),
        ("inbox/secure", "\"secure\", or \"[i]nbox/secure\""),
        ("/inbox/", "\"**\""),
        ("repo", "\"**\""),
        ("secure/../secure", "without \"..\""),
        ("..", "without \"..\""),
        ("secure/*.rpm", "folder = \"secure\""),
        ("secure/x.rpm", "folder = \"secure\""),
        ("*.RPM", "folder = \"**\""),
        ("secure//x", "\"secure/x\""),
        ("//secure", "\"secure\""),
        ("secure//", "\"secure\""),
        ("secure\\x", "\"secure/x\""),
        ("secu\u{200b}re", ""),
        ("secure/repodata", ""),
        (".secure", ""),
        ("{el9,inbox/el10}", "\"el10\""),
        ("{el9, el10}/*", "\"el10/*\""),
    ];
    for (folder, instead) in cases {
        let said = rule(folder).unwrap_or_else(|| panic!("{folder:?} is taken"));
        assert!(said.contains("can never be the folder of a package: "), "{folder:?}: {said}");
        assert!(said.contains("rule 1: ") && said.contains("(write ") && said.contains(instead), "{folder:?}: {said}");
    }
    for folder in
        ["secure", "/secure/", "secure/**", "*", "**", "el9/*/x", "{el9,el10}/*", "[r]epo/x", "secure[ ]", "repository"]
    {
        assert_eq!(rule(folder), None, "{folder:?}");
    }
    // Where inbox and repo are called otherwise, other names are theirs.
    assert_eq!(wrong_with("inbox = \"drop/here\"\n[[rule]]\nfolder = \"inbox/x\"\n"), None);
    assert!(wrong_with("inbox = \"drop/here\"\n[[rule]]\nfolder = \"drop/here/x\"\n").unwrap().contains("\"x\""));

    // One that is behind another which holds wherever it does.
    let behind = |first: &str, second: &str| {
        wrong_with(&format!(
            "[[rule]]\nfolder = \"{first}\"\n[[rule]]\nfolder = \"{second}\"\nsignatures = \"require\"\n"
        ))
    };
    for (first, second) in
        [("**", "secure"), ("secure", "secure"), ("secure/**", "secure/team-b"), ("el9", "el9/*"), ("*", "el9/*")]
    {
        let said = behind(first, second).unwrap_or_else(|| panic!("{second:?} behind {first:?} is taken"));
        assert!(said.contains("rule 2: ") && said.contains("put this rule before rule 1"), "{said}");
        if first != second {
            assert_eq!(behind(second, first), None, "{second:?} before {first:?}");
        }
    }
    for (first, second) in [("el9/*", "el9"), ("el9/x86_64", "el9/*"), ("el?", "el*"), ("secure", "secured")] {
        assert_eq!(behind(first, second), None, "{second:?} behind {first:?}");
    }

    // Its siblings: names, and the folders that are repositories.
    for name in ["foo-1.0-1.noarch.rpm", "*.rpm", "el9/foo", " foo", "foo bar", ""] {
        let said = wrong_with(&format!("[[rule]]\nfolder = \"el9\"\nnames = \"{name}\"\n")).unwrap();
        assert!(said.contains("can never be the name of a package: "), "{name:?}: {said}");
    }
    assert_eq!(wrong_with("[[rule]]\nfolder = \"el9\"\nnames = [\"lib{a,b}-*\", \"g++\", \"[a-z]?.x\"]\n"), None);
    for globs in ["repo/el9", "el9/*.rpm", "el8,inbox/*", "el9/repodata", "el9/ x"] {
        let said = wrong_with(&format!("repositories = \"{globs}\"\n")).unwrap_or_else(|| panic!("{globs:?} is taken"));
        assert!(said.contains("can never be the folder of a package: "), "{globs:?}: {said}");
    }
    assert_eq!(wrong_with("repositories = \"el9/*, el8/x/\"\n"), None);
}

#[test]
fn folders_that_look_alike_and_unsigned_neighbours_are_warned_of() {
    let warnings = |text: &str| {
        let (low, _file) = with_file(&format!("bucket = \"./b\"\nkeyring = \"/k\"\n{text}"), typed(&[], &[]));
        Config::of(&low).unwrap().1
    };
    let two =
        |one: &str, other: &str| warnings(&format!("[[rule]]\nfolder = \"{one}\"\n[[rule]]\nfolder = \"{other}\"\n"));
    for (one, other) in [("secure", "Secure"), ("caf\u{e9}", "cafe\u{301}"), ("secure", "\u{ff53}ecure")] {
        assert!(two(one, other)[0].contains("they look alike and are two folders"), "{one} {other}");
    }
    assert_eq!(two("secure", "secure-too"), Vec::<String>::new());

    let strict = "[[rule]]\nfolder = \"secure\"\nsignatures = \"require\"\n";
    let beside = "clients take the newest version from any folder";
    assert!(warnings(strict)[0].contains(beside));
    assert!(warnings(&format!("repositories = \"depth=2\"\n{strict}")).is_empty());
    assert!(warnings(&format!("repositories = \"per-folder\"\n{strict}")).is_empty());
    assert!(warnings(&format!("signatures = \"require\"\n{strict}")).is_empty());
    assert!(warnings(&format!("{strict}[[rule]]\nfolder = \"**\"\nsignatures = \"require\"\n")).is_empty());
    let deep = strict.replace("\"secure\"", "\"el9/secure/**\"");
    assert!(warnings(&format!("repositories = \"per-folder\"\n{deep}"))[0].contains(beside));
}
