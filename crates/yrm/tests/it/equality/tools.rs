//! The programs that the tests compare with; `scripts/test` installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What `scripts/test` prepared.
pub(crate) fn prepared(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.test").join(path);
    assert!(path.exists(), "{} is missing: run scripts/test once, it installs what the tests need", path.display());
    path
}

/// A createrepo_c.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// 1.2.5, the one to be equal to.
    Newest,
    /// The distribution's.
    Debian,
}

impl Reference {
    pub(crate) const ALL: [Self; 2] = [Self::Newest, Self::Debian];

    fn program(self) -> PathBuf {
        match self {
            Self::Newest => prepared("venv/bin/createrepo_c"),
            Self::Debian => "/usr/bin/createrepo_c".into(),
        }
    }

    /// Makes `output/repodata` of the packages below `folder`; the exit code and what it said.
    pub(crate) fn index(self, folder: &Path, output: &Path) -> (Option<i32>, String) {
        self.index_with(folder, output, &["--checksum", "sha256"])
    }

    /// The same, told more.
    pub(crate) fn index_with(self, folder: &Path, output: &Path, more: &[&str]) -> (Option<i32>, String) {
        std::fs::create_dir_all(output).unwrap();
        let mut command = Command::new(self.program());
        command.args(["--no-database", "--compress-type", "gz"]).args(more).arg("--outputdir").arg(output);
        let result = command.arg(folder).env_remove("LANGUAGE").env("LC_ALL", "C").output().unwrap();
        (result.status.code(), String::from_utf8_lossy(&result.stderr).into_owned())
    }
}

/// Runs it; its standard output. Panics with everything it said when it fails.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}
