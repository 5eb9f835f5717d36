//! The signature of an InRelease file (RFC 9580, section 7: cleartext signature framework).
//!
//! The text that is read on is exactly the text that was verified: what stands before or after the signed
//! block is refused, not skipped. One good signature by a key of the keyring is enough, as for apt; a
//! key that is expired or revoked, or a weak hash, makes none.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

use crate::{Error, Result};

/// Where Debian and its derivatives keep the archive's public keys.
pub const DEFAULT_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// More signatures than any Release file has.
const MAX_SIGNATURES: usize = 32;

/// Signatures may be this many seconds ahead of the clock.
const CLOCK_SKEW: i64 = 24 * 3600;

/// The keys that may sign an archive.
pub struct Keyring {
    place: PathBuf,
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads a keyring, binary or armored.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |reason: String, hint: &str| Error::Input {
            place: path.display().to_string(),
            reason,
            hint: hint.to_owned(),
        };
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => bad(
                "the keyring with the Debian archive's keys is not there".to_owned(),
                "install the package debian-archive-keyring, or set `keyring` to a copy of its keyring file",
            ),
            _ => Error::Io { path: path.to_owned(), source: e },
        })?;
        let not_keys = |e: pgp::errors::Error| {
            bad(format!("not an OpenPGP keyring: {e}"), "set `keyring` to another file")
        };
        let (keys, _) = SignedPublicKey::from_reader_many(&bytes[..]).map_err(not_keys)?;
        // A key of a kind that is not understood must not make the others useless.
        let certificates: Vec<_> = keys.filter_map(Result::ok).collect();
        if certificates.is_empty() {
            return Err(bad("the keyring holds no key".to_owned(), "set `keyring` to another file"));
        }
        Ok(Keyring { place: path.to_owned(), certificates })
    }

    /// The file it was read from.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The signed text of an InRelease file, line ends as `\n`. The error is the reason, without place.
    pub fn verify(&self, inrelease: &str, now: Timestamp) -> Result<String, String> {
        let message = Cleartext::split(inrelease)?;
        let signed = message.lines.join("\r\n");
        let mut reasons: Vec<String> = Vec::new();
        for signature in &signatures(message.armor)? {
            match self.judge(signature, signed.as_bytes(), now.as_second()) {
                Ok(()) => return Ok(message.lines.join("\n")),
                Err(reason) if !reasons.contains(&reason) => reasons.push(reason),
                Err(_) => {}
            }
        }
        if reasons.is_empty() {
            reasons.push("there is no signature".to_owned());
        }
        Err(format!("no good signature: {}", reasons.join("; ")))
    }

    fn judge(&self, signature: &Signature, signed: &[u8], now: i64) -> Result<(), String> {
        let strong = [
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
            HashAlgorithm::Sha3_256,
            HashAlgorithm::Sha3_512,
        ];
        if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
            return Err("one uses a weak or unknown hash".to_owned());
        }
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err("one is not a signature of a text".to_owned());
        }
        let Some(created) = signature.created().map(|t| i64::from(t.as_secs())) else {
            return Err("one has no time".to_owned());
        };
        if created > now + CLOCK_SKEW {
            return Err("one was made in the future: is this machine's clock right?".to_owned());
        }
        if has_ended(created, signature.signature_expiration_time(), now) {
            return Err("one has expired".to_owned());
        }
        for certificate in &self.certificates {
            let primary = &certificate.primary_key;
            if issued_by(signature, primary) {
                return match signature.verify(primary, signed) {
                    Ok(()) => primary_is_good(certificate, now),
                    Err(_) => Err(format!("that of key {} is not of this text", primary.legacy_key_id())),
                };
            }
            for subkey in &certificate.public_subkeys {
                if issued_by(signature, &subkey.key) {
                    return match signature.verify(&subkey.key, signed) {
                        Ok(()) => primary_is_good(certificate, now)
                            .and_then(|()| subkey_is_good(certificate, subkey, now)),
                        Err(_) => {
                            Err(format!("that of key {} is not of this text", subkey.key.legacy_key_id()))
                        }
                    };
                }
            }
        }
        let ids: Vec<String> = signature.issuer_key_id().iter().map(ToString::to_string).collect();
        Err(format!(
            "key {} is not in the keyring",
            if ids.is_empty() { "without a name".to_owned() } else { ids.join(", ") }
        ))
    }
}

/// Whether the signature says that it is by `key`. Which key it really is by, the verification shows.
fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

