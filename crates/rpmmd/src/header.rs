//! Reads the start of an RPM file: lead, signature header, main header.
//!
//! Works on however many bytes of the file have arrived and says how many it needs. Copies
//! nothing, believes nothing: limits are librpm's and [`MAX_HEADERS_BYTES`], every offset and
//! count is checked before it is used (those in an index before its data is asked for), and no
//! memory is reserved for what a header merely claims. Never looks at the payload. What the
//! tags mean is [`crate::package`]'s business.

mod entry;
mod error;
mod merge;
mod region;
mod sign;
mod table;
mod value;

#[cfg(test)]
mod tests;

use sha2::Digest as _;

use self::entry::Limits;
pub use self::error::{Fault, HeaderError, Reason, Section};
pub use self::sign::{HeaderSignature, Unsignable};
use self::table::Piece;
pub use self::table::{Header, MAX_HEADERS_BYTES};
pub use self::value::{Integers, Texts};
use crate::checksum::Sha256;
use crate::tag::{self, Tag};

const LEAD_BYTES: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// `RPMSIGTYPE_HEADERSIG`, the only kind of signature there has been since rpm 3.
const LEAD_HEADER_SIGNATURE: u16 = 5;
const SIGNATURE_LIMITS: Limits =
    Limits { section: Section::Signature, region: tag::HEADERSIGNATURES, entries: 32, data_bytes: 64 << 20 };
const MAIN_LIMITS: Limits =
    Limits { section: Section::Main, region: tag::HEADERIMMUTABLE, entries: 0xffff, data_bytes: 256 << 20 };

/// The answer to a prefix of a file.
#[derive(Debug, Clone, Copy)]
pub enum Parsed<'a> {
    /// Both headers are there and sound.
    Ready(HeaderFile<'a>),
    /// So many bytes from the file's start are needed before more can be said: always more than
    /// were given. A file that is shorter than this is truncated.
    Needs(u64),
}

/// The two headers of a file, and where the main one stands.
#[derive(Debug, Clone, Copy)]
pub struct HeaderFile<'a> {
    /// The signature header: sizes, digests and signatures over what follows it.
    pub signature: Header<'a>,
    /// The main header: the package's description.
    pub main: Header<'a>,
    /// First byte of the main header in the file.
    pub header_start: u64,
    /// First byte after the main header: where the payload starts.
    pub header_end: u64,
    /// The first bytes, up to the signature header.
    lead: &'a [u8],
}

/// Digests that [`HeaderFile::verify_header_digests`] found in the signature header and found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedDigests {
    /// SHA3-256 of the main header (version 6).
    pub sha3_256: bool,
    /// SHA-256 of the main header.
    pub sha256: bool,
    /// SHA-1 of the main header.
    pub sha1: bool,
}

