//! What a shop makes of the data on its first day: segments and flows that can be created through Klaviyo's API.
//!
//! Pure: a [`Recipe`] and what is known of the account ([`Parts`]) become the bodies of the requests, or the list of what is
//! missing. Nothing here is ever live: flows are made as drafts, and a human turns them on.
//!
//! Shapes: <https://developers.klaviyo.com/en/reference/create_segment>, <https://developers.klaviyo.com/en/reference/create_flow>
//! and <https://developers.klaviyo.com/en/reference/create_template>, revision [`REVISION`](crate::klaviyo::REVISION).

mod flow;
mod segment;
mod template;

use serde::Serialize;
use serde_json::Value;

use crate::metric::Metric;
use crate::rules::Rules;

/// A segment or a flow with a fixed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Segment: submitted a ticket in the last 30 days.
    SubmittedTicket,
    /// Segment: an open ticket now, to be left out of campaigns.
    OpenTicket,
    /// Segment: rated 1 or 2 in the last 90 days.
    LowRating,
    /// Flow: writes to somebody after a low rating.
    AfterLowRating,
    /// Flow: asks for a review after a top rating.
    AskForReview,
}

/// What a request to Klaviyo makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetKind {
    /// People who meet conditions.
    Segment,
    /// Messages that follow a trigger.
    Flow,
    /// The text of an e-mail.
    Template,
}

impl AssetKind {
    /// The path of its API.
    pub fn path(self) -> &'static str {
        match self {
            Self::Segment => "/api/segments",
            Self::Flow => "/api/flows",
            Self::Template => "/api/templates",
        }
    }

    /// For people, and JSON:API's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Flow => "flow",
            Self::Template => "template",
        }
    }
}

/// What a recipe needs of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Klaviyo's id of [`Recipe::metric`].
    pub metric: Option<String>,
    /// Klaviyo's id of the template with the recipe's name.
    pub template: Option<String>,
    /// Address and name that the account sends from; without them the flow's e-mail names no sender, and Klaviyo asks for one.
    pub sender: Option<(String, String)>,
}

impl Recipe {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::SubmittedTicket, Self::OpenTicket, Self::LowRating, Self::AfterLowRating, Self::AskForReview];

    /// The name by which commands and the API know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubmittedTicket => "submitted-ticket",
            Self::OpenTicket => "open-ticket",
            Self::LowRating => "low-rating",
            Self::AfterLowRating => "after-low-rating",
            Self::AskForReview => "ask-for-review",
        }
    }

    /// The recipe of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name() == name)
    }

    /// The name in Klaviyo. What has this name there is taken for this recipe's, whoever made it.
    pub fn title(self) -> &'static str {
        match self {
            Self::SubmittedTicket => "Intercom: submitted a ticket in the last 30 days",
            Self::OpenTicket => "Intercom: open ticket now (leave out of campaigns)",
            Self::LowRating => "Intercom: rated 1 or 2 in the last 90 days",
            Self::AfterLowRating => "Intercom: after a low rating",
            Self::AskForReview => "Intercom: ask for a review after a top rating",
        }
    }

    /// What it makes.
    pub fn kind(self) -> AssetKind {
        match self {
            Self::SubmittedTicket | Self::OpenTicket | Self::LowRating => AssetKind::Segment,
            Self::AfterLowRating | Self::AskForReview => AssetKind::Flow,
        }
    }

    /// One sentence: who is in it, or what it does.
    pub fn summary(self) -> &'static str {
        match self {
            Self::SubmittedTicket => "People with at least one submitted ticket in the last 30 days.",
            Self::OpenTicket => {
                "People with an open ticket at this moment; exclude it from campaigns while support is talking to them."
            }
            Self::LowRating => "People who rated a conversation 1 or 2 in the last 90 days.",
            Self::AfterLowRating => {
                "Draft: an hour after a rating of 1 or 2, one e-mail to subscribers; at most once in 30 days a person."
            }
            Self::AskForReview => {
                "Draft: a day after a rating of 5, a request for a review to subscribers without an open ticket; at most once \
                 in 90 days a person."
            }
        }
    }

    /// The metric that it counts or waits for. It has to exist in Klaviyo, which is so from its first event on.
    pub fn metric(self) -> Option<Metric> {
        match self {
            Self::SubmittedTicket => Some(Metric::SubmittedTicket),
            Self::OpenTicket => None,
            Self::LowRating | Self::AfterLowRating | Self::AskForReview => Some(Metric::RatedConversation),
        }
    }

    /// The full name of [`Recipe::metric`] in this shop.
    pub fn metric_name(self, rules: &Rules) -> Option<String> {
        self.metric().map(|metric| rules.metric_name(metric))
    }

    /// What the API key must be allowed, `metrics:read` aside: reading, so that nothing is made twice, and writing.
    pub fn scopes(self) -> &'static [&'static str] {
        match self.kind() {
            AssetKind::Segment => &["segments:read", "segments:write"],
            AssetKind::Flow | AssetKind::Template => {
                &["flows:read", "flows:write", "templates:read", "templates:write"]
            }
        }
    }

    /// Body of the request that makes the e-mail's text; `None` for segments, which have none.
    pub fn template(self) -> Option<Value> {
        template::body(self)
    }

    /// Body of the request that makes the segment or flow; `None` while a part that it needs is missing.
    pub fn body(self, parts: &Parts) -> Option<Value> {
        match self.kind() {
            AssetKind::Segment => segment::body(self, parts),
            AssetKind::Flow | AssetKind::Template => flow::body(self, parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for recipe in Recipe::ALL {
            assert_eq!(Recipe::find(recipe.name()), Some(recipe));
            let same = Recipe::ALL.into_iter().filter(|other| other.title() == recipe.title()).count();
            assert_eq!(same, 1, "{}", recipe.title());
        }
        assert_eq!(Recipe::find("nothing"), None);
    }

    #[test]
    fn without_its_metric_nothing_is_made() {
        for recipe in Recipe::ALL {
            let parts = Parts { template: Some("T".to_owned()), ..Parts::default() };
            assert_eq!(recipe.body(&parts).is_none(), recipe.metric().is_some(), "{}", recipe.name());
        }
    }

    #[test]
    fn a_flow_is_a_draft_that_history_and_the_unsubscribed_do_not_enter() {
        for recipe in Recipe::ALL.into_iter().filter(|recipe| recipe.kind() == AssetKind::Flow) {
            let parts = Parts { metric: Some("M".to_owned()), template: Some("T".to_owned()), sender: None };
            let body = recipe.body(&parts).expect("all parts are there");
            let text = body.to_string();
            assert!(text.contains(r#""status":"draft""#) && !text.contains(r#""status":"live""#), "{text}");
            assert!(text.contains(r#""can_receive_marketing":true"#), "{text}");
            assert!(text.contains(r#""field":"backfill""#), "{text}");
            assert!(recipe.body(&Parts { template: None, ..parts }).is_none(), "a flow needs its template");
        }
    }

    #[test]
    fn a_rating_filter_says_where_low_ends_and_top_begins() {
        let parts = Parts { metric: Some("M".to_owned()), template: Some("T".to_owned()), sender: None };
        let text = |recipe: Recipe| recipe.body(&parts).expect("all parts are there").to_string();
        assert!(text(Recipe::LowRating).contains(r#""operator":"less-than-or-equal","type":"numeric","value":2"#));
        assert!(text(Recipe::AfterLowRating).contains(r#""operator":"less-than-or-equal","type":"numeric","value":2"#));
        assert!(text(Recipe::AskForReview).contains(r#""operator":"equals","type":"numeric","value":5"#));
    }
}