/// Not revoked, and not expired by its newest valid self-signature.
fn primary_is_good(certificate: &SignedPublicKey, now: i64) -> Result<(), String> {
    let key = &certificate.primary_key;
    let id = key.legacy_key_id();
    if certificate.details.revocation_signatures.iter().any(|s| s.verify_key(key).is_ok()) {
        return Err(format!("key {id} is revoked"));
    }
    let direct = certificate.details.direct_signatures.iter().filter(|s| s.verify_key(key).is_ok());
    let users = certificate.details.users.iter().flat_map(|user| {
        let valid = |s: &&Signature| {
            s.is_certification() && s.verify_certification(key, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(valid)
    });
    let Some(newest) = direct.chain(users).max_by_key(|s| s.created().map(pgp::types::Timestamp::as_secs))
    else {
        return Err(format!("key {id} has no valid self-signature"));
    };
    if has_ended(i64::from(key.created_at().as_secs()), newest.key_expiration_time(), now) {
        return Err(format!("key {id} has expired"));
    }
    Ok(())
}

/// Bound to its primary key for signing (RFC 9580, section 5.2.1.8 and 5.2.1.9), not revoked, not expired.
fn subkey_is_good(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: i64,
) -> Result<(), String> {
    let (primary, key) = (&certificate.primary_key, &subkey.key);
    let id = key.legacy_key_id();
    let valid = || subkey.signatures.iter().filter(|s| s.verify_subkey_binding(primary, key).is_ok());
    if valid().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(format!("key {id} is revoked"));
    }
    let bindings = valid().filter(|s| s.typ() == Some(SignatureType::SubkeyBinding));
    let Some(newest) = bindings.max_by_key(|s| s.created().map(pgp::types::Timestamp::as_secs)) else {
        return Err(format!("key {id} is not bound to its primary key"));
    };
    let agrees =
        newest.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(key, primary).is_ok());
    if !newest.key_flags().sign() || !agrees {
        return Err(format!("key {id} may not sign"));
    }
    if has_ended(i64::from(key.created_at().as_secs()), newest.key_expiration_time(), now) {
        return Err(format!("key {id} has expired"));
    }
    Ok(())
}

/// Whether a life of `duration` from `start` is over; none, or a zero one, never ends.
fn has_ended(start: i64, duration: Option<pgp::types::Duration>, now: i64) -> bool {
    duration.map(|d| i64::from(d.as_secs())).is_some_and(|seconds| seconds != 0 && start + seconds < now)
}

fn signatures(armor: &str) -> Result<Vec<Signature>, String> {
    let mut found = Vec::new();
    for packet in PacketParser::new(std::io::BufReader::new(pgp::armor::Dearmor::new(armor.as_bytes()))) {
        match packet.map_err(|e| format!("the signature block is damaged: {e}"))? {
            Packet::Signature(signature) if found.len() < MAX_SIGNATURES => found.push(signature),
            _ => return Err("the signature block holds more than signatures".to_owned()),
        }
    }
    Ok(found)
}

/// A message of the cleartext signature framework, taken apart.
struct Cleartext<'a> {
    /// The signed lines, dash escapes and trailing blanks removed.
    lines: Vec<&'a str>,
    /// The armored signature.
    armor: &'a str,
}

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

impl<'a> Cleartext<'a> {
    fn split(text: &'a str) -> Result<Self, String> {
        let mut rest = text;
        let bare = |line: &'a str| line.trim_end_matches([' ', '\t', '\r']);
        let mut next = || {
            let (line, after) = rest.split_once('\n')?;
            let from_here = std::mem::replace(&mut rest, after);
            Some((bare(line), from_here))
        };
        if next().map(|(line, _)| line) != Some(BEGIN) {
            let page = text.trim_start().starts_with('<');
            return Err(if page { "it is a web page" } else { "it is not a signed message" }.to_owned());
        }
        loop {
            match next() {
                Some(("", _)) => break,
                Some((header, _)) if header.starts_with("Hash:") => {}
                _ => return Err("the signed message has an unknown header".to_owned()),
            }
        }
        let mut lines = Vec::new();
        let armor = loop {
            match next() {
                None => return Err("the signed message has no signature".to_owned()),
                Some((SIGNATURE, armor)) => break armor,
                Some((line, _)) => match line.strip_prefix('-').map(|escaped| escaped.strip_prefix(' ')) {
                    None => lines.push(line),
                    Some(Some(line)) => lines.push(line),
                    Some(None) => return Err("the signed message has an unescaped dash".to_owned()),
                },
            }
        };
        match armor.split_once(END) {
            Some((_, after)) if after.trim().is_empty() => Ok(Cleartext { lines, armor }),
            Some(_) => Err("something follows the signature".to_owned()),
            None => Err("the signature is cut off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_a_message_apart() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\n\nA: 1  \r\n- -dash\n\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n\n";
        let message = Cleartext::split(text).unwrap();
        assert_eq!(message.lines, ["A: 1", "-dash", ""]);
        assert!(message.armor.starts_with(SIGNATURE));
        let reason = |text: &str| Cleartext::split(text).err().unwrap();
        assert!(reason(&text.replace("- -dash", "-dash")).contains("unescaped dash"));
        assert!(reason(&text.replace("Hash", "Hush")).contains("unknown header"));
        assert!(reason(&format!("{text}more")).contains("follows the signature"));
        assert!(reason("<html>").contains("web page"));
    }

    proptest! {
        #[test]
        fn never_panics(parts in proptest::collection::vec(0usize..8, 0..10), noise in "[-a-z\u{e9} \n]{0,20}") {
            let pieces = [BEGIN, "Hash: SHA512", "", "- -a", SIGNATURE, END, "iHUEABYKAB0=", noise.as_str()];
            let text: Vec<&str> = parts.iter().map(|i| pieces[*i]).collect();
            if let Ok(message) = Cleartext::split(&text.join("\n")) {
                let _ = signatures(message.armor);
            }
        }
    }
}
