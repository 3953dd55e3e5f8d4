//! The lock of everything that compares and then replaces, between processes.
//!
//! Nobody waits for it without end: any process that may open the file can hold it, be it frozen or a stranger's.
//! The kernel's lock has no queue that ends, so who wants it looks again and again; of one process's threads only one does.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::tree::{KeyPath, Tree, failure};
use super::turns::Turn;
use crate::error::{Error, ErrorKind, Result};

/// Looks at the lock before it counts as held for good: holders do a few system calls, so that takes milliseconds.
/// With [`LONGEST_PAUSE_MS`] between them they take five seconds on average.
const TRIES: u32 = 500;

/// The longest pause between two looks. Half of it on average: whoever collided once does not meet again.
const LONGEST_PAUSE_MS: u64 = 20;

/// Only yrm's own user: who can open the file can hold the lock.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// How long a thread waits for its turn: as long as the one before it may need to learn that the lock is held for good.
const LONGEST_TURN: Duration = Duration::from_secs(10);

/// The lock; released when dropped, also by a process that dies.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    _file: OwnedFd,
    /// Dropped last: whoever is next finds the lock free.
    _turn: Turn<'a>,
}

impl<'a> Lock<'a> {
    /// Waits for the lock, for about five seconds: its holders do a few system calls and no I/O on file contents.
    pub(super) fn take(tree: &'a Tree) -> Result<Self> {
        let file = open(tree)?;
        let Some(turn) = tree.turns.wait(LONGEST_TURN) else { return Err(held(&file)) };
        for _ in 0..TRIES {
            if try_lock(&file)? {
                return Ok(Self { _file: file, _turn: turn });
            }
            std::thread::sleep(Duration::from_millis(rand::random_range(0..=LONGEST_PAUSE_MS)));
        }
        Err(held(&file))
    }

    /// The lock, if nobody has it.
    pub(super) fn take_free(tree: &'a Tree) -> Result<Option<Self>> {
        let file = open(tree)?;
        let Some(turn) = tree.turns.wait(Duration::ZERO) else { return Ok(None) };
        Ok(try_lock(&file)?.then_some(Self { _file: file, _turn: turn }))
    }
}

fn open(tree: &Tree) -> Result<OwnedFd> {
    let folder = tree.make_folder_of(KeyPath::parse(".yrm/lock")?)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, "lock", flags, MODE).map_err(|errno| {
        let error = failure(errno, "opening .yrm/lock");
        match errno {
            Errno::ACCESS | Errno::PERM => error.hint(
                "one user writes to a bucket's directory: run yrm as the owner of .yrm, or give .yrm to its user",
            ),
            _ => error,
        }
    })?;
    // An older yrm made it readable, and who can read it can hold it.
    if let Ok(stat) = rustix::fs::fstat(&file)
        && Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO)
        && let Err(errno) = rustix::fs::fchmod(&file, MODE)
    {
        tracing::debug!(%errno, "other users can still hold .yrm/lock: its mode cannot be changed");
    }
    Ok(file)
}

fn try_lock(file: &OwnedFd) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        // Held by somebody, or a signal arrived: looked at again.
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS)) => Err(failure(errno, "locking .yrm/lock").hint(
            "this file system has no locks, and two writers without one lose packages: mount NFS with locking (not \
                 `nolock`, and with its lock service running), or put the bucket on a local disk",
        )),
        Err(errno) => Err(failure(errno, "locking .yrm/lock")),
    }
}

fn held(file: &OwnedFd) -> Error {
    let stat = rustix::fs::fstat(file).ok();
    let holder = stat.as_ref().and_then(holder);
    let who = holder.unwrap_or_else(|| "a process that this one cannot see (on another host, maybe)".to_owned());
    Error::new(ErrorKind::Unavailable, "locking .yrm/lock")
        .because(format!("{who} has held it for seconds, and no yrm needs it for longer than milliseconds"))
        .hint(
            "end that process, or wake it up if it is a yrm that is frozen; nothing is lost meanwhile, and the next run \
             tries again. `flock --nonblock .yrm/lock true` tells whether it is free",
        )
}

/// Who holds the lock on the file, where the kernel tells: not of other hosts, nor of processes that are hidden.
fn holder(stat: &Stat) -> Option<String> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let pid = holder_in(&locks, &format!("{major:02x}:{minor:02x}:{}", stat.st_ino))?;
    // Of a process that has ended, a child has the open file.
    let Ok(process) = rustix::fs::stat(format!("/proc/{pid}")) else {
        return Some(format!("a child of process {pid}, which has ended,"));
    };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({:?}) of user {}", name.trim_end(), process.st_uid))
}

/// The process in `/proc/locks` that holds a lock on the file `id`; lines of those who wait have `->` in them.
fn holder_in(locks: &str, id: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, file, ..] if file == id => pid.parse().ok().filter(|pid| *pid > 0),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_among_all_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 12 08:02:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 0 08:02:99 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 4711 fe:00:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 4712 fe:00:78 0 EOF\n";
        assert_eq!(holder_in(locks, "fe:00:77"), Some(4711));
        assert_eq!(holder_in(locks, "08:02:77"), None, "another kind of lock");
        assert_eq!(holder_in(locks, "08:02:99"), None, "of a process in another container");
        assert_eq!(holder_in(locks, "fe:00:78"), None, "it waits itself");
    }
}
