//! A signature that somebody else has to finish: everything but what the secret key adds. The digest
//! is made here, and only the digest leaves.

use std::cell::RefCell;

use pgp::composed::{SignedKeyDetails, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::errors::Result as PgpResult;
use pgp::packet::{self, KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId};
use pgp::types::{
    Fingerprint, KeyDetails, KeyId, KeyVersion, PacketHeaderVersion, Password, PublicParams, SignatureBytes,
    SignedUser, SigningKey, Tag, Timestamp, VerifyingKey as _,
};

/// A signature without its numbers.
#[derive(Debug)]
pub(super) struct Draft {
    unsigned: Signature,
    hash: HashAlgorithm,
    digest: Vec<u8>,
}

impl Draft {
    /// What `make` signs with the key it is given, but for the numbers.
    pub(super) fn of(
        public: &packet::PublicKey,
        hash: HashAlgorithm,
        make: impl FnOnce(&Absent<'_>) -> PgpResult<Signature>,
    ) -> PgpResult<Self> {
        let absent = Absent { public, hash, digest: RefCell::default() };
        let unsigned = make(&absent)?;
        Ok(Self { unsigned, hash, digest: absent.digest.into_inner() })
    }

    /// What is to be signed.
    pub(super) fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// The signature, if `numbers` are one by this key.
    pub(super) fn signed(self, public: &packet::PublicKey, numbers: SignatureBytes) -> PgpResult<Signature> {
        public.verify(self.hash, &self.digest, &numbers)?;
        let (config, beginning) = (self.unsigned.config().cloned(), self.unsigned.signed_hash_value());
        let (Some(config), Some(beginning)) = (config, beginning) else {
            unreachable!("it was made here, by this version")
        };
        Signature::from_config(config, beginning, numbers)
    }
}

/// A key's own statement that it is `user_id`'s and signs, made when the key was.
pub(super) fn certification(public: &packet::PublicKey, hash: HashAlgorithm, user_id: &str) -> PgpResult<Draft> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    Draft::of(public, hash, |key| {
        let mut config = SignatureConfig::v4(SignatureType::CertPositive, key.algorithm(), hash);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
            Subpacket::regular(SubpacketData::SignatureCreationTime(key.created_at()))?,
            Subpacket::regular(SubpacketData::KeyFlags(flags))?,
            Subpacket::regular(SubpacketData::PreferredHashAlgorithms(
                [HashAlgorithm::Sha512, HashAlgorithm::Sha256].as_slice().into(),
            ))?,
            Subpacket::regular(SubpacketData::IsPrimary(true))?,
        ];
        config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
        let nothing = Password::empty();
        config.sign_certification(key, public, &nothing, Tag::UserId, &named(user_id)?)
    })
}

/// The certificate of a key, with its signed statement.
pub(super) fn certificate(
    public: packet::PublicKey,
    user_id: &str,
    statement: Signature,
) -> PgpResult<SignedPublicKey> {
    let user = SignedUser::new(named(user_id)?, vec![statement]);
    let details = SignedKeyDetails::new(Vec::new(), Vec::new(), vec![user], Vec::new());
    Ok(SignedPublicKey::new(public, details, Vec::new()))
}

fn named(user_id: &str) -> PgpResult<UserId> {
    UserId::from_str(PacketHeaderVersion::New, user_id)
}

/// Stands where a secret key would, and notes what it is to sign.
#[derive(Debug)]
pub(super) struct Absent<'a> {
    public: &'a packet::PublicKey,
    hash: HashAlgorithm,
    digest: RefCell<Vec<u8>>,
}

impl SigningKey for Absent<'_> {
    fn sign(&self, _password: &Password, _hash: HashAlgorithm, digest: &[u8]) -> PgpResult<SignatureBytes> {
        *self.digest.borrow_mut() = digest.to_vec();
        Ok(SignatureBytes::Mpis(Vec::new()))
    }

    fn hash_alg(&self) -> HashAlgorithm {
        self.hash
    }
}

impl KeyDetails for Absent<'_> {
    fn version(&self) -> KeyVersion {
        self.public.version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.public.legacy_key_id()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.public.algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.public.created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.public.legacy_v3_expiration_days()
    }

    fn public_params(&self) -> &PublicParams {
        self.public.public_params()
    }
}
