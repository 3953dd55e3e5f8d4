//! Who signed it: real keys by gpg, packages signed by rpmsign or byte by byte, and what `rpmkeys`
//! says of the same files.

mod corpus;
mod damage;
mod file_signatures;
mod folders;
mod gate;
mod header_mutants;
mod layout;
mod mutations;
mod resign;
mod signers;
mod verbs;
