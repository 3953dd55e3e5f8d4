//! The shape of a bucket: what all who write to it agree on.
//!
//! `value` is what is compared, `document` its text in the bucket, `canonical` makes one text of every spelling.

mod canonical;
mod change;
mod document;
mod migration;
#[cfg(test)]
mod tests;
mod value;

pub use self::change::{Change, OF_FOLDERS};
pub use self::document::SCHEMA;
pub use self::migration::{Migration, layout_of, layout_text};
pub use self::value::{
    BUCKET_FILE, Changed, Difference, SIGNING_KEYS, Shape, Signs, fingerprints, settings_of_buckets,
};
