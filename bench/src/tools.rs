//! The programs that are compared, and how each is asked for the same thing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::fault::{Doing as _, Result};

/// A compression, at what level for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Method {
    /// gzip, as each program does it.
    Gz,
    /// Zstandard: each program's own level.
    Zstd,
    /// Zstandard at level 10, which is createrepo_c's own.
    Zstd10,
}

impl Method {
    pub(crate) const ALL: [Self; 3] = [Self::Gz, Self::Zstd, Self::Zstd10];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gz => "gz",
            Self::Zstd => "zstd",
            Self::Zstd10 => "zstd, level 10",
        }
    }

    /// What both command lines call it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Gz => "gz",
            Self::Zstd | Self::Zstd10 => "zstd",
        }
    }
}

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Tool {
    Yrm,
    /// The newest createrepo_c, from PyPI: what everything is compared with.
    Newest,
    /// Debian 12's createrepo_c.
    Debian,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    yrm: PathBuf,
    newest: PathBuf,
    debian: PathBuf,
    yrm_takes_a_level: bool,
    yrm_takes_a_cache: bool,
}

impl Tools {
    /// The `yrm` beside this program, the createrepo_c that `scripts/test` installs below
    /// `workspace`, and the system's.
    pub(crate) fn find(workspace: &Path) -> Result<Self> {
        let this = std::env::current_exe().doing(|| "finding this program".to_owned())?;
        let yrm = this.with_file_name("yrm");
        // The binary itself: the one in bin/ is a Python script that starts it.
        let libraries = workspace.join(".test/venv/lib");
        let python = std::fs::read_dir(&libraries)
            .doing(|| format!("{}: run scripts/test once, it installs createrepo_c", libraries.display()))?;
        let newest = python
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/createrepo_c/data/bin/createrepo_c")))
            .find(|path| path.is_file())
            .ok_or_else(|| "no createrepo_c below .test/venv: run scripts/test once".to_owned())?;
        let debian = PathBuf::from("/usr/bin/createrepo_c");
        for program in [&yrm, &debian] {
            if !program.is_file() {
                return Err(
                    format!("{} is missing; `just bench` builds and scripts/test installs", program.display()).into()
                );
            }
        }
        let takes = |verb: &str, flag: &str| -> Result<bool> {
            let help =
                Command::new(&yrm).args([verb, "--help"]).output().doing(|| format!("starting {}", yrm.display()))?;
            Ok(String::from_utf8_lossy(&help.stdout).contains(flag))
        };
        let (yrm_takes_a_level, yrm_takes_a_cache) =
            (takes("index", "--compression-level")?, takes("run", "--cache-dir")?);
        Ok(Self { yrm, newest, debian, yrm_takes_a_level, yrm_takes_a_cache })
    }

    /// `createrepo_c 1.2.5`.
    pub(crate) fn version(&self, tool: Tool) -> Result<String> {
        let (program, name) = match tool {
            Tool::Yrm => (&self.yrm, "yrm"),
            Tool::Newest => (&self.newest, "createrepo_c"),
            Tool::Debian => (&self.debian, "createrepo_c"),
        };
        let output =
            Command::new(program).arg("--version").output().doing(|| format!("starting {}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split_ascii_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        Ok(format!("{name} {}", number.unwrap_or("?")))
    }

    /// Whether this program can be asked for that.
    pub(crate) fn can(&self, tool: Tool, method: Method) -> bool {
        match (tool, method) {
            (Tool::Yrm, Method::Zstd10) => self.yrm_takes_a_level,
            // zstd came with createrepo_c 0.21, and 10 is the level it always uses.
            (Tool::Debian, Method::Zstd | Method::Zstd10) | (Tool::Newest, Method::Zstd10) => false,
            (Tool::Yrm | Tool::Newest, Method::Gz | Method::Zstd) | (Tool::Debian, Method::Gz) => true,
        }
    }

    /// A full build of the packages in `dir`, into `out`.
    pub(crate) fn build(&self, tool: Tool, method: Method, dir: &Path, out: &Path) -> Command {
        match tool {
            Tool::Yrm => {
                let mut command = Command::new(&self.yrm);
                command.args(["index", "--compression", method.kind()]);
                if method == Method::Zstd10 {
                    command.args(["--compression-level", "10"]);
                }
                command.arg("-o").arg(out).arg(dir);
                command
            }
            Tool::Newest | Tool::Debian => {
                let mut command = self.createrepo(tool, method);
                command.arg("-o").arg(out).arg(dir);
                command
            }
        }
    }

    /// createrepo_c over the packages in `dir`, believing the metadata that is there.
    pub(crate) fn update(&self, tool: Tool, method: Method, dir: &Path) -> Command {
        let mut command = self.createrepo(tool, method);
        command.args(["--update", "--skip-stat"]).arg(dir);
        command
    }

    /// Without the SQLite databases, which only the older one makes by default and `yrm` never.
    fn createrepo(&self, tool: Tool, method: Method) -> Command {
        let program = if tool == Tool::Debian { &self.debian } else { &self.newest };
        let mut command = Command::new(program);
        command.args(["--quiet", "--no-database", "--general-compress-type", method.kind()]);
        command
    }

    /// One pass over a bucket in a process of its own. Its answer is the report in JSON.
    /// The program.
    pub(crate) fn yrm(&self) -> &Path {
        &self.yrm
    }

    pub(crate) fn run(&self, bucket: &str, cache: &Path, environment: &[(String, String)]) -> Command {
        let mut command = Command::new(&self.yrm);
        command.args(["run", "--output", "json", "--bucket", bucket]);
        if self.yrm_takes_a_cache {
            command.arg("--cache-dir").arg(cache);
        }
        command.env("XDG_CACHE_HOME", cache).envs(environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
