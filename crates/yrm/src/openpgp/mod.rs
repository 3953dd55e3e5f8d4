//! OpenPGP: keys, what they sign, and whose signatures are believed. Bytes to answers: knows nothing of
//! stores or repositories, and reads no clock.

pub mod key;
pub mod keyring;
pub mod sign;
pub mod verify;
