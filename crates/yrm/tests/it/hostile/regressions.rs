//! What fuzzing has found, and where it starts from: every file of `fuzz/regressions/` through the
//! function that is fuzzed with it, and the corpus through those for packages.

#[path = "../../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own for cargo-fuzz")]
mod targets;

use std::fs;
use std::path::Path;

use super::corpus;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 10] = [
    ("header", targets::header),
    ("package", targets::package),
    ("primary", targets::primary),
    ("filelists", targets::filelists),
    ("other", targets::other),
    ("repomd", targets::repomd),
    ("events", targets::events),
    ("catalog", targets::catalog),
    ("keys", targets::keys),
    ("signatures", targets::signatures),
];

#[test]
fn what_fuzzing_found_stays_mended() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions");
    for (name, target) in TARGETS {
        let files: Vec<_> = fs::read_dir(root.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has nothing to start from");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
    let folders = fs::read_dir(&root).unwrap().count();
    assert_eq!(folders, TARGETS.len(), "a folder that belongs to no target is never read");
}

#[test]
fn the_corpus_keeps_what_the_fuzzed_functions_promise() {
    for entry in corpus::all() {
        let bytes = entry.content().bytes;
        targets::header(&bytes);
        targets::package(&bytes);
    }
}
