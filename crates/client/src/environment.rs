//! `/etc/yrm-client.conf`: `NAME=VALUE` lines, which systemd puts into the service's environment (`EnvironmentFile=`).
//! `yrm-client check`, run by hand, has to see the same. So the program reads the file itself and starts itself once more
//! with it: variables of the SDK (`AWS_PROFILE`, `HTTPS_PROXY`) count as they do for the service.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::complaint::{Complaint, Result};

const USUAL: &str = "/etc/yrm-client.conf";
/// Another file than the usual one.
const FILE: &str = "YRM_CLIENT_CONFIG";
/// Set once the file was read.
const IS_READ: &str = "YRM_CLIENT_CONFIG_READ";

/// Puts into the environment what the file says and the environment does not. Where that is something, this does not
/// return: the program begins again.
pub(crate) fn settle() -> Result<()> {
    if std::env::var_os(IS_READ).is_some() {
        return Ok(());
    }
    let path = std::env::var_os(FILE).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
    let missing: BTreeMap<String, String> =
        read(&path)?.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_else(|| OsString::from("yrm-client"));
    let error = Command::new("/proc/self/exe").arg0(own_name).args(arguments).envs(missing).env(IS_READ, "1").exec();
    Err(Complaint::new(format!("{} was read, and the program could not begin again with it: {error}", path.display())))
}

fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let wrong = |why: String| Complaint::new(format!("{}: {why}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(wrong(error.to_string()).hint("run this as root, or name another file in YRM_CLIENT_CONFIG")),
    }
}

/// As systemd reads it, but for lines that go on after a backslash.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut read = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let parts = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match parts {
            Some((name, value)) if is_name(name) && !value.contains('\0') => {
                let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
                read.insert(name.to_owned(), quoted.unwrap_or(value).to_owned());
            }
            // The line may hold a secret.
            _ => return Err(format!("line {} is not NAME=VALUE", number + 1)),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_systemd_is_read_as_systemd_reads_it() {
        let read = parse("# a comment\n; another\n\n A = b \nAWS_PROFILE=\"x y\"\nC='='\nD=\nE=\"\n").unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("A", "b"), ("AWS_PROFILE", "x y"), ("C", "="), ("D", ""), ("E", "\"")]);
        for text in ["secret", "=b", "a b=c", "export A=b"] {
            let why = parse(text).unwrap_err();
            assert!(why.contains("line 1") && !why.contains("secret"), "{why}");
        }
    }
}
