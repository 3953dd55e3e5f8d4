//! What a package's signatures are worth, while it is read.

use rpmmd::header::HeaderFile;

use crate::bucket::report::Remark;
use crate::bucket::verdict::{Reason, Signing};
use crate::config::Level;
use crate::openpgp::verify::{self, Covers, Fault, Refusal, Verification};

/// What one package's signatures are worth, while it is read.
#[derive(Debug)]
pub(crate) struct Check {
    level: Level,
    verification: Verification,
    payload_has_digest: bool,
}

impl Check {
    /// Of a package with these headers.
    pub(crate) fn begin(file: &HeaderFile<'_>, level: Level, trust: verify::Trust) -> Self {
        let payload_has_digest = file.payload_sha256().is_some();
        Self { level, verification: Verification::begin(file, trust), payload_has_digest }
    }

    /// Whether it will be refused, whatever its payload is.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.level == Level::Require && !self.verification.may_count()
    }

    /// Whether the payload has to be read to say: always, where a signature is required.
    pub(crate) fn reads_payload(&self) -> bool {
        self.level == Level::Require || self.verification.wants_payload()
    }

    /// The next piece of the payload.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.verification.update(piece);
    }

    /// The end: what is said of it, or why it may not be published. When the payload was read, its
    /// digest was right if it has one.
    pub(crate) fn finish(self, payload_read: bool) -> Result<Signing, (Reason, String)> {
        let Self { level, verification, payload_has_digest } = self;
        let signed = verification.finish(payload_read).and_then(|signed| {
            if signed.covers == Covers::Everything || payload_has_digest {
                return Ok(signed);
            }
            let message = "its signature is over the header only, which has no digest of the payload".to_owned();
            Err(Refusal { fault: Fault::Unsigned, message })
        });
        match signed {
            Ok(signed) => Ok(Signing { signed_by: Some(signed.by.to_string()), remarks: Vec::new() }),
            Err(Refusal { fault, message }) => {
                let reason = reason(fault);
                if level == Level::Require {
                    return Err((reason, message));
                }
                Ok(Signing { signed_by: None, remarks: vec![Remark { code: reason.code().to_owned(), message }] })
            }
        }
    }
}

fn reason(fault: Fault) -> Reason {
    match fault {
        Fault::Bad => Reason::BadSignature,
        Fault::Expired => Reason::KeyExpired,
        Fault::Weak => Reason::WeakAlgorithm,
        Fault::UnknownKey => Reason::UnknownKey,
        Fault::Unsigned => Reason::Unsigned,
    }
}
