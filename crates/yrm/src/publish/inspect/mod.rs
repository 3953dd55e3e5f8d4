//! What is thought of an upload: read, judged by the gate's rules, described, and told apart from what is published
//! already. Reads only; the signature that a package may get here is made, and nobody has it yet.

pub(crate) mod archived;
mod check;
mod describe;
pub mod long;
mod modules;
pub mod read;
mod recognize;
pub(crate) mod signed;
mod standing;
