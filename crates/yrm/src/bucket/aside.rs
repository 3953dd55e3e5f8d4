//! Work that keeps a core busy, away from the threads that wait for requests.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, ErrorKind, Result};

/// Runs work that keeps a core busy where it holds up nobody's requests: on the few threads that
/// also render. An allocator that keeps memory for each thread would otherwise hold a catalog for
/// every thread that ever made one.
///
/// A runtime of one thread does it on the spot: such a one is there so that everything happens in
/// one order, time and again (the campaigns with faults).
pub async fn aside<T: Send + 'static>(doing: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    let on_few_threads = move || rayon::scope(|_| work());
    tokio::task::spawn_blocking(on_few_threads)
        .await
        .map_err(|source| Error::new(ErrorKind::Internal, doing).because(source))
}
