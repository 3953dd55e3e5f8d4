//! A public key and a signature as KMS hands them out (DER), and as OpenPGP has them. Only computes.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{self, PacketHeader};
use pgp::ser::Serialize as _;
use pgp::types::{Mpi, SignatureBytes, Tag};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const NULL: u8 = 0x05;

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const NIST_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const NIST_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// The kinds of key that sign: in KMS and OpenPGP alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RSA, PKCS #1 1.5.
    Rsa,
    /// ECDSA over NIST P-256.
    P256,
    /// ECDSA over NIST P-384.
    P384,
}

impl Kind {
    /// The hash it signs. A curve's is as long as the curve: KMS takes no other.
    pub(super) fn hash(self) -> HashAlgorithm {
        match self {
            Self::Rsa => HashAlgorithm::Sha512,
            Self::P256 => HashAlgorithm::Sha256,
            Self::P384 => HashAlgorithm::Sha384,
        }
    }

    /// A signature as KMS answers it; `None` when that is none.
    pub(super) fn signature(self, answer: &[u8]) -> Option<SignatureBytes> {
        let numbers = match self {
            Self::Rsa => vec![Mpi::from_slice(answer)],
            Self::P256 | Self::P384 => {
                let mut both = whole(answer, SEQUENCE)?;
                let (r, s) = (take(&mut both, INTEGER)?, take(&mut both, INTEGER)?);
                both.is_empty().then(|| vec![Mpi::from_slice(r), Mpi::from_slice(s)])?
            }
        };
        Some(SignatureBytes::Mpis(numbers))
    }
}

/// The OpenPGP key of version 4 that was made at `created` (seconds since 1970) from a
/// SubjectPublicKeyInfo; `None` when that is no key of these kinds. The same whenever it is made.
pub(super) fn public_key(info: &[u8], created: u32) -> Option<(packet::PublicKey, Kind)> {
    let mut info = whole(info, SEQUENCE)?;
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let bits = take(&mut info, BIT_STRING)?;
    // The first byte counts the bits that are missing at the end.
    let bits = bits.strip_prefix(&[0]).filter(|_| info.is_empty())?;
    let mut body = vec![4];
    body.extend(created.to_be_bytes());
    let name = take(&mut algorithm, OBJECT_ID)?;
    let kind = if name == RSA {
        take(&mut algorithm, NULL)?;
        let mut numbers = whole(bits, SEQUENCE)?;
        let (modulus, exponent) = (take(&mut numbers, INTEGER)?, take(&mut numbers, INTEGER)?);
        if !numbers.is_empty() {
            return None;
        }
        body.push(1);
        number(modulus, &mut body)?;
        number(exponent, &mut body)?;
        Kind::Rsa
    } else if name == ELLIPTIC {
        let curve = take(&mut algorithm, OBJECT_ID)?;
        let (kind, length) = match curve {
            NIST_P256 => (Kind::P256, 65),
            NIST_P384 => (Kind::P384, 97),
            _ => return None,
        };
        // Uncompressed.
        if bits.len() != length || bits[0] != 4 {
            return None;
        }
        body.extend([19, u8::try_from(curve.len()).ok()?]);
        body.extend(curve);
        number(bits, &mut body)?;
        kind
    } else {
        return None;
    };
    let header = PacketHeader::new_fixed(Tag::PublicKey, u32::try_from(body.len()).ok()?);
    let key = packet::PublicKey::try_from_reader(header, body.as_slice()).ok()?;
    algorithm.is_empty().then_some((key, kind))
}

fn number(bytes: &[u8], body: &mut Vec<u8>) -> Option<()> {
    Mpi::from_slice(bytes).to_writer(body).ok()
}

/// What the one value with this tag holds that `bytes` are.
fn whole(mut bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let value = take(&mut bytes, tag)?;
    bytes.is_empty().then_some(value)
}

