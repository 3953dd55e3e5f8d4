//! From a plan to a won switch and what follows it. Until the switch nobody sees what is done here; after it nothing is
//! missing, and whoever looks next finishes what a crash has left.

pub mod admit;
mod answer;
pub mod copies;
pub mod pair;
pub mod render;
mod signed;
pub mod switch;
pub mod tidy;
pub mod upload;
