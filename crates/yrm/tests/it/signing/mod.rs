//! Signed metadata with real parts: gpg's keys and judgement, and dnf with `repo_gpgcheck=1`.

mod clients;
mod gateway;
mod gpg;
#[cfg(feature = "aws")]
mod kms;
mod mirrorlist;
mod packages;
mod tagged;
