//! The profile that rides on every event, and whom the settings leave out.
//!
//! Only non-empty fields are sent: Klaviyo overwrites what it gets, and a shop's own data is often better than a
//! support chat's. Consent is never touched; there is no field here that could.

use serde_json::Value;

use crate::contact::{Contact, Tag};
use crate::directory::Directory;
use crate::identity::Identity;
use crate::intercom::Attribute;
use crate::klaviyo::PreparedProfile;
use crate::rules::{ContactRules, Rules};
use crate::support::Summary;
use crate::text::cut;

use super::{Mapping, Properties};

/// Longest e-mail address that Klaviyo takes.
const MAX_EMAIL_CHARS: usize = 100;

/// Largest profile object, in bytes; Klaviyo takes 95 KB.
const MAX_PROFILE_BYTES: usize = 32_000;

/// Longest name, place or URL, in bytes: what is longer is none.
const MAX_FIELD_BYTES: usize = 1024;

/// Most properties that are taken away at once, and the longest name of one: such a long one was never written.
const MAX_EMPTIED: usize = 100;
const MAX_EMPTIED_NAME_BYTES: usize = 200;

const TAGS: &str = "Intercom_tags";

/// How Klaviyo will know the contact.
pub fn identity_of(contact: &Contact, rules: &Rules) -> Identity {
    let phones = [contact.formatted_phone.as_deref(), contact.phone.as_deref()];
    let own_id = contact.external_id.as_deref().filter(|_| rules.profile.external_id && is_user(contact));
    Identity {
        email: contact.email.as_deref().and_then(usable_email).map(str::to_owned),
        phone: phones.into_iter().flatten().map(str::trim).find(|phone| is_e164(phone)).map(str::to_owned),
        external_id: own_id.map(str::to_owned),
    }
}

/// A lead's external id is a UUID that Intercom made up.
fn is_user(contact: &Contact) -> bool {
    contact.role.as_deref() == Some("user")
}

/// An address that Klaviyo will take: one `@`, a dotted domain, no blanks, at most 100 characters. Intercom's own operator
/// addresses belong to nobody.
fn usable_email(email: &str) -> Option<&str> {
    let email = email.trim();
    let (local, domain) = email.split_once('@')?;
    let plausible = !local.is_empty()
        && !domain.contains('@')
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty())
        && !email.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && email.chars().count() <= MAX_EMAIL_CHARS;
    let operator = local.starts_with("operator+") && domain.eq_ignore_ascii_case("intercom.io");
    (plausible && !operator).then_some(email)
}

/// `+`, then 7 to 15 digits that do not begin with 0.
fn is_e164(phone: &str) -> bool {
    phone.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    })
}

/// Why the settings leave this contact out, if they do.
pub fn left_out(contact: &Contact, rules: &ContactRules, directory: &Directory) -> Option<&'static str> {
    if rules.identified_only && !is_user(contact) {
        return Some("not identified");
    }
    if !rules.roles.is_empty() && !contact.role.as_ref().is_some_and(|role| rules.roles.contains(role)) {
        return Some("role");
    }
    let has_tag = |wanted: &std::collections::BTreeSet<String>| {
        contact.tags.iter().filter_map(|tag| tag_name(tag, directory)).any(|name| wanted.contains(name))
    };
    if (!rules.only_tags.is_empty() && !has_tag(&rules.only_tags)) || has_tag(&rules.except_tags) {
        return Some("tag");
    }
    let domain =
        contact.email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, d)| d.trim().to_lowercase());
    let excluded = |domain: &String| {
        rules.except_email_domains.iter().any(|except| {
            domain == except || domain.strip_suffix(except.as_str()).is_some_and(|rest| rest.ends_with('.'))
        })
    };
    domain.as_ref().is_some_and(excluded).then_some("e-mail domain")
}

fn tag_name<'a>(tag: &'a Tag, directory: &'a Directory) -> Option<&'a str> {
    tag.name.as_deref().or_else(|| directory.tag(&tag.id))
}

