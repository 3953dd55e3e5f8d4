use futures::FutureExt as _;

use super::*;
use crate::openpgp::key::{Algorithm, Made, generate};

const AT: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn made(passphrase: Option<&str>) -> Made {
    generate(Algorithm::Ed25519, "tests", AT, passphrase).unwrap()
}

fn signer(keys: &[&Made], with: SignWith) -> Signer {
    let keys = keys.iter().map(|made| SecretKey::read(made.secret.as_bytes(), None).unwrap()).collect();
    Signer::new(keys, with, "tests".to_owned()).unwrap()
}

/// The signature over `bytes`; keys in files need nobody's answer.
fn signed(signer: &Signer, bytes: &[u8], at: Timestamp) -> Bytes {
    let begun = signer.begin(bytes, at).unwrap();
    signer.finish(begun).now_or_never().unwrap().unwrap()
}

#[test]
fn a_signature_is_good_for_its_bytes_and_key_alone() {
    let (mine, other) = (made(None), made(None));
    let signer = signer(&[&mine], SignWith::First);
    let signature = signed(&signer, b"metadata", AT);
    assert!(signer.has_signed(b"metadata", &signature));
    assert!(mine.key.has_signed(b"metadata", &signature));
    assert!(!mine.key.has_signed(b"other metadata", &signature));
    assert!(!other.key.has_signed(b"metadata", &signature));
    assert!(!mine.key.has_signed(b"metadata", b"no signature"));
    assert!(!mine.key.has_signed(b"metadata", b""));
}

#[test]
fn the_first_key_signs_alone_or_first() {
    let (old, new) = (made(None), made(None));
    let alone = signed(&signer(&[&old, &new], SignWith::First), b"m", AT);
    let both = signed(&signer(&[&old, &new], SignWith::All), b"m", AT);
    assert!(both.len() > alone.len() + 100);
    for signature in [&alone, &both] {
        assert!(old.key.has_signed(b"m", signature) && !new.key.has_signed(b"m", signature));
    }
    let turned = signed(&signer(&[&new, &old], SignWith::All), b"m", AT);
    assert!(new.key.has_signed(b"m", &turned) && !old.key.has_signed(b"m", &turned));
}

#[test]
fn the_key_file_holds_every_key_in_order() {
    let (old, new) = (made(None), made(None));
    let file = signer(&[&old, &new], SignWith::First).key_file().unwrap();
    assert_eq!(PublicKey::read_all(&file).unwrap(), [old.key, new.key]);
}

#[test]
fn a_locked_key_wants_its_passphrase() {
    let locked = made(Some("open sesame"));
    let key = SecretKey::read(locked.secret.as_bytes(), Some("open sesame")).unwrap();
    assert_eq!(key.public().fingerprint(), locked.key.fingerprint());
    for wrong in [None, Some("open barley")] {
        let error = SecretKey::read(locked.secret.as_bytes(), wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint_text().unwrap().contains("signing-passphrase-file"), "{error:?}");
        assert!(!format!("{error:?}").contains("barley"));
    }
}

#[test]
fn what_is_no_secret_key_is_said_to_be_none() {
    let made = made(None);
    for text in ["", "hello", &made.public, &made.secret[..made.secret.len() / 2]] {
        assert_eq!(SecretKey::read(text.as_bytes(), None).unwrap_err().kind(), ErrorKind::Config);
    }
}

#[test]
fn a_secret_is_never_shown() {
    let made = made(None);
    let signer = signer(&[&made], SignWith::First);
    let shown = format!("{made:?} {signer:?}");
    assert!(shown.contains(&made.key.fingerprint()) && shown.len() < 300, "{shown}");
}

#[test]
fn a_signature_is_never_older_than_its_key() {
    let made = made(None);
    let signer = signer(&[&made], SignWith::First);
    let early = AT - jiff::SignedDuration::from_hours(1);
    assert!(signer.has_signed(b"m", &signed(&signer, b"m", early)));
    assert_eq!(signed(&signer, b"m", early), signed(&signer, b"m", AT));
    assert_eq!((made.key.created(), made.key.expires()), (AT, None));
}

#[test]
fn a_package_is_signed_as_of_when_it_was_built_but_never_before_the_key_or_after_now() {
    let made = made(None);
    let signer = signer(&[&made], SignWith::First);
    let second = |number: i64| Timestamp::from_second(AT.as_second() + number).unwrap();
    let now = second(1_000);
    let sign = |built: i64| {
        let begun = signer.begin_package(b"a header", second(built), now).unwrap();
        futures::executor::block_on(signer.finish_package(begun)).unwrap()
    };
    let made_at = |signature: &PackageSignature| {
        use pgp::composed::{Deserializable as _, DetachedSignature};
        let read = DetachedSignature::from_bytes(&signature.packet[..]).unwrap();
        i64::from(read.signature.created().unwrap().as_secs()) - AT.as_second()
    };
    assert_eq!(made_at(&sign(500)), 500);
    for built in [-500, 1_001, i64::from(u32::MAX) - AT.as_second()] {
        assert_eq!(made_at(&sign(built)), 0, "{built}");
    }
    assert_eq!(sign(500), sign(500), "the same again");
    assert_ne!(sign(500), sign(501));
    assert_eq!((sign(1).by, sign(1).is_rsa), (made.key.fingerprint(), false));
}
