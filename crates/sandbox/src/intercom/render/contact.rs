//! Contacts.

use serde_json::{Value, json};

use super::{Medium, iso, tag_id};
use crate::intercom::{
    model::Model,
    perform::since,
    spec::{ApiVersion, Role},
};

/// Fields the sandbox knows nothing about.
const UNKNOWN: [&str; 17] = [
    "last_seen_at",
    "last_replied_at",
    "last_contacted_at",
    "last_email_opened_at",
    "last_email_clicked_at",
    "language_override",
    "browser",
    "browser_version",
    "browser_language",
    "os",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "referrer",
    "enabled_push_messaging",
];

fn list(url: String, data: Vec<Value>) -> Value {
    let total = data.len();
    json!({ "type": "list", "data": data, "url": url, "total_count": total, "has_more": false })
}

/// A contact as `GET /contacts/{id}` and `contact.*` notifications show it.
pub(crate) fn contact(model: &Model, index: usize, version: ApiVersion, medium: Medium, now: i64) -> Value {
    let contact = &model.contacts[index];
    let spec = &contact.spec;
    let date = |at: i64| {
        if medium == Medium::Webhook && !since(version, ApiVersion::V2_15) { json!(iso(at)) } else { json!(at) }
    };
    let email = contact.email(now);
    let url = |what: &str| format!("/contacts/{}/{what}", contact.id);
    // Only about ten tags are shown; the rest is at the URL.
    let shown = contact
        .tags
        .iter()
        .take(10)
        .map(|tag| json!({ "id": tag_id(*tag), "type": "tag", "url": format!("/tags/{}", tag_id(*tag)) }));
    let mut tags = list(url("tags"), shown.collect());
    tags["total_count"] = json!(contact.tags.len());
    let mut shown = json!({
        "type": "contact", "id": contact.id, "workspace_id": model.workspace, "external_id": spec.external_id,
        "role": spec.role, "email": email, "phone": spec.phone, "name": spec.name,
        "avatar": spec.avatar_url.as_ref().map(|url| json!({ "type": "avatar", "image_url": url })),
        "owner_id": null, "social_profiles": { "type": "list", "data": [] },
        "has_hard_bounced": spec.has_hard_bounced, "marked_email_as_spam": spec.marked_email_as_spam,
        "unsubscribed_from_emails": spec.unsubscribed_from_emails,
        "created_at": date(contact.created_at), "updated_at": date(contact.updated_at),
        "signed_up_at": (spec.role == Role::User).then(|| date(contact.created_at)),
        "location": {
            "type": "location", "country": spec.country, "region": spec.region, "city": spec.city,
            "country_code": null, "continent_code": null,
        },
        "custom_attributes": spec.custom_attributes, "tags": tags,
        "notes": list(url("notes"), Vec::new()), "companies": list(url("companies"), Vec::new()),
        "opted_out_subscription_types": list(url("subscriptions"), Vec::new()),
        "opted_in_subscription_types": list(url("subscriptions"), Vec::new()),
        "sms_consent": false, "unsubscribed_from_sms": false,
    });
    for key in UNKNOWN {
        shown[key] = Value::Null;
    }
    if medium == Medium::Rest {
        let e164 = spec
            .phone
            .as_ref()
            .filter(|phone| phone.starts_with('+') && phone[1..].bytes().all(|b| b.is_ascii_digit()));
        shown["formatted_phone"] = json!(e164);
        shown["email_domain"] = json!(email.and_then(|email| email.rsplit('@').next()));
    }
    shown
}
