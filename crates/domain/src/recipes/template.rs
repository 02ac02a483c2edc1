//! Bodies of `POST /api/templates`: plain texts to begin with, in the shop's own words later.

use serde_json::{Value, json};

use super::Recipe;

pub(super) fn body(recipe: Recipe) -> Option<Value> {
    let paragraphs: &[&str] = match recipe {
        Recipe::AfterLowRating => &[
            "Hello {{ first_name|default:'there' }},",
            "you rated your last conversation with us {{ event|lookup:'Conversation Rating' }} out of 5. That is not what we want \
             for you, and we are sorry.",
            "If something is still open, answer this e-mail: it reaches a person, and we put it right.",
        ],
        Recipe::AskForReview => &[
            "Hello {{ first_name|default:'there' }},",
            "thank you for the kind rating. If you have a minute, would you tell others about your experience?",
            "Put the link to your review page here before you turn this flow on.",
        ],
        Recipe::SubmittedTicket | Recipe::OpenTicket | Recipe::LowRating => return None,
    };
    let attributes = json!({
        "name": recipe.title(), "editor_type": "CODE", "html": html(paragraphs), "text": plain(paragraphs),
    });
    Some(json!({ "data": { "type": "template", "attributes": attributes } }))
}

/// Klaviyo refuses to send marketing without a link to unsubscribe.
fn html(paragraphs: &[&str]) -> String {
    let paragraphs: String = paragraphs.iter().map(|text| format!("<p>{text}</p>\n")).collect();
    format!(
        "<!doctype html>\n<html>\n<body style=\"font-family: sans-serif; font-size: 16px; line-height: 1.5\">\n{paragraphs}\
         <p style=\"font-size: 12px\">{{{{ organization.name }}}} · {{% unsubscribe %}}</p>\n</body>\n</html>\n"
    )
}

fn plain(paragraphs: &[&str]) -> String {
    format!("{}\n\n{{{{ organization.name }}}}\n{{% unsubscribe_link %}}\n", paragraphs.join("\n\n"))
}
