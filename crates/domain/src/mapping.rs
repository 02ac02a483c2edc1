//! From an activity and its contact to the event that Klaviyo gets. Total: it never fails, it leaves out.

pub mod catalog;
mod conversation;
mod profile;
mod properties;
mod ticket;

use jiff::Timestamp;

use crate::activity::Activity;
use crate::contact::Contact;
use crate::directory::Directory;
use crate::identity::Identity;
use crate::intercom::Body;
use crate::klaviyo::PreparedEvent;
use crate::metric::Metric;
use crate::rules::Rules;
use crate::support::Summary;

pub use profile::{identity_of, left_out, properties_only};
pub(crate) use properties::push_json_text;
pub use properties::{Properties, rfc3339};

/// Where an event comes from. History cannot be sent without `backfill`: there is no other way to make its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A notification, or what reconcile found instead of one.
    Live,
    /// The import of the past: recorded, but never triggers a flow.
    History,
}

/// What mapping needs beside the activity.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// The settings.
    pub rules: &'a Rules,
    /// Names behind ids.
    pub directory: &'a Directory,
    /// Where teammates open Intercom: `https://app.intercom.com`, or the region's.
    pub app_url: &'a str,
    /// Live or history.
    pub origin: Origin,
}

impl Mapping<'_> {
    /// The event for one contact. `identity` is what the ledger holds for it, or [`identity_of`] the contact.
    pub fn event(&self, activity: &Activity<'_>, contact: &Contact, identity: &Identity) -> PreparedEvent {
        self.event_with_support(activity, contact, identity, None)
    }

    /// The same, with what the profile is to say about support: the present state, whatever time the event is of.
    pub fn event_with_support(
        &self,
        activity: &Activity<'_>,
        contact: &Contact,
        identity: &Identity,
        support: Option<&Summary>,
    ) -> PreparedEvent {
        let metric = self.rules.metric_name(activity.metric);
        let mut attributes = String::with_capacity(2048);
        attributes.push_str(r#""properties":"#);
        let mut properties = Properties::after(attributes, properties::MAX_PROPERTIES, usize::MAX);
        properties.text("email", identity.email.as_deref());
        properties.text("phone_number", identity.phone.as_deref());
        if is_ticket_metric(activity.metric) {
            self.ticket_properties(activity, &mut properties);
        } else {
            self.conversation_properties(activity, &mut properties);
        }
        let mut attributes = properties.finish();
        attributes.push_str(r#","time":"#);
        properties::push_time(&mut attributes, activity.time);
        attributes.push_str(r#","unique_id":"#);
        push_json_text(&mut attributes, activity.key.as_str());
        attributes.push_str(r#","metric":{"data":{"type":"metric","attributes":{"name":"#);
        push_json_text(&mut attributes, &metric);
        attributes.push_str("}}}");
        if self.origin == Origin::History {
            attributes.push_str(r#","backfill":true"#);
        }
        // A thousand of them wait for their request at a time.
        attributes.shrink_to_fit();
        PreparedEvent {
            key: activity.key.clone(),
            metric,
            time: activity.time,
            contact: activity.contact.clone(),
            identity: identity.clone(),
            attributes,
            profile: self.profile(contact, identity, support),
        }
    }

    /// The names of an assigned teammate and team.
    fn assignees(&self, activity: &Activity<'_>, properties: &mut Properties) {
        let item = activity.item;
        let team = item.team_assignee_id.id().and_then(|id| self.directory.team(id));
        let admin = item.admin_assignee_id.id().and_then(|id| self.directory.admin(id));
        properties.text("Assigned Team", team);
        properties.text("Assigned Admin Name", admin.and_then(|admin| admin.name.as_deref()));
        properties.text("Assigned Admin Email", admin.and_then(|admin| admin.email.as_deref()));
    }

    /// A link for teammates.
    fn item_url(&self, activity: &Activity<'_>, properties: &mut Properties) {
        if let Some(id) = activity.item.id.id() {
            let workspace = activity.key.workspace();
            properties.joined("Conversation URL", &[self.app_url, "/a/apps/", workspace, "/conversations/", id]);
        }
    }

    /// The text of a message, where the settings ask for it.
    fn message(&self, body: Option<Body<'_>>, properties: &mut Properties) {
        if self.rules.message_text_max_chars > 0
            && let Some(body) = body.and_then(|body| body.text())
        {
            let text = crate::text::plain(&body);
            properties.text("Message", Some(&crate::text::cut_chars(&text, self.rules.message_text_max_chars)));
        }
    }
}

fn is_ticket_metric(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::CreatedTicket
            | Metric::SubmittedTicket
            | Metric::RepliedToTicket
            | Metric::MarkedTicketOnHold
            | Metric::ResolvedTicket
            | Metric::TeammateRepliedToTicket
    )
}

/// Minutes between two moments, to one decimal and never 0, which Klaviyo would take for "never set".
fn minutes_between(from: Timestamp, to: Timestamp) -> Option<f64> {
    let seconds = to.as_second() - from.as_second();
    (seconds >= 0).then(|| minutes(seconds as f64))
}

fn minutes(seconds: f64) -> f64 {
    ((seconds / 6.0).round() / 10.0).max(0.1)
}
