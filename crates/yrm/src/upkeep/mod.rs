//! What keeps a bucket tidy, beside the line: the sweep of what nothing names, the rounds that look for it and for old
//! versions, the mending of pairs and mirrors where nothing arrives, and leases that spare instances double work.
//! A bucket that lacks all of it for a while is only larger, and its instances busier.

pub mod lease;
pub(crate) mod left;
pub(crate) mod mend;
pub(crate) mod retired;
pub(crate) mod round;
pub(crate) mod share;
pub mod sweep;
mod untagged;
pub(crate) mod watch;
