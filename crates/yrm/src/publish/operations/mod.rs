//! What operators want of a bucket: to take packages out, to go back to an earlier generation, to put packages of one
//! folder into another too, to let out of quarantine.

pub mod errand;
pub(crate) mod orphans;
pub(crate) mod promote;
pub mod release;
pub mod rollback;
pub mod settings;
