//! What is thought of an upload: read, judged by the gate's rules, described, and told apart from what is published
//! already. Reads only; the signature that a package may get here is made, and nobody has it yet.

pub(crate) mod again;
mod archived;
pub(crate) mod beside;
pub(crate) mod blocked;
mod check;
mod describe;
mod held;
pub(crate) mod judge;
pub(crate) mod long;
mod modules;
pub mod preview;
pub mod read;
mod recognize;
pub(crate) mod signed;
mod standing;
