//! What operators want of a bucket: to take packages out, to go back to an earlier generation, to put packages of one
//! folder into another too, to let out of quarantine.

pub mod block;
pub(crate) mod document;
pub mod errand;
pub mod hold;
pub(crate) mod orphans;
pub(crate) mod promote;
pub(crate) mod purge;
pub mod release;
pub mod rollback;
pub mod settings;
pub(crate) mod tag;
pub mod token;
pub(crate) mod whole;
