//! The publish line over a bucket in memory: what a run does, and what it survives.

mod adopted;
mod beforehand;
mod bounded;
mod cached;
mod client_files;
mod defects;
mod directory;
mod heal;
mod hostile;
mod keeping;
mod laid_out;
mod leftovers;
mod mirrored;
mod modules;
mod orphans;
mod races;
mod rooted;
mod run;
mod scale;
mod settings;
mod shared;
mod signed;
mod taken_over;
mod watch;
pub(crate) mod world;
