//! From raw bytes and a header to [`Verified`]: the only value that can be parsed.
//!
//! Intercom signs topics with `X-Hub-Signature: sha1=<40 hex>` (HMAC-SHA1 over the raw body, key = the app's client secret,
//! <https://developers.intercom.com/docs/webhooks/webhook-notifications>). Its uninstall and health-check calls carry
//! `X-Body-Signature: <64 hex>` (HMAC-SHA256, same secret). Either is compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

/// What vouches for the bytes of a message: one of Intercom's two signatures, or that we read them ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureScheme {
    /// `X-Hub-Signature`: a topic.
    Hub,
    /// `X-Body-Signature`: uninstall or health check. Never produces an event.
    Body,
    /// None: an item that we read from Intercom's REST API, in an envelope of [`crate::history`]. Never comes from a webhook.
    Rest,
}

/// The client secrets that are valid now: one, or several while a rotation is going on. Never empty.
#[derive(Clone, Debug)]
pub struct ClientSecrets(Vec<SecretString>);

/// Why a list of client secrets cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An HMAC with an empty key verifies for everybody who knows that it is empty.
    #[error("holds no secret, only blanks or commas")]
    Blank,
}

impl ClientSecrets {
    /// Reads a comma-separated list. Blank entries are dropped; a list without any other is refused.
    pub fn parse(list: &SecretString) -> Result<Self, SecretError> {
        let secrets: Vec<_> = list
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .collect();
        if secrets.is_empty() {
            return Err(SecretError::Blank);
        }
        Ok(Self(secrets))
    }

    /// How many are valid.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// The two signature headers of a request, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignatureHeaders<'a> {
    /// `X-Hub-Signature`.
    pub hub: Option<&'a [u8]>,
    /// `X-Body-Signature`.
    pub body: Option<&'a [u8]>,
}

/// Why a request is not from Intercom.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Neither header is there.
    #[error("the request carries no signature")]
    Missing,
    /// The header is not `sha1=` and 40 hexadecimal digits (or 64 digits for `X-Body-Signature`).
    #[error("the signature header does not have the expected form")]
    Malformed,
    /// It was made with another secret or over other bytes.
    #[error("the signature does not fit the body")]
    Mismatch,
}

/// Bytes whose signature was right.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    scheme: SignatureScheme,
    body: &'a [u8],
}

impl<'a> Verified<'a> {
    /// Which signature it carried.
    pub fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The bytes.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// For bytes that this product verified when it accepted them and kept on its own queue since.
    pub fn from_queue(scheme: SignatureScheme, body: &'a [u8]) -> Self {
        Self { scheme, body }
    }
}

/// Checks a request. With both headers `X-Hub-Signature` decides.
pub fn verify<'a>(
    secrets: &ClientSecrets,
    headers: SignatureHeaders<'_>,
    body: &'a [u8],
) -> Result<Verified<'a>, SignatureError> {
    if let Some(header) = headers.hub {
        let digits = header.strip_prefix(b"sha1=").ok_or(SignatureError::Malformed)?;
        let mut expected = [0; 20];
        hex::decode_to_slice(digits, &mut expected).map_err(|_| SignatureError::Malformed)?;
        check::<Hmac<Sha1>>(secrets, body, &expected)?;
        return Ok(Verified { scheme: SignatureScheme::Hub, body });
    }
    if let Some(header) = headers.body {
        let digits = header.strip_prefix(b"sha256=").unwrap_or(header);
        let mut expected = [0; 32];
        hex::decode_to_slice(digits, &mut expected).map_err(|_| SignatureError::Malformed)?;
        check::<Hmac<Sha256>>(secrets, body, &expected)?;
        return Ok(Verified { scheme: SignatureScheme::Body, body });
    }
    Err(SignatureError::Missing)
}

fn check<M: Mac + KeyInit>(secrets: &ClientSecrets, body: &[u8], expected: &[u8]) -> Result<(), SignatureError> {
    for secret in &secrets.0 {
        // HMAC takes keys of any length, so this cannot fail; if it ever could, nobody is let in.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret.expose_secret().as_bytes()) else { continue };
        mac.update(body);
        if mac.verify_slice(expected).is_ok() {
            return Ok(());
        }
    }
    Err(SignatureError::Mismatch)
}

