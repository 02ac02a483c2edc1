//! Identifiers as types, so that a contact id cannot stand where a message id belongs.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Intercom's id of a contact (24 hexadecimal digits today). Not personal data by itself: it may be logged.
    ContactId
);
text_id!(
    /// Intercom's id of a workspace: `app_id` in notifications, `app.id_code` of `GET /me`.
    WorkspaceId
);
text_id!(
    /// Our id of one accepted webhook call. It stays the same while the message is retried, parked or dead-lettered.
    MessageId
);

/// Identity of one real-world event: `intercom:{workspace}:{what}`, made of immutable Intercom ids alone.
///
/// It is Klaviyo's `unique_id` (at most 255 characters,
/// <https://developers.klaviyo.com/en/reference/create_event>).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKey(String);

impl EventKey {
    /// Longest key that Klaviyo takes. Real ones have less than half of it.
    pub const MAX_BYTES: usize = 255;

    /// Builds `intercom:{workspace}:{rest}`.
    pub fn new(workspace: &str, rest: fmt::Arguments<'_>) -> Self {
        Self(format!("intercom:{workspace}:{rest}"))
    }

    /// The key as Klaviyo gets it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The workspace inside the key.
    pub fn workspace(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// The key as the ledger keeps it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first 16 bytes of a key's SHA-256. A ledger of 100 million keys meets a collision with probability 10⁻²³.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 16]);

impl KeyHash {
    /// The hash of any text.
    pub fn of(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }

    /// The bytes, for a store's primary key.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads back what [`KeyHash::as_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}
