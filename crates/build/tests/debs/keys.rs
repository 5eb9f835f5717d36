//! Keys that sign the made archives. All times are fixed, so that a test means the same on every day.

use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, Password, SigningKey, Tag, Timestamp};

/// 2026-11-21T12:00:00Z, when everything is signed.
pub const SIGNED: u32 = 1_795_262_400;

/// 2020-01-01, when the keys were made.
const MADE: u32 = 1_577_836_800;

/// A key with a signing subkey, as Debian's have.
pub struct Key(pub SignedSecretKey);

impl Key {
    pub fn new() -> Self {
        Self::of(KeyType::Ed25519Legacy)
    }

    /// A key of a kind that can sign weak hashes; slow to make.
    pub fn rsa() -> Self {
        Self::of(KeyType::Rsa(2048))
    }

    fn of(primary: KeyType) -> Self {
        let mut rng = rand_08::thread_rng();
        let subkey = SubkeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .created_at(Timestamp::from_secs(MADE))
            .build()
            .unwrap();
        let params = SecretKeyParamsBuilder::default()
            .key_type(primary)
            .can_certify(true)
            .can_sign(true)
            .created_at(Timestamp::from_secs(MADE))
            .primary_user_id("Archive <archive@example.org>".to_owned())
            .subkey(subkey)
            .build()
            .unwrap();
        Key(params.generate(&mut rng).unwrap())
    }

    pub fn public(&self) -> SignedPublicKey {
        self.0.to_public_key()
    }

    /// `text` in the cleartext signature framework, by the primary key.
    pub fn sign(&self, text: &str) -> String {
        clearsign(&self.0.primary_key, text, HashAlgorithm::Sha512, &[])
    }

    pub fn sign_by_subkey(&self, text: &str) -> String {
        clearsign(&self.0.secret_subkeys[0].key, text, HashAlgorithm::Sha256, &[])
    }

    /// A signature that ended an hour after it was made.
    pub fn sign_for_an_hour(&self, text: &str) -> String {
        let hour = SubpacketData::SignatureExpirationTime(Duration::from_secs(3600));
        clearsign(&self.0.primary_key, text, HashAlgorithm::Sha512, &[hour])
    }

    pub fn sign_weakly(&self, text: &str) -> String {
        clearsign(&self.0.primary_key, text, HashAlgorithm::Sha224, &[])
    }

    /// The public key, its life ended `seconds` after it was made.
    pub fn expiring(&self, seconds: u32) -> SignedPublicKey {
        let mut public = self.public();
        let id = public.details.users[0].id.clone();
        let life = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        let config = config(&self.0.primary_key, SignatureType::CertPositive, HashAlgorithm::Sha256, &[life]);
        let (key, password) = (&self.0.primary_key, Password::empty());
        let signature =
            config.sign_certification(key, &public.primary_key, &password, Tag::UserId, &id).unwrap();
        public.details.users[0].signatures = vec![signature];
        public
    }

    /// The public key with its revocation.
    pub fn revoked(&self) -> SignedPublicKey {
        let mut public = self.public();
        let config = config(&self.0.primary_key, SignatureType::KeyRevocation, HashAlgorithm::Sha256, &[]);
        let signature =
            config.sign_key(&self.0.primary_key, &Password::empty(), &public.primary_key).unwrap();
        public.details.revocation_signatures.push(signature);
        public
    }
}

/// The bytes of a keyring file.
pub fn keyring(keys: &[SignedPublicKey]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_bytes().unwrap()).collect()
}

fn clearsign(key: &impl SigningKey, text: &str, hash: HashAlgorithm, more: &[SubpacketData]) -> String {
    let config = config(key, SignatureType::Text, hash, more);
    let message = CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap();
    message.to_armored_string(Default::default()).unwrap()
}

fn config(
    key: &impl SigningKey,
    kind: SignatureType,
    hash: HashAlgorithm,
    more: &[SubpacketData],
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED));
    let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
    config.hashed_subpackets = [created, issuer]
        .into_iter()
        .chain(more.iter().cloned())
        .map(|data| Subpacket::regular(data).unwrap())
        .collect();
    config
}
