//! Samples that others captured or composed, where they are at hand (`../shared/payloads`, or `SHARED_DIR`): each reads, and
//! gives what was worked out by hand from its parts. Only ids and times are repeated here.

use domain::Rules;
use domain::activity::Finding;

use crate::support::{rendered, shared, with_findings};

/// File, then for each event: metric, key without `intercom:{workspace}:`, Unix time.
type Sample = (&'static str, &'static [(&'static str, &'static str, i64)]);

const SUBMITTED: (&str, &str, i64) =
    ("Submitted Ticket", "ticket-submitted:215472629311235:37403374462", 1_768_114_250);
const CREATED: (&str, &str, i64) = ("Created Ticket", "ticket-created:215472629311235", 1_768_114_250);
const RESOLVED: (&str, &str, i64) = ("Resolved Ticket", "ticket-resolved:215472629311235:37404498160", 1_768_117_266);
const ON_HOLD: (&str, &str, i64) =
    ("Marked Ticket On Hold", "ticket-on-hold:215472629311235:37403500001", 1_768_114_700);
const RATED: (&str, &str, i64) = ("Rated Conversation", "conversation-rated:215472621202693:1768032500", 1_768_032_620);

const SAMPLES: &[Sample] = &[
    ("webhook.contact.merged", &[]),
    ("webhook.contact.user.updated", &[]),
    ("webhook.conversation.admin.replied", &[]),
    ("webhook.conversation.admin.replied.api1-2019", &[]),
    ("webhook.conversation.operator.replied", &[]),
    ("webhook.conversation.rating.added", &[RATED]),
    ("webhook.conversation.rating.added.v2_16", &[RATED]),
    (
        "webhook.conversation.read",
        &[("Read Conversation", "conversation-read:215472621202693:37358121434", 1_768_031_794)],
    ),
    (
        "webhook.conversation.user.created",
        &[("Created Conversation", "conversation-created:215472621202693", 1_768_031_789)],
    ),
    // API 1.x names its author in another place: kept for a person to see, never guessed.
    ("webhook.conversation.user.created.api1-2019", &[]),
    (
        "webhook.conversation.user.replied",
        &[("Replied to Conversation", "conversation-replied:37358130001", 1_768_031_900)],
    ),
    (
        "webhook.conversation.user.replied.api1-2019",
        &[("Replied to Conversation", "conversation-replied:2824391734", 1_553_291_307)],
    ),
    ("webhook.ping", &[]),
    ("webhook.ticket.admin.replied", &[SUBMITTED]),
    ("webhook.ticket.closed.pre-2.15", &[SUBMITTED, RESOLVED]),
    ("webhook.ticket.closed.v2_15", &[SUBMITTED, RESOLVED]),
    ("webhook.ticket.contact.attached", &[]),
    (
        "webhook.ticket.contact.replied",
        &[
            ("Replied to Ticket", "ticket-replied:37404590647", 1_768_117_506),
            ("Submitted Ticket", "ticket-submitted:215472629548109:37404587721", 1_768_117_498),
        ],
    ),
    ("webhook.ticket.created", &[CREATED, SUBMITTED]),
    ("webhook.ticket.created.retry", &[CREATED, SUBMITTED]),
    ("webhook.ticket.resolved.v2_16", &[SUBMITTED, RESOLVED]),
    ("webhook.ticket.state.updated.auto-in-progress", &[SUBMITTED, ON_HOLD]),
    ("webhook.ticket.state.updated.resolved.v2_11", &[SUBMITTED, RESOLVED]),
    ("webhook.ticket.state.updated.submitted", &[SUBMITTED]),
    ("webhook.ticket.state.updated.waiting", &[SUBMITTED, ON_HOLD]),
    ("rest.conversation_list_item.is_ticket", &[]),
    ("rest.conversation_list_item.v2_11", &[("Created Conversation", "conversation-created:1", 1_607_553_243)]),
];

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn samples_of_others_mean_what_their_parts_say() {
    let Some(dir) = shared("payloads") else {
        eprintln!("no samples at hand: nothing checked");
        return;
    };
    for (name, expected) in SAMPLES {
        let bytes = std::fs::read(dir.join(format!("{name}.json"))).expect("the sample");
        let found = with_findings(&bytes, &Rules::default(), |findings, _| {
            let mut events = Vec::new();
            for finding in findings {
                if let Finding::Event(activity) = finding {
                    let key = activity.key.as_str().splitn(3, ':').nth(2).unwrap_or_default().to_owned();
                    events.push((activity.metric.name(), key, activity.time.as_second()));
                }
            }
            events
        });
        let expected: Vec<_> = expected.iter().map(|(metric, key, time)| (*metric, (*key).to_owned(), *time)).collect();
        assert_eq!(found, Some(expected), "{name}: {}", rendered(&bytes, &Rules::default()));
    }
    for entry in std::fs::read_dir(dir).expect("the samples") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let known = SAMPLES.iter().any(|(known, _)| name == format!("{known}.json"));
        assert!(known || !name.starts_with("webhook."), "{name} is not in the table");
    }
}
