//! OpenPGP: keys, what they sign, and whose signatures are believed. Bytes to answers: knows nothing of
//! stores or repositories, and reads no clock. Only a key in KMS is asked over the network.

mod draft;
pub mod key;
pub mod keyring;
mod kms;
mod material;
pub mod sign;
pub mod verify;
