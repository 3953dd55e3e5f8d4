//! What librpm asks of both headers together, when it puts tags of the signature header into the main
//! one to answer questions from there.

use super::entry::Entry;
use super::error::{Fault, HeaderError, Section};
use super::table::Header;
use crate::tag::{self, signature as tags};

/// Values that a tag of the signature header has at most, where librpm knows the tag.
const VALUES_MAX: u32 = 16 << 20;

/// Tags that may stand in either header, but not in both: by their numbers in the signature header
/// and in the main one.
const EITHER: [(tag::Tag, tag::Tag); 3] = [
    (tags::PAYLOADSIZE, tag::ARCHIVESIZE),
    (tags::FILESIGNATURES, tag::FILESIGNATURES),
    (tags::FILESIGNATURELENGTH, tag::FILESIGNATURELENGTH),
];

/// Tags that the main header gets from the signature header, by the numbers they have there then.
const ONLY_SIGNATURE: [tag::Tag; 14] = [
    tag::SIGSIZE,
    tag::SIGPGP,
    tag::SIGMD5,
    tag::SIGGPG,
    tags::DSA,
    tags::RSA,
    tags::SHA1,
    tags::LONGSIZE,
    tags::LONGARCHIVESIZE,
    tags::SHA256,
    tags::VERITYSIGNATURES,
    tags::VERITYSIGNATUREALGO,
    tags::OPENPGP,
    tags::SHA3_256,
];

/// Digests and signatures: librpm judges by the first of a tag, even where another replaces it.
pub(super) const JUDGED: [tag::Tag; 10] = [
    tags::SHA1,
    tags::SHA256,
    tags::SHA3_256,
    tags::MD5,
    tags::DSA,
    tags::RSA,
    tags::OPENPGP,
    tags::PGP,
    tags::GPG,
    tags::PGP5,
];

/// Refuses two headers that librpm would not put together.
pub(super) fn check(signature: &Header<'_>, main: &Header<'_>) -> Result<(), HeaderError> {
    signature.check_types().map_err(|fault| Section::Signature.error(fault))?;
    let fault = |tag: tag::Tag, problem| Section::Main.error(Fault::BadEntry { tag: tag.number(), problem });
    if let Some(tag) = ONLY_SIGNATURE.into_iter().find(|tag| main.has(*tag)) {
        return Err(fault(tag, "a tag of the signature header"));
    }
    match EITHER.into_iter().find(|(there, here)| main.has(*here) && signature.has(*there)) {
        Some((_, here)) => Err(fault(here, "it is in both headers")),
        None => Ok(()),
    }
}

impl Header<'_> {
    /// Checks the types of what librpm reads of a signature header.
    fn check_types(&self) -> Result<(), Fault> {
        for (at, entry) in self.entries().enumerate() {
            let Some((kind, count)) = tag::signature_kind(entry.tag) else { continue };
            if self.is_replaced(at, entry) && !JUDGED.iter().any(|tag| tag.number() == entry.tag) {
                continue;
            }
            let bad = |problem| Err(Fault::BadEntry { tag: entry.tag, problem });
            if entry.kind != kind {
                return bad("not of the type that rpm gives it");
            }
            if entry.count > VALUES_MAX || count.is_some_and(|count| entry.count != count) {
                return bad("not as many values as rpm wants");
            }
        }
        Ok(())
    }

    /// Whether an entry of the region is replaced by one behind it.
    fn is_replaced(&self, at: usize, entry: Entry) -> bool {
        at < self.in_region && self.entries().skip(self.in_region).any(|other| other.tag == entry.tag)
    }

    /// The first of a tag's numbers as librpm tells it: what stands behind the region replaces what
    /// stands in it.
    pub(crate) fn loaded_integer(&self, tag: tag::Tag) -> Option<u64> {
        let mut behind = self.entries().skip(self.in_region);
        match behind.find(|entry| entry.tag == tag.number()) {
            Some(entry) => self.integers_of(entry)?.next(),
            None => self.integer(tag),
        }
    }
}
