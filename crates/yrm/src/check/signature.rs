//! The signature beside repomd.xml, judged as a client would: by public keys alone. They are the
//! configured ones, or with signing off here (another process may sign) those that are published.

use crate::bucket::Bucket;
use crate::bucket::listing::list_all;
use crate::bucket::signature::Signature;
use crate::error::Result;
use crate::openpgp::key::PublicKey;
use crate::store::key;

/// The keys to judge by.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<PublicKey>,
    /// Whether there must be a signature.
    wanted: bool,
}

/// What is to be said of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is none, and need not be.
    Unsigned,
    /// It is good, by the key with this fingerprint.
    SignedBy(String),
    /// There is none, and should be.
    Missing,
    /// It is by none of the keys over these bytes.
    Stale,
    /// There is no key to judge it by.
    Unknown,
}

impl Keys {
    /// These keys, one of which must have signed.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys, wanted: true }
    }

    /// The configured keys, or those that are published.
    pub async fn of(bucket: &Bucket) -> Result<Self> {
        match &bucket.signer {
            Some(signer) => Ok(Self::new(signer.public_keys().cloned().collect())),
            None => Ok(Self { keys: published(bucket).await?, wanted: false }),
        }
    }

    /// Judges a signature over `repomd`.
    pub fn judge(&self, repomd: &[u8], signature: Option<&Signature>) -> Verdict {
        let Some(Signature { bytes, .. }) = signature else {
            return if self.wanted { Verdict::Missing } else { Verdict::Unsigned };
        };
        match self.keys.iter().find(|key| key.has_signed(repomd, bytes)) {
            Some(key) => Verdict::SignedBy(key.fingerprint()),
            None if self.keys.is_empty() => Verdict::Unknown,
            None => Verdict::Stale,
        }
    }
}

/// The public keys that clients can fetch. What is no key is passed over: anybody may have put it there.
pub async fn published(bucket: &Bucket) -> Result<Vec<PublicKey>> {
    let prefix = key::public_keys_prefix(&bucket.policy.folders);
    let mut keys = Vec::new();
    for object in list_all(bucket.store.as_ref(), &prefix).await? {
        let Some(read) = bucket.store.get(&object.key, None).await? else { continue };
        match PublicKey::read_all(&read.bytes) {
            Ok(read) => keys.extend(read),
            Err(error) => tracing::warn!(key = object.key, error = error.chain(), "this is no key file"),
        }
    }
    Ok(keys)
}