/// What the value with this tag holds that `bytes` begin with; it is taken off them.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ ..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // No key is that long.
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use pgp::types::KeyDetails as _;

    use super::*;

    /// `openssl genpkey | openssl pkey -pubout`.
    const OF_P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEor8OjwJFj15lwnI7OaRw3SPC+IZc/jmmc9qhNpe65A2DtlfbY7d5HABbhx4qDIIk339VOGdLd95M/aTZ1M1Og==";
    const OF_P384: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEtQiOG8fMePi6nfTWTgPONBbo6MTfS17JYJ2VX2vtRRqWPsIFS+ltG7J3H8Gp9+AaXlumdKOIyqpyDUf/5ISFQkM7y8eVVDX9G3elAN2n3Nu2g4GqAvsFypVZ91zped2l";
    const OF_RSA: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuoyJXsCrLz/nVIf8j9TzUkbLateUH7BItzKGM+Jvs1nzQ26J8Gw0d8V9p6KNh+oYBxAgqPiPIbEjb0LbkYwy/vOBORm855fpTydxj9VZsfcJPG2nZR0pvuB6nHDWbT/2SU2gFw507KmcAesEawPM/ISppU47x8FiY8/L09NFE9lVV7TToXg+zLyvecrxBuMK+80Cxkau/gugvd0rKBMGjKFUUNNq6ILUtEYt7HOCyDBisnhKegdHIf+kNyKTseZ92CoLOWZkExKz/yOhD3jw761MvVnybLUrZEA/RBWH2Dl6lDoKt9wYBbmOtW7Af+vXwNYwUd6/K1/1/m+stAxdiQIDAQAB";

    fn decoded(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    #[test]
    fn a_key_is_the_same_whenever_it_is_made_and_another_one_at_another_time() {
        for (text, kind) in [(OF_P256, Kind::P256), (OF_P384, Kind::P384), (OF_RSA, Kind::Rsa)] {
            let info = decoded(text);
            let (key, found) = public_key(&info, 1_700_000_000).unwrap();
            assert_eq!((found, key.created_at().as_secs()), (kind, 1_700_000_000));
            assert_eq!(public_key(&info, 1_700_000_000).unwrap().0, key);
            assert_ne!(public_key(&info, 1_700_000_001).unwrap().0.fingerprint(), key.fingerprint());
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_no_key() {
        for text in [OF_P256, OF_P384, OF_RSA] {
            let info = decoded(text);
            assert!((0..info.len()).all(|length| public_key(&info[..length], 0).is_none()));
            assert!(public_key(&[&info[..], &[0]].concat(), 0).is_none());
        }
        // A point that is not on the curve.
        let mut info = decoded(OF_P256);
        *info.last_mut().unwrap() ^= 1;
        assert!(public_key(&info, 0).is_none());
    }

    #[test]
    fn a_damaged_key_never_ends_the_program() {
        for text in [OF_P256, OF_P384, OF_RSA] {
            let info = decoded(text);
            for at in 0..info.len() {
                for byte in [0, 1, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xff] {
                    let mut damaged = info.clone();
                    damaged[at] = byte;
                    let _ = public_key(&damaged, 0);
                }
            }
        }
    }

    #[test]
    fn a_signature_over_a_curve_is_two_numbers() {
        let answer = [0x30, 0x07, 0x02, 0x02, 0x00, 0x81, 0x02, 0x01, 0x05];
        let numbers = vec![Mpi::from_slice(&[0x81]), Mpi::from_slice(&[5])];
        assert_eq!(Kind::P256.signature(&answer), Some(SignatureBytes::Mpis(numbers)));
        for length in 0..answer.len() {
            assert_eq!(Kind::P384.signature(&answer[..length]), None);
        }
        assert_eq!(Kind::P256.signature(&[&answer[..], &[0]].concat()), None);
        assert_eq!(Kind::Rsa.signature(&[0, 7]), Some(SignatureBytes::Mpis(vec![Mpi::from_slice(&[7])])));
    }
}
