//! Runs the commands of README.md and docs/, page by page, as a reader would.
//!
//! A page runs in an empty folder of its own, in which `crates/yrm/demo/packages` lies as in a clone. Its
//! blocks become one shell script in which every command keeps the page's line number:
//!
//! - ```` ```sh ```` is run. ```` ```sh exit=7 ```` has to end with that code. ```` ```sh background ```` is
//!   started and goes on beside the next blocks, once `/readyz` says yes.
//! - ```` ```sh no-run ```` is not run; the line above it is a comment that says why: `<!-- no-run: … -->`.
//! - ```` ```toml yrm.toml ```` (any language and a path) is appended to that file.
//! - `<!-- run`, lines, `-->` is run and not shown: what a reader has already.
//!
//! Everything else is text. `s3://my-bucket` is a new bucket on the tests' S3 server, its address, the
//! service's address and `/etc` become places of this test. dnf installs into a folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

use super::{read, root};
use crate::workspace::python;

/// Blocks of commands that no test can run: on AWS, as root, or for minutes. Each says why.
const SKIPPED_AT_MOST: usize = 18;
/// Blocks that are run at least: a slip in a fence must not make them text.
const RUN_AT_LEAST: usize = 72;
/// Pages at once: they wait more than they work.
const PAGES_AT_ONCE: usize = 6;
/// A page that takes longer hangs.
const PAGE_SECONDS: &str = "180";

/// What stands before every page's script.
const PRELUDE: &str = r#"
set -eEu -o pipefail
trap 'status=$?; echo "${BASH_SOURCE[0]##*/}:$LINENO: exit code $status: $BASH_COMMAND" >&2' ERR
trap 'trap - ERR; set +eu; end_background; gpgconf --kill all 2>/dev/null; wait' EXIT
# What runs in the background is a group of processes of its own: the shell that began it, and the program.
end_background() {
  local job
  for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || kill "$job" 2>/dev/null; done
}

