//! Tests of the whole, in one binary.

mod equality;
mod floors;
