//! A profile that is written without an event: `POST /api/profile-import`.
//!
//! What is not in the body stays as it is in Klaviyo. We never send `null`, which would clear a field; properties of ours that have
//! become empty are taken away by name. There is nothing here that could touch consent. Klaviyo finds the profile by its identifiers (external id, then address, then phone number) and makes
//! one where there is none: <https://developers.klaviyo.com/en/reference/create_or_update_profile>.

use std::fmt;

use serde_json::Value;

use crate::identity::Identity;
use crate::ids::KeyHash;
use crate::mapping::push_json_text;

/// A profile ready to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedProfile {
    /// The identifiers inside.
    pub identity: Identity,
    /// `{"type":"profile","attributes":{…}}`, as it rides on events.
    pub(crate) profile: String,
    /// Custom properties that are to go.
    pub(crate) emptied: Vec<String>,
}

/// Prints which identifiers there are and the size, never the contents.
impl fmt::Debug for PreparedProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedProfile")
            .field("identity", &self.identity)
            .field("bytes", &self.profile.len())
            .finish_non_exhaustive()
    }
}

/// What Klaviyo did with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileChange {
    /// It was there and has the new values (200).
    Updated,
    /// It was not there, or no longer, and is now (201).
    Created,
}

impl PreparedProfile {
    /// The body of `POST /api/profile-import`.
    pub fn body(&self) -> Vec<u8> {
        let mut body = String::with_capacity(self.profile.len() + 64);
        body.push_str(r#"{"data":"#);
        match self.profile.strip_suffix('}') {
            Some(open) if !self.emptied.is_empty() => {
                body.push_str(open);
                body.push_str(r#","meta":{"patch_properties":{"unset":["#);
                for (index, name) in self.emptied.iter().enumerate() {
                    if index > 0 {
                        body.push(',');
                    }
                    push_json_text(&mut body, name);
                }
                body.push_str("]}}}");
            }
            _ => body.push_str(&self.profile),
        }
        body.push('}');
        body.into_bytes()
    }

    /// A fingerprint of the body: two that say the same have the same.
    pub fn print(&self) -> KeyHash {
        KeyHash::of(&String::from_utf8_lossy(&self.body()))
    }

    /// Every text inside: what must not stand in a reason.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let profile: Value = serde_json::from_str(&self.profile).unwrap_or_default();
        if let Some(attributes) = profile.get("attributes") {
            super::collect_texts(attributes, &mut texts);
        }
        texts
    }
}
