//! The command line as scripts see it: exit code, stdout, stderr.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// `yrm` in an empty directory with an empty environment, so that nothing of this machine counts.
pub(crate) fn yrm(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yrm"));
    command.current_dir(directory).env_clear();
    command
}

/// Exit code, stdout and stderr, as one text.
fn outcome(directory: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = yrm(directory.path()).args(arguments).envs(environment.iter().copied()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    format!("exit {}\n--- stdout\n{out}--- stderr\n{err}", output.status.code().unwrap())
}

#[test]
fn everything_wrong_with_the_configuration_is_said_at_once_and_exits_2() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("yrm.toml"), "compresion = \"gz\"\nconcurrency = 0\n").unwrap();
    let text = outcome(&directory, &["run", "--grace", "soon"], &[("YRM_LISTEN", "here")]);
    insta::assert_snapshot!(text, @r#"
    exit 2
    --- stdout
    --- stderr
    error: reading the configuration (5 problems): yrm.toml: there is no setting "compresion" (did you mean compression?)
      bucket: no bucket is named (give --bucket ./dir or --bucket s3://name, or set it in yrm.toml or YRM_BUCKET)
      grace (--grace): "soon" is not a duration (write a number with s, m, h or d, such as 90s, 5m, 72h or 60d)
      concurrency (yrm.toml): "0" is not a whole number from 1 to 256
      listen (YRM_LISTEN): "here" is not an address and port (such as 127.0.0.1:5000 or [::1]:5000)
    hint: yrm config show tells where each value came from; docs/reference/settings.md explains them
    "#);
}

#[test]
fn an_error_is_one_json_object_on_stderr_when_json_is_asked_for() {
    let directory = TempDir::new().unwrap();
    let text = outcome(&directory, &["status", "--output", "json", "-b", "x/y"], &[]);
    insta::assert_snapshot!(text, @r#"
    exit 2
    --- stdout
    --- stderr
    {"error":{"kind":"config","message":"reading the configuration: bucket (--bucket): \"x/y\" may be a directory or a bucket with a prefix (write ./x/y for the directory or s3://x/y for the bucket)","hint":"yrm config show tells where each value came from; docs/reference/settings.md explains them","exit_code":2}}
    "#);
}

#[test]
fn config_init_writes_a_sound_file_once() {
    let directory = TempDir::new().unwrap();
    insta::assert_snapshot!(outcome(&directory, &["config", "init", "-b", "./bucket"], &[]), @r"
    exit 0
    --- stdout
    wrote yrm.toml
    --- stderr
    hint: change what you like in it, then try `yrm config check` and `yrm doctor`
    ");
    insta::assert_snapshot!(outcome(&directory, &["config", "check"], &[]), @r"
    exit 0
    --- stdout
    the configuration is sound
    --- stderr
    ");
    insta::assert_snapshot!(outcome(&directory, &["config", "init"], &[]), @r"
    exit 2
    --- stdout
    --- stderr
    error: writing yrm.toml: File exists (os error 17)
    hint: yrm never writes over it; name another with --config FILE, or use --stdout
    ");
    let shown = outcome(&directory, &["config", "show", "--output", "json"], &[("YRM_DATADOG_API_KEY", "hunter2")]);
    assert!(shown.contains(r#"{"name":"bucket","value":"./bucket","source":"yrm.toml"}"#), "{shown}");
    assert!(shown.contains(r#""value":"(set, not shown)","source":"YRM_DATADOG_API_KEY"#), "{shown}");
    assert!(!shown.contains("hunter2"));
}

#[test]
fn key_paths_are_relative_to_the_shell() {
    let directory = TempDir::new().unwrap();
    let (conf, work) = (directory.path().join("conf"), directory.path().join("work"));
    std::fs::create_dir_all(conf.join("bucket/inbox")).unwrap();
    std::fs::create_dir_all(work.join("other/inbox")).unwrap();
    let toml = "bucket = \"./bucket\"\nlog-file = \"log\"\nsigning-key = \"keys/signing.key\"\n\
                signing-passphrase-file = \"keys/passphrase\"\nkeyring = \"keys/team\"\nsignatures = \"warn\"\n\
                notify-webhook-file = \"hook\"\nnotify-secret-file = \"secret\"\n";
    std::fs::write(conf.join("yrm.toml"), toml).unwrap();
    std::fs::create_dir_all(conf.join("keys/team")).unwrap();
    std::fs::write(conf.join("keys/passphrase"), "open sesame").unwrap();
    std::fs::write(conf.join("hook"), "http://127.0.0.1:1/").unwrap();
    std::fs::write(conf.join("secret"), "of-both").unwrap();
    let ask = |arguments: &[&str]| {
        let output = yrm(&work).args(arguments).output().unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), told)
    };
    let made = ask(&["key", "generate", "--algorithm", "ed25519", "--out", "../conf/keys/signing.key"]);
    assert_eq!(made.0, 0, "{}", made.1);
    std::fs::copy(conf.join("keys/signing.key.pub"), conf.join("keys/team/ours.asc")).unwrap();
    let package = |name: &str| forge::Rpm::new(name, "1", "1", "noarch").build();
    std::fs::write(conf.join("bucket/inbox/a.rpm"), package("a")).unwrap();
    std::fs::write(work.join("other/inbox/b.rpm"), package("b")).unwrap();
    for drop in [conf.join("bucket/inbox/a.rpm"), work.join("other/inbox/b.rpm")] {
        let file = std::fs::File::options().write(true).open(drop).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    let run = ask(&["run", "--config", "../conf/yrm.toml"]);
    assert!(run.0 == 0 && run.1.contains("1 published"), "{run:?}");
    assert!(conf.join("bucket/repo/a.rpm").exists() && conf.join("bucket/repo/repodata/repomd.xml.asc").exists());
    assert!(conf.join("log").exists());
    // What is typed is meant from here.
    let run = ask(&["run", "--config", "../conf/yrm.toml", "--bucket", "./other", "--log-file", "log"]);
    assert!(run.0 == 0 && run.1.contains("1 published"), "{run:?}");
    assert!(work.join("other/repo/b.rpm").exists() && work.join("log").exists());
}

#[test]
fn an_uploaders_key_cannot_steer_the_terminal() {
    let directory = TempDir::new().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let hostile = std::fs::File::create(inbox.join("\u{1b}]0;owned\u{7}.rpm")).unwrap();
    std::io::Write::write_all(&mut &hostile, b"not a package").unwrap();
    hostile.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let text = outcome(&directory, &["run", "-b", "./b", "-v"], &[]);
    assert!(text.starts_with("exit 0") && text.contains("1 rejected"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
}

#[test]
fn a_rejection_is_said_once_and_a_log_file_keeps_it() {
    let directory = TempDir::new().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let dropped = std::fs::File::create(inbox.join("a.rpm")).unwrap();
    std::io::Write::write_all(&mut &dropped, b"not a package").unwrap();
    dropped.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let text = outcome(&directory, &["run", "-b", "./b", "--log-file", "log"], &[]);
    assert_eq!(text.matches("not an RPM file").count(), 1, "{text}");
    assert!(text.ends_with("--- stderr\n"), "{text}");
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    assert!(log.contains("WARN") && log.contains("E_NOT_RPM") && log.contains("quarantine/a.rpm"), "{log}");
}

#[test]
fn flags_of_the_first_version_without_effect_get_a_note() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    let text = outcome(&directory, &["run", "--bucket-name", "./b", "-l", "/var/tmp/x"], &[]);
    assert!(text.starts_with("exit 0"), "{text}");
    assert!(text.contains("note: --local-staging-area has no effect: "), "{text}");
}

#[test]
fn index_has_no_inbox() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir(directory.path().join("packages")).unwrap();
    std::fs::write(directory.path().join("list"), "a.rpm\n").unwrap();
    for (flags, why) in [
        (&["-i", "list"][..], "index has no --inbox (-i)"),
        (&["--inbox", "list"], "index has no --inbox (-i)"),
        (&["-r", "repo"], "index has no --repo (-r)"),
        (&["-b", "./b"], "index has no --bucket (-b)"),
        (&["--sse", "AES256", "--log-file", "log"], "index has no --sse, --log-file"),
        (&["--config", "yrm.toml"], "index has no --config"),
        (&["-d"], "index has no --debug (-d)"),
    ] {
        let text = outcome(&directory, &[&["index", "packages"], flags].concat(), &[]);
        assert!(text.starts_with("exit 2") && text.contains(why), "{flags:?}: {text}");
        assert!(!directory.path().join("packages/repodata").exists(), "{flags:?}");
    }
    let text = outcome(&directory, &["index", "packages", "-i", "list"], &[]);
    insta::assert_snapshot!(text, @r"
    exit 2
    --- stdout
    --- stderr
    error: reading the command line: index has no --inbox (-i): it works on a local folder, without a bucket
    hint: createrepo_c's -i is --pkglist, which is not there: link the packages into a folder and name that
    ");
    // What the environment says of a bucket is not about index.
    let text = outcome(&directory, &["index", "packages", "-v"], &[("YRM_BUCKET", "./b"), ("YRM_INBOX", "x")]);
    assert!(text.starts_with("exit 0"), "{text}");
}

#[test]
fn publish_refuses_bad_names_before_the_first_upload() {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    std::fs::write(directory.path().join("a.rpm"), "x").unwrap();
    std::fs::write(directory.path().join("empty.rpm"), "").unwrap();
    for arguments in
        [["a.rpm", "empty.rpm", "--to", "el9"], ["a.rpm", "./a.rpm", "--to", ""], ["a.rpm", "a.rpm", "--to", "../x"]]
    {
        let text = outcome(&directory, &[&["publish", "-b", "./b"], &arguments[..]].concat(), &[]);
        assert!(text.starts_with("exit 2"), "{text}");
    }
    assert_eq!(std::fs::read_dir(directory.path().join("b/inbox")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    let directory = TempDir::new().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    std::os::unix::fs::symlink("nowhere", inbox.join("link.rpm")).unwrap();
    std::fs::write(inbox.join("a.rpm"), forge::Rpm::new("a", "1", "1", "noarch").build()).unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = yrm(directory.path());
    command.args(["run", "--bucket", "./b", "-v", "--log-file", "/dev/full", "--output", "json"]).stderr(full);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["published"][0]["href"], "a.rpm");
}

/// What a command prints on a terminal of 80 columns.
fn on_a_terminal(directory: &TempDir, line: &str) -> String {
    let program = env!("CARGO_BIN_EXE_yrm");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &format!("stty cols 80; exec {program} {line}"), "/dev/null"]);
    command
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("SHELL", "/bin/sh");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

#[test]
fn tables_fit_a_terminal_of_80_columns_and_are_whole_elsewhere() {
    let directory = TempDir::new().unwrap();
    let folder = "a-team-with-a-long-name/enterprise-linux-9/x86_64";
    let inbox = directory.path().join("b/inbox").join(folder);
    std::fs::create_dir_all(&inbox).unwrap();
    let name = "a-package-whose-name-is-longer-than-others";
    let package = forge::Rpm::new(name, "1.20.300~rc4", "5.el9", "noarch").build();
    let file = format!("{name}-1.20.300~rc4-5.el9.noarch.rpm");
    std::fs::write(inbox.join(&file), package).unwrap();
    let bad = std::fs::File::create(inbox.join(format!("bad-{file}"))).unwrap();
    std::io::Write::write_all(&mut &bad, b"not a package").unwrap();
    bad.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let depth = "--repositories depth=3";
    let text = outcome(&directory, &["run", "-b", "./b", "--repositories", "depth=3"], &[]);
    assert!(text.contains("1 published, 1 rejected"), "{text}");
    for (line, begins) in [
        ("history", "started"),
        ("package search", "package"),
        ("quarantine list", "code"),
        ("status", "Bucket "),
        (&format!("repo log --in {folder}"), "revision"),
        (&format!("check {depth}"), "repository"),
    ] {
        let shown = on_a_terminal(&directory, &format!("{line} -b ./b"));
        let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{line}: {wide:#?}");
        assert!(shown.trim_start().starts_with(begins), "{line}: {shown}");
        let whole = on_a_terminal(&directory, &format!("{line} -b ./b --wide"));
        assert!(!whole.contains('…'), "{line}: {whole}");
        let arguments: Vec<&str> = line.split(' ').chain(["-b", "./b"]).collect();
        let piped = outcome(&directory, &arguments, &[]);
        assert!(piped.contains(whole.trim_end()), "{line}: {piped}\n{whole}");
    }
    for line in ["package search", "quarantine list"] {
        let shown = on_a_terminal(&directory, &format!("{line} -b ./b"));
        assert!(shown.contains('…'), "{line}: {shown}");
    }
    // A file is named by its path as well as by its id, which the narrow table leaves out.
    let dry =
        outcome(&directory, &["quarantine", "release", "-b", "./b", "--dry-run", &format!("{folder}/bad-{file}")], &[]);
    assert!(dry.starts_with("exit 0") && dry.contains("would be released"), "{dry}");
}

#[test]
fn a_mistake_on_the_command_line_is_one_json_object_when_json_is_asked_for() {
    let directory = TempDir::new().unwrap();
    insta::assert_snapshot!(outcome(&directory, &["run", "--bukcet", "b", "--output=json"], &[]), @r#"
    exit 2
    --- stdout
    --- stderr
    {"error":{"kind":"config","message":"reading the command line: unexpected argument '--bukcet' found","hint":"a similar argument exists: '--bucket'","exit_code":2}}
    "#);
    for (arguments, why) in [
        (&["publish", "--output", "json"][..], "required arguments were not provided: <FILE>..."),
        (&["--output", "json"], "'yrm' requires a subcommand"),
        (&["package", "--output", "json"], "'yrm package' requires a subcommand"),
    ] {
        let output = yrm(directory.path()).args(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
    // What was not asked for in JSON is text, and so is what stands behind `--`.
    let text = outcome(&directory, &["run", "--", "--output", "json"], &[]);
    assert!(text.starts_with("exit 2") && text.contains("error: unexpected argument"), "{text}");
}