/// Signs a body as Intercom does, for `send-sample`, the demo and tests. Gives the value of `X-Hub-Signature`.
pub fn sign_hub(secrets: &ClientSecrets, body: &[u8]) -> String {
    let key = secrets.0[0].expose_secret().as_bytes();
    match <Hmac<Sha1> as KeyInit>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(body);
            format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
        }
        Err(_) => String::new(),
    }
}

/// Signs a body as Intercom signs its lifecycle calls, for `doctor` and tests. Gives the value of `X-Body-Signature`.
pub fn sign_body(secrets: &ClientSecrets, body: &[u8]) -> String {
    let key = secrets.0[0].expose_secret().as_bytes();
    match <Hmac<Sha256> as KeyInit>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(body);
            hex::encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we sign we accept, and nothing else.
    #[test]
    fn a_signed_lifecycle_call_is_accepted() {
        assert_eq!(sign_body(&secrets("Jefe"), BODY), SHA256);
        let signature = sign_body(&secrets("Jefe,other"), BODY);
        let headers = SignatureHeaders { hub: None, body: Some(signature.as_bytes()) };
        assert!(verify(&secrets("Jefe"), headers, BODY).is_ok());
        assert!(verify(&secrets("other"), headers, BODY).is_err());
    }

    // RFC 2202 and RFC 4231, test case 2: key "Jefe".
    const BODY: &[u8] = b"what do ya want for nothing?";
    const SHA1: &str = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn secrets(list: &str) -> ClientSecrets {
        ClientSecrets::parse(&SecretString::from(list)).expect("usable secrets")
    }

    #[track_caller]
    fn check_hub(list: &str, header: &str, body: &[u8], expected: Result<(), SignatureError>) {
        let headers = SignatureHeaders { hub: Some(header.as_bytes()), body: None };
        assert_eq!(verify(&secrets(list), headers, body).map(|_| ()), expected);
    }

    #[test]
    fn known_vectors_verify() {
        check_hub("Jefe", &format!("sha1={SHA1}"), BODY, Ok(()));
        let headers = SignatureHeaders { hub: None, body: Some(SHA256.as_bytes()) };
        let secrets = secrets("Jefe");
        let verified = verify(&secrets, headers, BODY).expect("verifies");
        assert_eq!(verified.scheme(), SignatureScheme::Body);
    }

    #[test]
    fn every_secret_of_a_rotation_is_valid() {
        check_hub("new, Jefe ,", &format!("sha1={SHA1}"), BODY, Ok(()));
        check_hub("new,newer", &format!("sha1={SHA1}"), BODY, Err(SignatureError::Mismatch));
    }

    #[test]
    fn other_prefixes_lengths_and_bytes_are_refused() {
        for header in [
            format!("SHA1={SHA1}"),
            format!("sha256={SHA256}"),
            format!("sha256={SHA1}"),
            SHA1.to_owned(),
            format!("sha1={}", &SHA1[..38]),
            format!("sha1={SHA1}00"),
            "sha1=".to_owned(),
            String::new(),
            "sha1=zzzzdf6ae5eb2fa2d27416d5f184df9c259a7c79".to_owned(),
        ] {
            check_hub("Jefe", &header, BODY, Err(SignatureError::Malformed));
        }
        check_hub("Jefe", &format!("sha1={SHA1}"), b"what do ya want for nothing? ", Err(SignatureError::Mismatch));
    }

    #[test]
    fn the_hub_header_decides_when_both_are_there() {
        let secrets = secrets("Jefe");
        let headers = SignatureHeaders { hub: Some(b"sha1=00"), body: Some(SHA256.as_bytes()) };
        assert_eq!(verify(&secrets, headers, BODY).map(|_| ()), Err(SignatureError::Malformed));
    }

    #[test]
    fn blank_lists_are_refused() {
        for list in ["", "  ", ",", " , ,"] {
            assert_eq!(ClientSecrets::parse(&SecretString::from(list)).map(|_| ()), Err(SecretError::Blank));
        }
    }

    #[test]
    fn secrets_do_not_print() {
        assert!(!format!("{:?}", secrets("Jefe")).contains("Jefe"));
    }

    #[test]
    fn our_own_signature_verifies() {
        let secrets = secrets("s3cret");
        let header = sign_hub(&secrets, BODY);
        check_hub("s3cret", &header, BODY, Ok(()));
    }
}
