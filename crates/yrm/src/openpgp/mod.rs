//! OpenPGP: keys, and signatures over metadata. Knows nothing of stores or repositories, and reads no
//! clock: when a signature is made is an argument.

pub mod key;
pub mod sign;
