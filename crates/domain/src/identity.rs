//! How Klaviyo knows a person.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identifiers that an event carries. Klaviyo dedupes per profile, so an event that is sent again has to carry the
/// same ones: the ledger keeps them from the claim until the send is known to have succeeded.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Identity {
    /// A plausible e-mail address of at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A phone number in E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The shop's own customer id; set only where a setting says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl Identity {
    /// Whether Klaviyo could find or make a profile with it.
    pub fn is_known(&self) -> bool {
        self.email.is_some() || self.phone.is_some()
    }
}

/// Prints which identifiers there are, never their values.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("email", &self.email.is_some())
            .field("phone", &self.phone.is_some())
            .field("external_id", &self.external_id.is_some())
            .finish()
    }
}
