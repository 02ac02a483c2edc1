//! What `connect` says.

use app::connect::{OPTIONAL_SCOPES, SCOPES};
use domain::Rules;
use domain::topics::TOPICS;
use serde_json::Value;

use crate::environment::{ACCESS_TOKEN, CLIENT_SECRET, CONSOLE_TOKEN, KLAVIYO_KEY};
use crate::output::table;

pub(super) const BEGINNING: &str = "\
What crosses over: what customers do in Intercom's conversations and tickets, their ratings, and who they are. Message texts stay in
Intercom unless a setting says otherwise; internal notes always do. Consent is never touched. Keys are not shown while you type.
";

pub(super) const INTERCOM: &str = "\
1. Intercom. In the Developer Hub make an app for your own workspace (or open yours).
   Under Authentication allow it to read: conversations, tickets, one user and one company, users and companies, admins, tags.
   Copy the client secret (Basic information) and the access token (Authentication).";

/// How to make the key.
pub(super) fn klaviyo() -> String {
    format!(
        "\n2. Klaviyo. Settings, API keys, Create private key, custom, with {}.\n   For recipes and deletions also {}.",
        SCOPES.join(", "),
        OPTIONAL_SCOPES.join(", ")
    )
}

/// Who owns the secret writes it: nothing is written on AWS from here.
pub(super) fn aws(secret: &str) -> String {
    format!(
        "\nPut the keys into the secret yourself; nothing was written. As JSON in a file of mode 600, secret.json:\n\
         {{\"{CLIENT_SECRET}\": \"…\", \"{ACCESS_TOKEN}\": \"…\", \"{KLAVIYO_KEY}\": \"…\", \"{CONSOLE_TOKEN}\": \"…\"}}\n\
         then: aws secretsmanager put-secret-value --secret-id {secret} --secret-string file://secret.json\n\
         The functions read it again within minutes."
    )
}

/// The topics to tick, each with when it came last where a process runs that knows.
pub(super) fn topics(running: Option<&Value>) -> String {
    let rules = Rules::default();
    let rows: Vec<Vec<String>> = match running.and_then(|report| report["topics"].as_array()) {
        Some(topics) => {
            let wanted = topics.iter().filter(|topic| topic["wanted"] == true);
            let text = |topic: &Value, name: &str| topic[name].as_str().unwrap_or("not yet").to_owned();
            wanted.map(|topic| ["name", "last_seen_at", "reason"].map(|name| text(topic, name)).to_vec()).collect()
        }
        None => {
            let wanted = TOPICS.iter().filter(|topic| topic.is_wanted(&rules));
            wanted.map(|topic| vec![topic.name.to_owned(), topic.reason(&rules)]).collect()
        }
    };
    format!(
        "\n3. Webhooks. In the app: URL https://<your host>/webhooks/intercom, API version 2.16, and these topics:\n{}",
        table(&rows)
    )
}

/// What comes next.
pub(super) fn ending(running: bool) -> &'static str {
    match running {
        true => {
            "\n4. Send a test: press \"Send a test request\" in Intercom, or run `intercom-klaviyo send-sample`. Then \
             `intercom-klaviyo connect --check` shows what has arrived, and `status` the books. A process in set-up mode starts by \
             itself once the keys are there; any other has to be started again to use new ones."
        }
        false => {
            "\n4. Start it: `intercom-klaviyo run`. Then press \"Send a test request\" in Intercom, or run \
             `intercom-klaviyo send-sample`; `intercom-klaviyo connect --check` shows what has arrived."
        }
    }
}
