//! Identifiers in the ledger, sealed with a key that only the message itself yields.
//!
//! The ledger outlives every message, and what it keeps of a claim holds an e-mail address. So the address is sealed (AES-256-GCM)
//! under a key derived (HKDF-SHA256) from the message's bytes, its id and the event's key. Whoever has the message, on the queue,
//! parked or among the dead letters, can open it, which is just as long as a repeated send needs it; once the message is gone
//! nobody can, and nothing has to be deleted. The bytes are good key material: each notification carries a random id of
//! Intercom's besides its texts.
//!
//! Key and nonce come from the plaintext as well (as in SIV), so one key never seals two texts and no randomness is needed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use domain::{Identity, KeyHash, MessageId};

/// The first byte of what is sealed.
const VERSION: u8 = 1;
const NONCE: usize = 12;

#[derive(Clone, Copy)]
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        64
    }
}

/// 32 bytes for the cipher, 32 for the nonce.
fn keys(message: &MessageId, body: &[u8], event: &KeyHash) -> Option<[u8; 64]> {
    let pseudorandom = Salt::new(HKDF_SHA256, message.as_str().as_bytes()).extract(body);
    let info: [&[u8]; 2] = [b"intercom-klaviyo ledger identity 1", event.as_bytes()];
    let mut keys = [0; 64];
    pseudorandom.expand(&info, Length).ok()?.fill(&mut keys).ok()?;
    Some(keys)
}

/// `None` cannot happen with a working library; the claim then fails instead of being kept in the clear.
pub(crate) fn seal(identity: &Identity, message: &MessageId, body: &[u8], event: &KeyHash) -> Option<Vec<u8>> {
    let keys = keys(message, body, event)?;
    let mut text = serde_json::to_vec(identity).ok()?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys[32..]), &text);
    let nonce: [u8; NONCE] = tag.as_ref().get(..NONCE)?.try_into().ok()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &keys[..32]).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from([VERSION]), &mut text).ok()?;
    Some([&[VERSION], nonce.as_slice(), &text].concat())
}

/// `None` where it was sealed for another message, or by a newer version.
pub(crate) fn open(sealed: &[u8], message: &MessageId, body: &[u8], event: &KeyHash) -> Option<Identity> {
    let (version, rest) = sealed.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (nonce, text) = rest.split_at_checked(NONCE)?;
    let keys = keys(message, body, event)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &keys[..32]).ok()?);
    let mut text = text.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = key.open_in_place(nonce, Aad::from([VERSION]), &mut text).ok()?;
    serde_json::from_slice(opened).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> KeyHash {
        domain::EventKey::new("w", format_args!("{name}")).hash()
    }

    #[test]
    fn only_the_message_opens_it() {
        let jane = Identity { email: Some("jane@example.com".to_owned()), ..Identity::default() };
        let id = MessageId::new("m1");
        let sealed = seal(&jane, &id, b"the notification", &event("a")).expect("sealed");
        assert_eq!(open(&sealed, &id, b"the notification", &event("a")), Some(jane));
        assert!(!String::from_utf8_lossy(&sealed).contains("jane"));
        assert_eq!(open(&sealed, &id, b"another notification", &event("a")), None);
        assert_eq!(open(&sealed, &MessageId::new("m2"), b"the notification", &event("a")), None);
        assert_eq!(open(&sealed, &id, b"the notification", &event("b")), None);
        let mut broken = sealed.clone();
        *broken.last_mut().expect("bytes") ^= 1;
        assert_eq!(open(&broken, &id, b"the notification", &event("a")), None);
    }

    /// A later version's text is not opened, and not taken for nothing either: the caller says that it cannot read it.
    #[test]
    fn a_newer_version_is_not_guessed() {
        let id = MessageId::new("m1");
        let mut sealed = seal(&Identity::default(), &id, b"", &event("a")).expect("sealed");
        sealed[0] = 2;
        assert_eq!(open(&sealed, &id, b"", &event("a")), None);
    }
}
