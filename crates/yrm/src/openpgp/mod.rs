//! OpenPGP: keys, and what they sign. Bytes to answers; nothing here asks a store or a clock.

pub mod keyring;
pub mod verify;
