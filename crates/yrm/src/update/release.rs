//! What `scripts/release` puts at a bucket's root, and when it is to be believed. Only computes.
//!
//! `deploy/boot` reads the same three objects by the same rules; the two must stay alike.

use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier as _;
use rpmmd::checksum::Sha256;

use crate::config::ReleaseKey;

/// A list of digests has five short lines.
pub(super) const MAX_MANIFEST_BYTES: u64 = 64 << 10;
/// A signature in DER has some 70 bytes.
pub(super) const MAX_SIGNATURE_BYTES: u64 = 1 << 10;
/// Several times the largest program there was, with all its symbols.
pub(super) const MAX_PROGRAM_BYTES: u64 = 512 << 20;

/// The names of a release's objects. They lie at the bucket's root, whatever the prefix below
/// which yrm works, and nothing here writes them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The program.
    pub(super) program: String,
    /// Digests, as `sha256sum` prints them.
    pub(super) manifest: String,
    /// The signature over those.
    pub(super) signature: String,
}

impl Names {
    /// The names for machines of `arch` (`x86_64`, `aarch64`: what `uname -m` says).
    pub(super) fn of(arch: &str) -> Self {
        let name = |suffix| format!("yrm-{arch}{suffix}");
        Self { program: name(""), manifest: name(".sha256"), signature: name(".sig") }
    }
}

/// The digest that `manifest` gives for `name`; the error says why there is none.
pub(super) fn digest_in(manifest: &[u8], name: &str) -> Result<Sha256, &'static str> {
    let manifest = std::str::from_utf8(manifest).map_err(|_| "the list of digests is no text")?;
    let mut found = manifest.lines().filter_map(|line| line.split_once("  ").filter(|(_, listed)| *listed == name));
    match (found.next(), found.next()) {
        (None, _) => Err("the list of digests does not name the program"),
        (Some(_), Some(_)) => Err("the list of digests names the program twice"),
        (Some((digest, _)), None) => digest.parse().map_err(|_| "the list of digests has no SHA-256 for the program"),
    }
}

/// Whether `key` signed `manifest`: ECDSA over its SHA-256, in DER, as `openssl dgst -sign` writes it.
pub(super) fn is_signed(key: &ReleaseKey, manifest: &[u8], signature: &[u8]) -> bool {
    Signature::from_der(signature).is_ok_and(|signature| key.verify(manifest, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_digest_is_taken_from_one_line_of_exactly_that_name() {
        let manifest = |lines: &[&str]| lines.join("\n");
        let sound = manifest(&[&format!("{}  yrm.service", "0".repeat(64)), &format!("{DIGEST}  yrm-x86_64"), ""]);
        assert_eq!(digest_in(sound.as_bytes(), "yrm-x86_64").unwrap().to_string(), DIGEST);
        for (lines, why) in [
            (&[][..], "does not name"),
            (&[&format!("{DIGEST}  yrm-aarch64")[..]], "does not name"),
            (&[&format!("{DIGEST}  ../yrm-x86_64")], "does not name"),
            (&[&format!("{DIGEST} yrm-x86_64")], "does not name"),
            (&[&format!("{DIGEST}  yrm-x86_64 ")], "does not name"),
            (&[&format!("{DIGEST}  yrm-x86_64"), &format!("{DIGEST}  yrm-x86_64")], "twice"),
            (&["abc  yrm-x86_64"], "no SHA-256"),
            (&[&format!("{DIGEST}0  yrm-x86_64")], "no SHA-256"),
        ] {
            let complaint = digest_in(manifest(lines).as_bytes(), "yrm-x86_64").unwrap_err();
            assert!(complaint.contains(why), "{lines:?}: {complaint}");
        }
        assert!(digest_in(b"\xff", "yrm-x86_64").is_err());
    }

    #[test]
    fn only_the_whole_list_signed_by_the_key_counts() {
        let keys = [1_u8, 2].map(|seed| SigningKey::from_slice(&[seed; 32]).unwrap());
        let signature: Signature = keys[0].sign(b"a list");
        let der = signature.to_der().to_bytes();
        let public = |at: usize| ReleaseKey::from(&keys[at]);
        assert!(is_signed(&public(0), b"a list", &der));
        assert!(!is_signed(&public(1), b"a list", &der));
        assert!(!is_signed(&public(0), b"a list ", &der));
        assert!(!is_signed(&public(0), b"a list", &der[..der.len() - 1]));
        assert!(!is_signed(&public(0), b"a list", &[&der[..], b"\0"].concat()));
        assert!(!is_signed(&public(0), b"a list", &signature.to_bytes()), "not in DER");
        assert!(!is_signed(&public(0), b"a list", b""));
    }
}