/// Some properties of a profile and nothing else: all its other fields stay as they are in Klaviyo.
pub fn properties_only(identity: &Identity, fill: impl FnOnce(&mut Properties)) -> PreparedProfile {
    let json = String::from(r#"{"type":"profile","attributes":"#);
    let mut fields = Properties::after(json, usize::MAX, MAX_PROFILE_BYTES / 2);
    identifiers(&mut fields, identity);
    fields.object("properties", MAX_PROFILE_BYTES / 2, fill);
    let mut profile = fields.finish();
    profile.push('}');
    PreparedProfile { identity: identity.clone(), profile, emptied: Vec::new() }
}

fn identifiers(fields: &mut Properties, identity: &Identity) {
    fields.text("email", identity.email.as_deref());
    fields.text("phone_number", identity.phone.as_deref());
    fields.text("external_id", identity.external_id.as_deref());
}

impl Mapping<'_> {
    /// The contact's profile as it would ride on an event, to be written without one. Properties of ours that the contact has
    /// nothing for any more go: nobody would ever take away its last tag otherwise.
    pub fn profile_alone(&self, contact: &Contact, identity: &Identity) -> PreparedProfile {
        let profile = self.profile(contact, identity, None);
        PreparedProfile { identity: identity.clone(), profile, emptied: self.emptied(contact) }
    }

    fn emptied(&self, contact: &Contact) -> Vec<String> {
        if !self.rules.profile.properties {
            return Vec::new();
        }
        let tags = contact.tag_count == 0 && contact.tags.is_empty();
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let attributes = contact
            .custom_attributes
            .iter()
            .filter(|(name, value)| is_empty(value) && self.rules.attributes.contact.allows(name))
            .map(|(name, _)| format!("Intercom: {name}"))
            .filter(|name| name.len() <= MAX_EMPTIED_NAME_BYTES);
        tags.then(|| TAGS.to_owned()).into_iter().chain(attributes).take(MAX_EMPTIED).collect()
    }

    /// `{"type":"profile","attributes":{…}}`
    pub(super) fn profile(&self, contact: &Contact, identity: &Identity, support: Option<&Summary>) -> String {
        let rules = &self.rules.profile;
        let mut json = String::with_capacity(1024);
        json.push_str(r#"{"type":"profile","attributes":"#);
        let mut fields = Properties::after(json, usize::MAX, MAX_PROFILE_BYTES / 2);
        identifiers(&mut fields, identity);
        if rules.name
            && let Some(name) = contact.name.as_deref()
        {
            let (first, last) = name.trim().split_once(' ').unwrap_or((name.trim(), ""));
            fields.text("first_name", Some(&cut(first, MAX_FIELD_BYTES)));
            fields.text("last_name", Some(&cut(last.trim(), MAX_FIELD_BYTES)));
        }
        if rules.image {
            fields.text("image", contact.image.as_deref().filter(|url| url.len() <= MAX_FIELD_BYTES));
        }
        if rules.location {
            fields.object("location", MAX_PROFILE_BYTES / 4, |location| places(contact, location));
        }
        const AROUND: usize = r#"{"type":"profile","attributes":,"properties":}}"#.len();
        let room = MAX_PROFILE_BYTES.saturating_sub(fields.len() + AROUND);
        fields.object("properties", room, |properties| {
            if let Some(support) = support {
                support.write(properties);
            }
            if rules.properties {
                self.profile_properties(contact, identity, properties);
            }
        });
        let mut json = fields.finish();
        json.push('}');
        json.shrink_to_fit();
        json
    }

    fn profile_properties(&self, contact: &Contact, identity: &Identity, properties: &mut Properties) {
        properties.text("Intercom contact ID", Some(contact.id.as_str()));
        properties.text("Contact role", contact.role.as_deref());
        properties.flag("Intercom_has_hard_bounced", contact.has_hard_bounced);
        properties.flag("Intercom_marked_email_as_spam", contact.marked_email_as_spam);
        properties.flag("Intercom_unsubscribed_from_emails", contact.unsubscribed_from_emails);
        properties.count("Intercom_opted_out_subscription_types_count", contact.opted_out_count);
        if identity.phone.is_none() {
            properties.text("Intercom_phone_raw", contact.phone.as_deref());
        }
        properties.list(TAGS, contact.tags.iter().filter_map(|tag| tag_name(tag, self.directory)));
        for (name, value) in &contact.custom_attributes {
            if self.rules.attributes.contact.allows(name) {
                properties.attribute("Intercom: ", name, &Attribute::from(value));
            }
        }
    }
}

fn places(contact: &Contact, location: &mut Properties) {
    for (name, place) in [("city", &contact.city), ("region", &contact.region), ("country", &contact.country)] {
        location.text(name, place.as_deref().map(|place| cut(place, MAX_FIELD_BYTES)).as_deref());
    }
}
