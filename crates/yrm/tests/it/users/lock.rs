//! Who holds the lock of a bucket and gives it back to nobody.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use super::{Ground, SERVICE, STRANGER, UPLOADER, can_become_others, package, set_mode};
use crate::service::Serve;

/// Ended when dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A process that holds `.yrm/lock`, when it does; `None` where it may not.
fn hold(mut flock: Command, ground: &Ground) -> Option<Holder> {
    let lock = ground.bucket().join(".yrm/lock");
    flock.args(["--nonblock", "--no-fork"]).arg(lock).args(["sh", "-c", "echo held; exec sleep 600"]);
    let mut child = flock.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut told = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).unwrap();
    let holder = Holder(child);
    (line == "held\n").then_some(holder)
}

#[tokio::test]
async fn a_lock_taken_by_a_stranger_holds_up_nobody() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/a.rpm", &package("a"));
    assert_eq!(ground.run(&["run"]).0, 0);
    let lock = ground.bucket().join(".yrm/lock");
    assert_eq!(lock.metadata().unwrap().mode() & 0o777, 0o600);
    assert!(hold(STRANGER.command("flock"), &ground).is_none(), "a stranger cannot even open it");

    // An older yrm made it readable: then a stranger holds it already, and a run ends by itself and says who does.
    set_mode(&lock, 0o644);
    let holder = hold(STRANGER.command("flock"), &ground).unwrap();
    ground.write(UPLOADER, "inbox/b.rpm", &package("b"));
    let (code, told) = ground.run(&["run"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("locking .yrm/lock: process ") && told.contains("of user 61003 has held it"), "{told}");
    assert!(told.contains("end that process"), "{told}");
    assert_eq!(lock.metadata().unwrap().mode() & 0o777, 0o600, "it is closed from now on");
    assert!(ground.has("inbox/b.rpm") || ground.has("repo/b.rpm"));
    // A service opens its port all the same.
    let mut serve = ground.yrm(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "-v"]);
    let serve = Serve::spawn(&mut serve);
    assert_eq!(serve.get("/livez").await.0, 200);
    drop(serve);
    drop(holder);
    let (code, told) = ground.run(&["run"]);
    assert_eq!(code, 0, "{told}");
    assert!(ground.has("repo/b.rpm") && !ground.has("inbox/b.rpm"), "{told}");
}

/// A yrm that is frozen while it holds the lock: its own user's, so that the mode does not help.
#[test]
fn a_peer_that_is_frozen_with_the_lock_holds_up_nobody() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/a.rpm", &package("a"));
    assert_eq!(ground.run(&["run"]).0, 0);
    let holder = hold(SERVICE.command("flock"), &ground).unwrap();
    let pid = rustix::process::Pid::from_child(&holder.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    ground.write(UPLOADER, "inbox/b.rpm", &package("b"));
    let (code, told) = ground.run(&["run"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("wake it up if it is a yrm that is frozen"), "{told}");
    drop(holder);
    assert_eq!(ground.run(&["run"]).0, 0);
    assert!(ground.has("repo/b.rpm") && !ground.has("inbox/b.rpm"));
}
