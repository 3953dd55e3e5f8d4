//! Signatures and keys with every bit turned, and cut everywhere: an answer each time, and never a
//! package let in by a key that did not sign it.

use std::sync::Arc;

use forge::{Rpm, Value};
use rpmmd::header::{HeaderFile, Parsed};
use yrm::openpgp::keyring::Keyring;
use yrm::openpgp::verify::{Fault, Refusal, Signed, Trust, Verification};

use super::signers::{Signer, Signers, parts};

fn package() -> Rpm {
    Rpm::new("damaged", "1.0", "1", "noarch")
}

fn verified(signature: Vec<u8>, keyring: &Arc<Keyring>) -> Result<Signed, Refusal> {
    let tag = rpmmd::tag::signature::DSA.number();
    let file = package().signature_tag(tag, Value::Bytes(signature)).build();
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(&file) else { panic!("no package") };
    let trust = Trust { keyring: Arc::clone(keyring), only: None, now: jiff::Timestamp::now() };
    Verification::begin(&file, trust).finish(true)
}

/// Every bit turned, and every length but the whole.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let turned = (0..bytes.len() * 8).map(|bit| {
        let mut turned = bytes.to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        turned
    });
    turned.chain((1..bytes.len()).map(|length| bytes[..length].to_vec()))
}

#[test]
fn damaged_signatures_and_keys_get_an_answer_and_let_nobody_else_in() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Ecdsa]);
    let signature = by.sign(Signer::Ed25519, parts(&package().build()).0, &[]);
    let exported = by.binary_public_key(Signer::Ed25519);
    let keyring = Arc::new(Keyring::parse(&exported).unwrap());
    let signer = by.fingerprint(Signer::Ed25519);
    assert_eq!(verified(signature.clone(), &keyring).unwrap().by.as_str(), signer);

    // What nobody signs (hints at the key) may be turned without harm; nothing else may.
    let mut taken = 0;
    for signature in damaged(&signature) {
        taken += usize::from(verified(signature, &keyring).is_ok_and(|signed| signed.by.as_str() == signer));
    }
    assert!(taken < 120, "{taken} of {} are taken", signature.len() * 9);

    let other = Keyring::parse(&by.binary_public_key(Signer::Ecdsa)).unwrap();
    assert_eq!(verified(signature.clone(), &Arc::new(other)).unwrap_err().fault, Fault::UnknownKey);
    for key in damaged(&exported) {
        let Ok(keyring) = Keyring::parse(&key) else { continue };
        if let Ok(signed) = verified(signature.clone(), &Arc::new(keyring)) {
            assert_eq!(signed.by.as_str(), signer, "another key is said to have signed");
        }
    }
}
