//! What keeps a bucket tidy, beside the line: the sweep of what nothing names, leases that spare instances double work.
//! A bucket that lacks all of it for a while is only larger, and its instances busier.

pub mod lease;
pub mod left;
pub mod sweep;
