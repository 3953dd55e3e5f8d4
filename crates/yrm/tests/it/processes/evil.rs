//! An uploader without scruples beside the others, as a user of its own, in a folder where a rule asks for
//! signatures. What is published there must be what passed the rule, byte for byte.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use forge::Rpm;
use rpmmd::checksum::Sha256;
use tokio::process::{Child, Command};

use super::place::Place;
use crate::users::{STRANGER, set_mode};

/// Its folder in the inbox.
pub(super) const FOLDER: &str = "evil/";
/// What it does; each is a function in `evil.py`.
const EVILS: [&str; 11] = [
    "flip",
    "exchange_files",
    "exchange_folder",
    "lock",
    "sparse",
    "links",
    "empty",
    "unreadable",
    "keeps",
    "junk",
    "slow_readers",
];
/// Packages that it has, each with a twin.
const PAIRS: usize = 8;

/// The one who does it, while it is at it.
#[derive(Debug)]
pub(super) struct Evil {
    child: Child,
    signed: BTreeSet<Sha256>,
    twins: BTreeSet<Sha256>,
}

/// What its campaign came to.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// What it did, in its own words.
    pub(super) did: String,
    /// Packages of its that are published.
    pub(super) published: usize,
}

/// The settings of a service where its folder has a rule; the keys are in `directory`.
pub(super) fn settings(directory: &Path) -> String {
    let keys = directory.join("keys");
    format!("keyring = \"{}\"\n\n[[rule]]\nfolder = \"evil/**\"\nsignatures = \"require\"\n", keys.display())
}

/// Makes a key, packages that it signed, and for each a twin of the same size that nobody signed.
pub(super) fn prepare(directory: &Path) {
    let (pairs, keys) = (directory.join("pairs"), directory.join("keys"));
    let inbox = directory.join("signing/bucket/inbox");
    for folder in [&pairs, &keys, &inbox] {
        std::fs::create_dir_all(folder).unwrap();
        set_mode(folder, 0o755);
    }
    let scratch = directory.join("signing");
    let yrm = |arguments: &[&str]| {
        let output = crate::cli::yrm(&scratch).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    yrm(&["key", "generate", "--algorithm", "ed25519", "--out", "key"]);
    for number in 0..PAIRS {
        let rpm = Rpm::new(format!("evil-{number}"), "1", "1", "noarch");
        std::fs::write(inbox.join(format!("{number}.rpm")), rpm.build()).unwrap();
    }
    yrm(&["run", "--bucket", "./bucket", "--signing-key", "key", "--sign-packages", "always"]);
    for number in 0..PAIRS {
        let signed = std::fs::read(scratch.join(format!("bucket/repo/{number}.rpm"))).unwrap();
        let mut twin = signed.clone();
        *twin.last_mut().unwrap() ^= 1;
        std::fs::write(pairs.join(format!("{number}.signed")), signed).unwrap();
        std::fs::write(pairs.join(format!("{number}.twin")), twin).unwrap();
    }
    std::fs::copy(scratch.join("key.pub"), keys.join("key.asc")).unwrap();
    set_mode(&keys.join("key.asc"), 0o644);
}

/// Tells it where the services answer.
pub(super) fn tell_ports(directory: &Path, ports: &[u16]) {
    let (draft, place) = (directory.join("ports.new"), directory.join("ports"));
    let words: Vec<String> = ports.iter().map(u16::to_string).collect();
    std::fs::write(&draft, words.join(" ")).unwrap();
    set_mode(&draft, 0o644);
    std::fs::rename(draft, place).unwrap();
}

impl Evil {
    /// Begins, for so many seconds at most.
    pub(super) fn begin(directory: &Path, place: &Place, seed: u64, seconds: u64) -> Self {
        let digests = |kind: &str| {
            let of = |number| std::fs::read(directory.join(format!("pairs/{number}.{kind}"))).unwrap();
            (0..PAIRS).map(|number| Sha256::of(&of(number))).collect()
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/processes/evil.py");
        let copy = directory.join("evil.py");
        std::fs::copy(script, &copy).unwrap();
        set_mode(&copy, 0o644);
        tell_ports(directory, &[]);
        let evils = std::env::var("YRM_CHAOS_EVILS").unwrap_or_else(|_| EVILS.join(","));
        // The system's own: another one may be in a folder that is closed to others.
        let mut command = STRANGER.command("/usr/bin/python3");
        command.arg(copy).arg(place.root().join("inbox")).arg(directory.join("pairs"));
        command.args([seed.to_string(), seconds.to_string()]).args(evils.split(','));
        let mut command = Command::from(command);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        Self { child, signed: digests("signed"), twins: digests("twin") }
    }

    /// Waits for its end; an error is what it broke.
    pub(super) async fn end(self, place: &Place) -> Result<Deeds, String> {
        let Self { child, signed, twins } = self;
        let output = child.wait_with_output().await.unwrap();
        if !output.status.success() {
            return Err(format!("evil.py: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut published = 0;
        // Whatever lies there, named or not: it is served.
        for path in packages_below(&place.root().join("repo")) {
            let sha256 = Sha256::of(&std::fs::read(&path).unwrap());
            let is_evils = path.strip_prefix(place.root().join("repo")).is_ok_and(|href| href.starts_with(FOLDER));
            if twins.contains(&sha256) || is_evils && !signed.contains(&sha256) {
                return Err(format!("{} has bytes that passed no rule", path.display()));
            }
            published += usize::from(is_evils);
        }
        Ok(Deeds { did: String::from_utf8_lossy(&output.stdout).trim().to_owned(), published })
    }
}

fn packages_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { packages_below(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|end| end == "rpm"))
        .collect()
}
