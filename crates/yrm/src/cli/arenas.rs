//! glibc's memory for many threads. Each of up to eight threads a core gets an arena of its own, which keeps what was freed
//! in it. A service whose listings are read by whatever thread is idle so takes the memory of one listing many times:
//! with 100,000 waiting files 206 MiB after 60 runs, and 95 MiB with two arenas.
//!
//! How many arenas there may be is told in the environment, and read before `main`: so the program starts itself once more.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// How glibc is told.
const VARIABLE: &str = "MALLOC_ARENA_MAX";
/// One for whoever waits while the other is in use.
const ARENAS: &str = "2";

/// Starts this program anew with few arenas, in the same process; returns where that is so already, was decided by the
/// operator, or cannot be done: then it takes more memory, and all else is the same.
pub(crate) fn be_few() {
    let is_told = [VARIABLE, "GLIBC_TUNABLES"].into_iter().any(|name| std::env::var_os(name).is_some());
    if is_told || cfg!(not(target_env = "gnu")) {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("yrm"));
    // By this name it is the same program, also when its file has been replaced.
    let error = Command::new("/proc/self/exe").arg0(name).args(arguments).env(VARIABLE, ARENAS).exec();
    // The log has not begun; a system without /proc is one that this cannot be done on.
    drop(error);
}
