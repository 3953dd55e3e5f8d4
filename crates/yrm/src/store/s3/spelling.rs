//! How S3 spells keys, ETags, digests and times on the wire.

use std::fmt::Write as _;

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;

use crate::store::ETag;

/// `x-amz-copy-source`, which the SDK sends as it is given (an unencoded `libstdc++` is read as `libstdc  `). Of an access
/// point's ARN it is a resource.
pub(super) fn copy_source(bucket: &str, key: &str) -> String {
    let kind = if bucket.starts_with("arn:") { "object/" } else { "" };
    format!("{bucket}/{kind}{}", path(key))
}

/// A key as a part of an address that is signed: every byte but the unreserved ones and the slash is encoded, once.
pub(super) fn path(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + key.len() / 4);
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes any text");
        }
    }
    text
}

/// A key of a listing with `encoding-type=url`: form encoding, so `+` is a space. `None` when it
/// is no such text or not UTF-8.
pub(super) fn listed_key(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(0)? << 4 | digit(1)?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Without quotes: some servers quote in one answer and not in another.
pub(super) fn etag(text: &str) -> ETag {
    ETag::new(text.trim_matches('"'))
}

/// As conditions want it.
pub(super) fn quoted(etag: &ETag) -> String {
    format!("\"{etag}\"")
}

/// A digest as headers want it.
pub(super) fn digest(sha256: &Sha256) -> String {
    STANDARD.encode(sha256.as_bytes())
}

/// The whole object's SHA-256, if that is what the store sent: 32 bytes, no `-N` of a multipart
/// upload, not declared composite.
pub(super) fn whole_sha256(text: Option<&str>, kind: Option<&ChecksumType>) -> Option<Sha256> {
    if kind.is_some_and(|kind| *kind != ChecksumType::FullObject) {
        return None;
    }
    let bytes = STANDARD.decode(text?).ok()?;
    Some(Sha256::from_bytes(bytes.try_into().ok()?))
}

/// An SDK time.
pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_source_encodes_all_but_unreserved_bytes_and_slashes() {
        assert_eq!(copy_source("b", "a/p+~^ %2B#ü.rpm"), "b/a/p%2B~%5E%20%252B%23%C3%BC.rpm");
        let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/rpms";
        assert_eq!(copy_source(point, "a/b+c"), format!("{point}/object/a/b%2Bc"));
    }

    #[test]
    fn listed_keys_are_form_decoded_and_bad_ones_are_none() {
        assert_eq!(listed_key("a/p%2B~%5E+%252B%23%C3%bc.rpm").unwrap(), "a/p+~^ %2B#ü.rpm");
        assert_eq!(listed_key("%01%0A").unwrap(), "\u{1}\n");
        for bad in ["%", "%1", "%zz", "%+1", "%FF"] {
            assert_eq!(listed_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_whole_objects_digest_is_taken() {
        let sha256 = Sha256::of(b"abc");
        let text = digest(&sha256);
        assert_eq!(whole_sha256(Some(&text), None), Some(sha256));
        assert_eq!(whole_sha256(Some(&text), Some(&ChecksumType::FullObject)), Some(sha256));
        assert_eq!(whole_sha256(Some(&text), Some(&ChecksumType::Composite)), None);
        assert_eq!(whole_sha256(Some(&format!("{text}-2")), None), None);
        assert_eq!(whole_sha256(Some("AAAA"), None), None);
        assert_eq!(whole_sha256(None, None), None);
    }
}
