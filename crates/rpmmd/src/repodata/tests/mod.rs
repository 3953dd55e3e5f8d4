//! What holds for any packages and any sequence of changes.

mod blocks;
mod changes;
mod documents;
mod packages;
mod prefix;
mod repodata;
mod stream;