impl<'a> HeaderFile<'a> {
    /// Parses the first bytes of a file. `prefix` may be longer than needed, or the whole file.
    pub fn parse_prefix(prefix: &'a [u8]) -> Result<Parsed<'a>, HeaderError> {
        check_lead(prefix)?;
        let (signature, signature_end) = match Header::parse(prefix, LEAD_BYTES, &SIGNATURE_LIMITS)? {
            Piece::Ready(header, end) => (header, end),
            Piece::Needs(bytes) => return Ok(Parsed::Needs(bytes as u64)),
        };
        // Only the signature header is padded.
        let header_start = signature_end.next_multiple_of(8);
        let (main, header_end) = match Header::parse(prefix, header_start, &MAIN_LIMITS)? {
            Piece::Ready(header, end) => (header, end),
            Piece::Needs(bytes) => return Ok(Parsed::Needs(bytes as u64)),
        };
        merge::check(&signature, &main)?;
        let (lead, header_start, header_end) = (&prefix[..LEAD_BYTES], header_start as u64, header_end as u64);
        Ok(Parsed::Ready(Self { signature, main, header_start, header_end, lead }))
    }

    /// How long the file should be: by its signature header (main header and payload, LONGSIZE
    /// or SIZE), or by its main header (payload, PAYLOADSIZE) in version 6; `None` when neither
    /// says or what they say is nonsense.
    pub fn expected_file_bytes(&self) -> Option<u64> {
        let signed = |tag| self.signature.loaded_integer(tag);
        match signed(tag::signature::LONGSIZE).or_else(|| signed(tag::signature::SIZE)) {
            Some(content) => self.header_start.checked_add(content),
            None => self.header_end.checked_add(self.main.integer(tag::PAYLOADSIZE)?),
        }
    }

    /// SHA-256 of the compressed payload, when the header has it (rpm 4.14 and later).
    pub fn payload_sha256(&self) -> Option<Sha256> {
        // OpenPGP's number of SHA-256; no other was ever written here.
        const SHA256: u64 = 8;
        if self.main.integer(tag::PAYLOADDIGESTALGO).unwrap_or(SHA256) != SHA256 {
            return None;
        }
        let mut digests =
            self.main.strings(tag::PAYLOADDIGEST)?.map(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let first: Sha256 = digests.next()??;
        // rpm compares the payload with each.
        digests.all(|other| other == Some(first)).then_some(first)
    }

    /// The package has no immutable region: it was built before rpm 4.
    pub fn is_v3(&self) -> bool {
        !self.main.has_region
    }

    /// Compares the main header with the SHA3-256, SHA-256 and SHA-1 that the signature header has of it.
    /// One that is absent is not an error: the answer says what was there.
    pub fn verify_header_digests(&self) -> Result<VerifiedDigests, HeaderError> {
        let sha3_256 =
            self.verify(tag::signature::SHA3_256, |bytes| <sha3::Sha3_256 as sha3::Digest>::digest(bytes).to_vec())?;
        let sha256 = self.verify(tag::signature::SHA256, |bytes| sha2::Sha256::digest(bytes).to_vec())?;
        let sha1 = self.verify(tag::signature::SHA1, |bytes| sha1::Sha1::digest(bytes).to_vec())?;
        Ok(VerifiedDigests { sha3_256, sha256, sha1 })
    }

    /// Refuses what rpm does not install, whatever the bytes are: a header or a payload that no digest in
    /// the file stands for, and a payload digest that rpm cannot read.
    pub fn check_digests(&self) -> Result<(), HeaderError> {
        use tag::signature as tags;
        let refuse = |section: Section, problem| Err(section.error(Fault::NoDigest(problem)));
        let both = self.signature.has(tags::MD5);
        let header = [tags::SHA1, tags::SHA256, tags::SHA3_256].into_iter().any(|tag| self.signature.has(tag));
        if !header && !both {
            return refuse(Section::Signature, "no digest of the main header");
        }
        if !self.main.has(tag::PAYLOADDIGEST) {
            // Of what rpm compares with the payload as it lies there, and finds wrong.
            if self.main.has(tag::PAYLOADDIGESTALT) {
                return refuse(Section::Main, "a digest of the uncompressed payload alone");
            }
            // rpm 6 has digests by other hashes, and always this one or SHA-3 beside them.
            let later = [tag::PAYLOADSHA512, tag::PAYLOADSHA3_256].into_iter().any(|tag| self.main.has(tag));
            return if both || later { Ok(()) } else { refuse(Section::Main, "no digest of the payload") };
        }
        match self.payload_sha256() {
            Some(_) => Ok(()),
            None => refuse(Section::Main, "a payload digest that is no SHA-256"),
        }
    }

    fn verify(&self, tag: Tag, digest: impl Fn(&[u8]) -> Vec<u8>) -> Result<bool, HeaderError> {
        let Some(stated) = self.signature.text(tag) else { return Ok(false) };
        let actual = digest(self.main.bytes);
        let hex =
            actual.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[usize::from(digit)]);
        if stated.iter().map(u8::to_ascii_lowercase).eq(hex) {
            Ok(true)
        } else {
            Err(Section::Main.error(Fault::DigestMismatch { tag }))
        }
    }
}

/// Refuses what cannot be an RPM as soon as a byte shows it.
fn check_lead(prefix: &[u8]) -> Result<(), HeaderError> {
    if prefix.iter().zip(LEAD_MAGIC).any(|(byte, magic)| *byte != magic) {
        return Err(Section::Lead.error(Fault::NotRpm));
    }
    // rpm 6 writes what rpm 4 does here; librpm takes 3 and 4.
    if let Some(major) = prefix.get(4)
        && !(3..=4).contains(major)
    {
        return Err(Section::Lead.error(Fault::UnsupportedVersion { major: *major }));
    }
    if let Some(kind) = prefix.get(78..80)
        && kind != LEAD_HEADER_SIGNATURE.to_be_bytes()
    {
        return Err(Section::Lead.error(Fault::UnsupportedSignatureType));
    }
    Ok(())
}
