//! `scripts/release` and `deploy/boot`: a machine runs what was released and nothing else.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{deploy, read, said, succeed, venv};
use crate::cli::yrm;
use crate::s3_server::server;
use crate::workspace::workspace;

/// `x86_64` or `aarch64`, as `uname -m` says.
pub(super) const ARCH: &str = std::env::consts::ARCH;

/// Stands for systemd.
pub(super) fn systemctl() -> PathBuf {
    workspace().join("crates/yrm/tests/it/deploy/systemctl")
}

/// A bucket, a folder with something that can be released, and a machine's root.
struct Machine {
    bucket: String,
    directory: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let machine = Self { bucket: server().make_bucket().await, directory: TempDir::new().unwrap() };
        machine.write_program("9.9.9");
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.file("root")
    }

    /// A program that only knows its version: what is tested here is how it gets to the machine.
    fn write_program(&self, version: &str) {
        let program = self.file("program");
        std::fs::write(
            &program,
            format!(
                "#!/bin/sh\n[ -z \"$YRM_ROOT\" ] || echo \"$*\" >>\"$YRM_ROOT/yrm.log\"\n\
                 case \"$*\" in *' settings show '*) cat settings.json ;; *) echo 'yrm {version}' ;; esac\n"
            ),
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the program says that the bucket's settings are.
    fn says(&self, is_stored: bool, stated: &[&str]) {
        let settings = ["repositories", "keep-at-least", "prune-age-days"]
            .map(|setting| serde_json::json!({"setting": setting, "value": "7", "stated": stated.contains(&setting)}));
        let shown = serde_json::json!({"stored": is_stored, "settings": settings});
        std::fs::write(self.file("settings.json"), shown.to_string()).unwrap();
    }

    /// What the program was asked.
    fn asked(&self) -> String {
        read(&self.root().join("yrm.log")).replace(self.root().to_str().unwrap(), "ROOT")
    }

    fn command(&self, program: &Path) -> Command {
        let path = format!("{}:{}", venv("aws").parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.env_clear().envs(server().environment()).env("PATH", path).current_dir(self.directory.path());
        command
    }

    fn release(&self, arguments: &[&str]) {
        let mut command = self.command(&workspace().join("scripts/release"));
        command.args(["--bucket", &self.bucket, "--arch", ARCH, "--binary", "program"]).args(arguments);
        succeed(&mut command);
    }

    fn boot(&self, variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(&deploy("boot"));
        command.env("YRM_BUCKET", &self.bucket).env("YRM_ROOT", self.root()).env("YRM_SYSTEMCTL", systemctl());
        command.envs([("YRM_BOOT_TRIES", "1"), ("WITHOUT_SERVICE", "1")]).envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// Nothing is installed, and it says why.
    fn assert_refused(&self, variables: &[(&str, &str)], why: &str) {
        let output = self.boot(variables);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(why), "{why:?} is not in {text}");
        assert!(text.contains("nothing was changed"), "{text}");
        assert!(!self.root().exists(), "something was installed: {text}");
    }

    async fn put(&self, key: &str, bytes: &[u8]) {
        let put = server().client().put_object().bucket(&self.bucket).key(key);
        put.body(bytes.to_vec().into()).send().await.unwrap();
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let got = server().client().get_object().bucket(&self.bucket).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_is_installed_configured_and_started_and_replaced_by_the_next() {
    let machine = Machine::new().await;
    machine.assert_refused(&[], "is not at the root of");
    machine.release(&[]);
    // What the stack makes.
    let make = |arguments: &[&str]| {
        let mut aws = machine.command(&venv("aws"));
        let output = succeed(aws.args(["--region", "eu-west-1", "--output", "json"]).args(arguments));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let key = make(&["kms", "create-key", "--key-usage", "SIGN_VERIFY", "--key-spec", "RSA_2048"]);
    let key = format!("awskms:{}", key["KeyMetadata"]["Arn"].as_str().unwrap());
    let (parameter, place) = (format!("/{}", machine.bucket), format!("ssm:/{}", machine.bucket));
    make(&["ssm", "put-parameter", "--type", "SecureString", "--name", &parameter, "--value", "d47ad06"]);
    let settings = [
        ("YRM_REGION", "eu-west-1"),
        ("YRM_QUEUE", "arn:aws:sqs:eu-west-1:123456789012:inbox"),
        ("YRM_LISTEN", "0.0.0.0:5000"),
        ("YRM_REPOSITORIES", "el9/*,el10/*"),
        ("YRM_KEEP_AT_LEAST", "7"),
        ("YRM_PRUNE_AGE_DAYS", ""),
        ("YRM_SIGNING_KEY", &key),
        ("YRM_DATADOG_API_KEY_FILE", &place),
        ("YRM_NOTIFY_TOPIC", "arn:aws:sns:eu-west-1:123456789012:news"),
        ("YRM_TAGS", "all:team=a b,packages:data=rpm"),
        ("YRM_GATEWAY", "redirect"),
        ("YRM_GATEWAY_AUTH", "token,aws"),
        ("YRM_TRUSTED_PROXIES", "10.0.8.0/28,10.0.9.0/28"),
        ("YRM_METRICS", "stack"),
        ("YRM_SELF_UPDATE", "no"),
    ];
    machine.says(false, &[]);
    let output = machine.boot(&settings);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("yrm 9.9.9 runs on s3://{}", machine.bucket)), "{}", said(&output));

    let root = machine.root();
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("usr/bin/yrm"), mode("usr/bin/yrm-heartbeat"), mode("etc/yrm/yrm.toml")], [0o755, 0o755, 0o644]);
    for unit in ["yrm.service", "yrm-heartbeat.service", "yrm-heartbeat.timer"] {
        let installed = root.join("etc/systemd/system").join(unit);
        assert_eq!(read(&installed), read(&deploy(&format!("systemd/{unit}"))));
    }
    let configuration = read(&root.join("etc/yrm/yrm.toml")).replace(&machine.bucket, "BUCKET");
    let configuration = configuration.replace(root.to_str().unwrap(), "ROOT").replace(&key, "KEY");
    insta::assert_snapshot!(configuration, @r#"
    # Written when the machine started, from the parameters of its stack.
    bucket = "s3://BUCKET"
    region = "eu-west-1"
    queue = "arn:aws:sqs:eu-west-1:123456789012:inbox"
    listen = "0.0.0.0:5000"
    signing-key = "KEY"
    datadog-api-key-file = "ssm:/BUCKET"
    notify-topic = "arn:aws:sns:eu-west-1:123456789012:news"
    tags = "all:team=a b,packages:data=rpm"
    gateway = "redirect"
    gateway-auth = "token,aws"
    trusted-proxies = "10.0.8.0/28,10.0.9.0/28"
    access-log = "ROOT/var/log/yrm/access.log"
    api-access = "public"
    log-file = "ROOT/var/log/yrm/yrm.log"
    log-format = "json"
    "#);
    let mut check = yrm(machine.directory.path());
    check.envs(server().environment()).args(["config", "check", "--config"]).arg(root.join("etc/yrm/yrm.toml"));
    succeed(&mut check);
    let calls = "daemon-reload\nenable yrm.service yrm-heartbeat.timer\nrestart yrm.service yrm-heartbeat.timer\n";
    assert_eq!(read(&root.join("systemctl.log")), calls);
    // The first machine of a stack stores the bucket's settings: those of its yrm.toml, which says them no more afterwards.
    insta::assert_snapshot!(machine.asked(), @"
    --config ROOT/etc/yrm/yrm.toml settings show --output json
    --config ROOT/etc/yrm/yrm.toml settings set repositories el9/*,el10/* --reason the stack's parameter
    --config ROOT/etc/yrm/yrm.toml settings check
    --version
    ");

    machine.says(true, &["keep-at-least"]);
    machine.write_program("9.9.10");
    machine.release(&[]);
    let output = machine.boot(&settings);
    assert!(said(&output).contains("yrm 9.9.10 runs"), "{}", said(&output));
    assert_eq!(read(&root.join("systemctl.log")), calls.repeat(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_have_set_since_holds_against_the_stacks_parameters() {
    let machine = Machine::new().await;
    machine.release(&[]);
    let parameters = [("YRM_REPOSITORIES", "per-folder"), ("YRM_KEEP_AT_LEAST", "7"), ("YRM_PRUNE_AGE_DAYS", "30")];
    let toml = || read(&machine.root().join("etc/yrm/yrm.toml"));
    let set = |asked: &str| asked.lines().filter(|line| line.contains(" set ")).count();
    for (is_stored, stated, sets) in [
        (true, &["repositories", "keep-at-least", "prune-age-days"][..], 0),
        (true, &["repositories"], 2),
        (false, &[], 1),
    ] {
        machine.says(is_stored, stated);
        let output = machine.boot(&parameters);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(set(&machine.asked()), sets, "{stated:?}");
        assert!(!toml().contains("repositories") && !toml().contains("prune"), "{}", toml());
        std::fs::remove_file(machine.root().join("yrm.log")).unwrap();
    }
    // Nobody knows what the bucket says: the machine goes by its stack, and is refused where that differs.
    std::fs::remove_file(machine.file("settings.json")).unwrap();
    std::fs::write(machine.file("program"), "#!/bin/sh\n[ \"$1\" = --version ]\n").unwrap();
    machine.release(&[]);
    let output = machine.boot(&parameters);
    assert!(said(&output).contains("the bucket's settings stay as they are"), "{}", said(&output));
    assert!(
        toml().ends_with("repositories = \"per-folder\"\nkeep-at-least = \"7\"\nprune-age-days = \"30\"\n"),
        "{}",
        toml()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tampered_with_is_refused_and_nothing_is_changed() {
    let machine = Machine::new().await;
    machine.release(&[]);
    let (program, manifest) = (format!("yrm-{ARCH}"), format!("yrm-{ARCH}.sha256"));
    let listed = String::from_utf8(machine.get(&manifest).await).unwrap();
    let released: BTreeMap<&str, Vec<u8>> =
        [(program.as_str(), machine.get(&program).await), ("yrm.service", machine.get("yrm.service").await)].into();
    for key in released.keys() {
        machine.put(key, b"#!/bin/sh\nexec evil\n").await;
        machine.assert_refused(&[], "refused: what was downloaded is not what");
        machine.put(key, &released[key]).await;
    }
    for damaged in [
        listed.replace(&format!("  {program}\n"), "  yrm-other\n"),
        listed.replace("  yrm.service\n", "  ../../yrm.service\n"),
        listed.replace("  yrm.service\n", "  yrmxservice\n"),
        listed.replace("  ", " "),
        String::new(),
    ] {
        machine.put(&manifest, damaged.as_bytes()).await;
        machine.assert_refused(&[], "does not list");
    }
    machine.put(&manifest, listed.as_bytes()).await;
    let output = machine.boot(&[]);
    assert!(output.status.success(), "{}", said(&output));
}

/// A key pair for signing; the public half as the stack's parameter has it.
fn key(machine: &Machine, name: &str) -> String {
    let run = |script: String| succeed(machine.command(Path::new("sh")).args(["-euc", &script]));
    run(format!("openssl ecparam -name prime256v1 -genkey -noout -out {name}"));
    let public = run(format!("openssl pkey -in {name} -pubout | base64 -w0"));
    String::from_utf8(public.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_release_key_only_what_it_signed_is_installed() {
    let machine = Machine::new().await;
    let (ours, theirs) = (key(&machine, "ours.pem"), key(&machine, "theirs.pem"));
    let (ours, theirs) = ([("YRM_RELEASE_KEY", ours.as_str())], [("YRM_RELEASE_KEY", theirs.as_str())]);
    machine.release(&[]);
    machine.assert_refused(&ours, "YRM_RELEASE_KEY asks for it");
    machine.release(&["--sign-with", "ours.pem"]);
    machine.assert_refused(&theirs, "the signature of");
    machine.assert_refused(&[("YRM_RELEASE_KEY", "bm8ga2V5")], "the signature of");

    // Whoever may write to the bucket can make a manifest that is right, but not its signature.
    let manifest = format!("yrm-{ARCH}.sha256");
    let signed = machine.get(&manifest).await;
    machine.write_program("6.6.6");
    machine.release(&[]);
    machine.assert_refused(&ours, "the signature of");

    machine.write_program("9.9.9");
    machine.release(&["--sign-with", "ours.pem"]);
    assert_eq!(machine.get(&manifest).await, signed);
    let output = machine.boot(&ours);
    assert!(said(&output).contains("yrm 9.9.9 runs"), "{}", said(&output));

    // The key goes where the running service looks for it, and nowhere else.
    let configuration = || read(&machine.root().join("etc/yrm/yrm.toml"));
    assert!(!configuration().contains("release-key"), "{}", configuration());
    let output = machine.boot(&[ours[0], ("YRM_SELF_UPDATE", "yes")]);
    assert!(output.status.success(), "{}", said(&output));
    let expected = format!("self-update = \"true\"\nrelease-key = \"{}\"\n", ours[0].1);
    assert!(configuration().contains(&expected), "{}", configuration());
    let file = machine.root().join("etc/yrm/yrm.toml");
    succeed(yrm(machine.directory.path()).args(["config", "check", "--config"]).arg(file));
}