# A directory bucket that yrm.toml names, with the sample packages published in it. With a folder, each folder
# is a repository, and they are in this one.
bucket_with_samples() {
  local repositories=single
  if [ -n "${1:-}" ]; then repositories=per-folder; fi
  printf 'bucket = "./bucket"\nrepositories = "%s"\n' "$repositories" > yrm.toml
  mkdir -p "bucket/inbox/${1:-}"
  cp crates/yrm/demo/packages/*/*.rpm "bucket/inbox/${1:-}"
  yrm run > setup.log
}
is_ready() {
  for _ in $(seq 600); do
    curl --silent --fail --output /dev/null "http://$YRM_LISTEN/readyz" && return
    sleep 0.1
  done
  echo "the service is not ready: $(curl --silent "http://$YRM_LISTEN/readyz"; tail -n 5 background.log)" >&2
  return 1
}
"#;

/// dnf as a client would call it, but of a machine that is a folder.
const DNF: &str = r#"#!/bin/sh
exec /usr/bin/dnf -y --quiet --releasever=1 --disableplugin='*' --installroot="$MACHINE" \
  --setopt=reposdir="$MACHINE/etc/yum.repos.d" --setopt=cachedir="$MACHINE/cache" --setopt='*.retries=1' "$@"
"#;

/// What becomes of a page's blocks.
#[derive(Debug, Default)]
struct Page {
    script: String,
    run: usize,
    skipped: usize,
    wrong: Vec<String>,
}

impl Page {
    fn of(name: &str, text: &str) -> Self {
        let mut page = Self::default();
        let mut end_of_block: Option<(&str, String)> = None;
        let mut is_run = false;
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            let mut scripted = String::new();
            match &end_of_block {
                Some((end, last)) if trimmed == *end => {
                    scripted.clone_from(last);
                    (end_of_block, is_run) = (None, false);
                }
                Some(_) => {
                    if is_run {
                        line.clone_into(&mut scripted);
                    }
                }
                None => {
                    if let Some(info) = trimmed.strip_prefix("```") {
                        match opened(info, before) {
                            Ok(Opened::Text) => end_of_block = Some(("```", String::new())),
                            Ok(Opened::Skipped) => {
                                page.skipped += 1;
                                end_of_block = Some(("```", String::new()));
                            }
                            Ok(Opened::Run { first, last }) => {
                                page.run += 1;
                                scripted = first;
                                (end_of_block, is_run) = (Some(("```", last)), true);
                            }
                            Err(why) => {
                                page.wrong.push(format!("{name}:{}: {why}", number + 1));
                                end_of_block = Some(("```", String::new()));
                            }
                        }
                    } else if trimmed == "<!-- run" {
                        (end_of_block, is_run) = (Some(("-->", String::new())), true);
                    }
                }
            }
            before = trimmed;
            writeln!(page.script, "{scripted}").unwrap();
        }
        page
    }
}

/// What a fence opens.
enum Opened {
    Text,
    Skipped,
    Run { first: String, last: String },
}

fn opened(info: &str, before: &str) -> Result<Opened, String> {
    let run = |first: &str, last: String| Ok(Opened::Run { first: first.to_owned(), last });
    match info.split_once(' ').unwrap_or((info, "")) {
        ("sh", "") => run("", String::new()),
        ("sh", "background") => run("set -m; {", "} >>background.log 2>&1 & set +m; is_ready".to_owned()),
        ("sh", "no-run") if before.starts_with("<!-- no-run: ") => Ok(Opened::Skipped),
        ("sh", "no-run") => Err("the line above says no reason: <!-- no-run: … -->".to_owned()),
        ("sh", word) => match word.strip_prefix("exit=").and_then(|code| code.parse::<u8>().ok()) {
            Some(code) => run("status=0; {", format!("}} || status=$?; test $status = {code}")),
            None => Err(format!("no block is {info:?}")),
        },
        ("" | "bash" | "shell", _) => Err(format!("a block is sh, or says what it is, such as text: {info:?}")),
        (_, "") => Ok(Opened::Text),
        (_, path) => Ok(Opened::Run {
            first: format!("mkdir -p \"$(dirname {path})\"; cat >> {path} <<'END_OF_THE_FILE'"),
            last: "END_OF_THE_FILE".to_owned(),
        }),
    }
}

/// Every page whose commands are run, from the repository's root on.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for document in super::documents() {
        let path = document.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if path.starts_with("docs/") {
            pages.push(path);
        }
    }
    pages
}

/// Puts a program for pages into a folder.
fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a page's commands need a bucket on S3.
fn is_on_s3(script: &str) -> bool {
    script.contains("my-bucket")
}

#[cfg(feature = "aws")]
mod on_s3 {
    use super::*;
    use crate::s3_server::server;

    /// A page's script with a new bucket of the S3 server, if it needs one, and what reaches that.
    pub(super) fn placed<'a>(
        script: String,
        mut environment: BTreeMap<&'a str, &'a str>,
        bin: &Path,
    ) -> (String, BTreeMap<&'a str, &'a str>) {
        if !is_on_s3(&script) {
            return (script, environment);
        }
        let server = server();
        environment.extend(server.environment());
        environment.insert("YRM_PATH_STYLE", "true");
        // For SQS the AWS command line asks AWS itself, whatever AWS_ENDPOINT_URL says.
        let aws = python().with_file_name("aws");
        program(
            bin,
            "aws",
            &format!("#!/bin/sh\nexec {} --endpoint-url {} \"$@\"\n", aws.display(), server.endpoint()),
        );
        let bucket = format!("docs-{:016x}", rand::random::<u64>());
        if !script.contains("aws s3 mb s3://my-bucket\n") {
            let (name, runtime) = (bucket.clone(), tokio::runtime::Runtime::new().unwrap());
            runtime.block_on(async { server.client().create_bucket().bucket(name).send().await.unwrap() });
        }
        let address = format!("{}/{bucket}", server.endpoint());
        let script = script.replace("https://my-bucket.s3.eu-west-1.amazonaws.com", &address);
        (script.replace("my-bucket", &bucket), environment)
    }
}

/// Runs a page's script; what went wrong, if anything did.
fn failure(name: &str, script: &str) -> Option<String> {
    let scratch = TempDir::new().unwrap();
    let (folder, machine) = (scratch.path().join("here"), scratch.path().join("machine"));
    let (bin, home) = (scratch.path().join("bin"), scratch.path().join("home"));
    let keys = scratch.path().join("keys");
    for made in
        [&folder.join("crates/yrm/demo"), &machine.join("etc/yum.repos.d"), &machine.join("etc/yrm"), &bin, &home]
    {
        fs::create_dir_all(made).unwrap();
    }
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/packages");
    std::os::unix::fs::symlink(samples, folder.join("crates/yrm/demo/packages")).unwrap();
    program(&bin, "dnf", DNF);
    program(&bin, "sudo", "#!/bin/sh\nexec \"$@\"\n");

    let needs_the_signer = script.contains("yrm-client");
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let signer = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut script = script.replace("127.0.0.1:5000", &listen);
    for (path, place) in [("/etc/yum.repos.d", "etc/yum.repos.d"), ("/etc/yrm", "etc/yrm"), ("/srv/", "srv/")] {
        script = script.replace(path, machine.join(place).to_str().unwrap());
    }
    let environment = BTreeMap::from([
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("LC_ALL", "C.UTF-8"),
        ("YRM_LISTEN", &listen),
        ("YRM_CLIENT_LISTEN", &signer),
        ("YRM_TIME_INTERVAL", "1s"),
    ]);
    #[cfg(feature = "aws")]
    let (script, environment) = on_s3::placed(script, environment, &bin);
    let file = scratch.path().join(name.replace('/', "-"));
    fs::write(&file, script).unwrap();
    fs::write(scratch.path().join("prelude.sh"), PRELUDE).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_yrm")).parent().unwrap();
    // Tests of the workspace build it beside this program.
    if needs_the_signer && !binary.join("yrm-client").exists() {
        return Some(format!("=== {name}: run `cargo build -p yrm-client` once"));
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{}:{path}", bin.display(), binary.display(), python().parent().unwrap().display());
    let mut bash = Command::new("timeout");
    bash.args([PAGE_SECONDS, "bash", "-c", "source \"$0\"; source \"$1\""]);
    bash.arg(scratch.path().join("prelude.sh")).arg(&file).current_dir(&folder);
    bash.env_clear().envs(environment).env("PATH", path).env("HOME", &home).env("MACHINE", &machine);
    bash.env("YRM_CLIENT_CONFIG", machine.join("etc/yrm-client.conf"));
    // Named, so that its agent is this page's own.
    bash.env("GNUPGHOME", &keys);
    let output = bash.output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (!output.status.success()).then(|| format!("=== {name}: {}\n{said}", output.status))
}

/// `YRM_DOCS_PAGE=docs/start.md` runs one page.
#[test]
#[expect(clippy::print_stdout, reason = "how many blocks are run, and how long a page takes, is for people")]
fn commands_of_the_documents_do_what_they_say() {
    let only = std::env::var("YRM_DOCS_PAGE").ok();
    let mut read_pages = Vec::new();
    let (mut run, mut skipped, mut wrong) = (0, 0, Vec::new());
    for name in pages() {
        let page = Page::of(&name, &read(&name));
        (run, skipped) = (run + page.run, skipped + page.skipped);
        wrong.extend(page.wrong);
        if page.run > 0 && only.as_ref().is_none_or(|only| *only == name) {
            read_pages.push((name, page.script));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    println!("{run} blocks of commands and files are run, {skipped} are not");
    assert!(run >= RUN_AT_LEAST || only.is_some(), "only {run} blocks would be run");
    assert!(skipped <= SKIPPED_AT_MOST, "{skipped} blocks would not be run");
    if !cfg!(feature = "aws") {
        read_pages.retain(|(_, script)| !is_on_s3(script));
    }

    // Pages that speak to S3 and make keys take longest, and begin first.
    read_pages.sort_by_key(|(_, script)| script.matches("my-bucket").count() + 8 * script.matches("yrm key").count());
    let (waiting, failures) = (Mutex::new(read_pages), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PAGES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, script)) = waiting.lock().unwrap().pop() else { break };
                    let began = std::time::Instant::now();
                    let failed = failure(&name, &script);
                    println!("{name}: {} ms", began.elapsed().as_millis());
                    failures.lock().unwrap().extend(failed);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_page_becomes_a_script_that_keeps_its_lines() {
    let text = "# Title\n\n<!-- run\nmkdir x\n-->\n```toml a.toml\nb = 1\n```\n```sh exit=7\nfalse\n```\n\
                <!-- no-run: as root -->\n```sh no-run\nreboot\n```\n```text\nhello\n```\n```sh soon\nls\n```\n";
    let page = Page::of("x.md", text);
    let lines: Vec<&str> = page.script.lines().collect();
    assert_eq!(lines[3], "mkdir x");
    assert_eq!(
        lines[5..8],
        ["mkdir -p \"$(dirname a.toml)\"; cat >> a.toml <<'END_OF_THE_FILE'", "b = 1", "END_OF_THE_FILE"]
    );
    assert_eq!(lines[8..11], ["status=0; {", "false", "} || status=$?; test $status = 7"]);
    assert!(lines[11..].iter().all(|line| line.is_empty()), "{lines:?}");
    assert_eq!((page.run, page.skipped), (2, 1));
    assert_eq!(page.wrong, ["x.md:19: no block is \"sh soon\""]);
}
