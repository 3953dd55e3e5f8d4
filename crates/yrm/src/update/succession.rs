//! Handing the service over: the new program takes this process's place, with its pid, arguments,
//! environment and listening socket, so that neither systemd nor a client sees a gap.
//!
//! The socket goes where a program finds it without being told: it is the new one's standard
//! input, as inetd does it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rpmmd::checksum::Sha256;
use rustix::net::sockopt::socket_acceptconn;

use super::place::Place;
use crate::error::{Error, ErrorKind, Result};

/// The program that runs, whatever became of its file.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// A program that was verified and tried, and waits to take over.
#[derive(Debug)]
pub struct Staged {
    pub(super) place: Place,
    pub(super) program: PathBuf,
    pub(super) digest: Sha256,
    pub(super) version: String,
}

impl Staged {
    /// Replaces this program by the new one. Returns only if neither that nor, in its place,
    /// this program could be started again.
    pub fn take_over(self, listener: &OwnedFd) -> Error {
        let release = self.digest;
        tracing::info!(%release, version = self.version, "going over to the new release");
        let failed = match self.place.set_mark(release) {
            Ok(()) => exec(&self.program, listener),
            Err(error) => error,
        };
        tracing::error!(%release, "the new release cannot be started, and this program starts again: {failed}");
        Error::new(ErrorKind::Internal, "starting this program again").because(exec(Path::new(OWN_PROGRAM), listener))
    }
}

/// Never returns if it succeeds.
fn exec(program: &Path, listener: &OwnedFd) -> io::Error {
    let listener = match listener.try_clone() {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).stdin(listener).exec()
}

/// The listening socket that this program was started with as its standard input, if it is one
/// for `listen`. Standard input is empty then.
pub fn inherited(listen: SocketAddr) -> Result<Option<tokio::net::TcpListener>> {
    let stdin = io::stdin();
    // What is no socket is no listening one.
    if !socket_acceptconn(&stdin).unwrap_or(false) {
        return Ok(None);
    }
    let take = || {
        let socket = stdin.as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // The configuration may have changed meanwhile; then the old address is let go.
        let fits = address.ip() == listen.ip() && [0, address.port()].contains(&listen.port());
        fits.then(|| tokio::net::TcpListener::from_std(listener)).transpose()
    };
    take()
        .map_err(|error: io::Error| Error::new(ErrorKind::Internal, "taking over the listening socket").because(error))
}
