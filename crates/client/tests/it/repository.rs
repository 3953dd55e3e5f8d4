//! A repository for clients: packages with a dependency, and with names that are spelled differently in addresses.

use std::path::Path;
use std::process::Command;

use forge::{File, Rpm};
use tempfile::TempDir;

use crate::machine::succeed;

pub(crate) const BUCKET: &str = "private-bucket";

/// `app` needs `lib++`. The files' names have `+`, `~`, `^`, `%` and a space.
pub(crate) const FILES: [&str; 3] =
    ["repo/app-1.0~rc1^git7-1.noarch.rpm", "repo/lib++-1.0-1.noarch.rpm", "repo/odd %2B+~^ name-1.0-1.noarch.rpm"];

/// A bucket's files.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    // So large that a download can be cut somewhere.
    let content = b"0123456789abcdef".repeat(8192);
    let app = Rpm::new("app", "1.0~rc1^git7", "1", "noarch").requires("lib++").file(File::new("/opt/app", "app\n"));
    let lib = Rpm::new("lib++", "1.0", "1", "noarch").file(File::new("/opt/lib++", content));
    let odd = Rpm::new("odd", "1.0", "1", "noarch").file(File::new("/opt/odd", "odd\n"));
    for (package, file) in [app, lib, odd].into_iter().zip(FILES) {
        std::fs::write(folder.path().join(file), package.build()).unwrap();
    }
    index(&repo);
    folder
}

fn index(repo: &Path) {
    succeed(Command::new("createrepo_c").args(["--quiet", "--simple-md-filenames"]).arg(repo));
}
