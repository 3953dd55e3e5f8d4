//! The signature over a notice, by a secret that both ends know: HMAC-SHA256 (RFC 2104) of the time and
//! the body, so that neither can be changed nor an old notice be sent again unnoticed.
//!
//! `t=1795377600,v1=5257a8…`: seconds since 1970, and the hex digits of the HMAC of `1795377600.` and
//! the body.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

/// The header of a webhook that carries it, and the attribute of an SNS message.
pub const NAME: &str = "Yrm-Signature";

/// What goes into the header.
pub fn sign(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let mut signature = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(signature, "{byte:02x}").expect("a String takes any text");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_gives_the_same() {
        // printf '1795377600.{"a":1}' | openssl dgst -sha256 -hmac s3cret
        let at = Timestamp::from_second(1_795_377_600).unwrap();
        insta::assert_snapshot!(sign("s3cret", at, r#"{"a":1}"#), @"t=1795377600,v1=098fb47ac58367a09744100a0da4470fcae3fd52c463c4e3f715155b75881fa9");
    }
}
