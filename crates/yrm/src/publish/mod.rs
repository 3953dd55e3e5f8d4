//! One run: observe → inspect → plan → admit → render → upload → switch → tidy.

pub mod report;
