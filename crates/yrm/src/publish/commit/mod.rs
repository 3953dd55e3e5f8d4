//! From a plan to a won switch and what follows it. Until the switch nobody sees what is done here; after it nothing is
//! missing, and whoever looks next finishes what a crash has left.

pub mod admit;
mod answer;
pub(crate) mod answers;
pub mod copies;
pub(crate) mod keep;
pub(crate) mod next;
pub mod pair;
mod place;
pub(crate) mod prepare;
pub mod render;
mod signed;
pub mod switch;
pub(crate) mod tidy;
pub mod upload;
