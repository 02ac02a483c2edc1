//! Events a second on one core, from raw bytes and signature to the request for Klaviyo, beside a floor: a program that does
//! the same for one fixed mapping, with typed structs and nothing to choose. And what verifying costs beside the bare HMAC.
//!
//! `cargo bench -p domain --bench transform`. Figures are medians of interleaved rounds; only the ratios have budgets.
#![expect(clippy::print_stdout, reason = "the table is the output")]

#[path = "transform/floor.rs"]
mod floor;

use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::activity::{Context, Finding, from_notification};
use domain::contact::Contact;
use domain::directory::{Directory, Person};
use domain::intercom::{Call, read};
use domain::mapping::{Mapping, Origin, identity_of};
use domain::signature::{SignatureHeaders, sign_hub, verify};
use domain::{ClientSecrets, Rules};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde_json::{Value, json};

const SECRET: &str = "5f2c9a7e-client-secret-of-the-bench";
const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_millis(40);

struct Product {
    secrets: ClientSecrets,
    rules: Rules,
    directory: Directory,
    contact: Contact,
    now: jiff::Timestamp,
}

impl Product {
    /// Every event of a notification, as the body of its request. Gives the bytes written.
    fn transform(&self, header: &str, body: &[u8], wanted: domain::Metric) -> usize {
        let headers = SignatureHeaders { hub: Some(header.as_bytes()), body: None };
        let verified = verify(&self.secrets, headers, body).expect("a right signature");
        let Ok(Call::Notification(notification)) = read(verified) else { panic!("it reads") };
        let context =
            Context { workspace: notification.app_id.get().unwrap_or_default(), rules: &self.rules, now: self.now };
        let mapping = Mapping {
            rules: &self.rules,
            directory: &self.directory,
            app_url: "https://app.intercom.com",
            origin: Origin::Live,
        };
        let mut written = 0;
        for finding in from_notification(&context, &notification) {
            // The floor writes one event; what else the ticket's history tells is found and then left.
            if let Finding::Event(activity) = finding
                && activity.metric == wanted
            {
                let identity = identity_of(&self.contact, &self.rules);
                written += mapping.event(&activity, &self.contact, &identity).single_body().len();
            }
        }
        written
    }
}

fn main() {
    let product = Product {
        secrets: ClientSecrets::parse(&SecretString::from(SECRET)).expect("a secret"),
        rules: Rules::default(),
        directory: Directory::new(
            vec![Person {
                id: "7301".to_owned(),
                name: Some("Ines Okoro".to_owned()),
                email: Some("ines@lantern.test".to_owned()),
            }],
            vec![("512".to_owned(), "Wholesale".to_owned())],
            vec![("41".to_owned(), "wholesale".to_owned()), ("42".to_owned(), "bonn".to_owned())],
        ),
        contact: Contact::parse(&bytes(&fixture("rest.contact.user.v2_16"))).expect("a contact"),
        now: jiff::Timestamp::from_second(1_790_100_000).expect("a time"),
    };
    let fixed = floor::Fixed::new(&product.contact);

    println!("{:<44} {:>9} {:>12} {:>12} {:>7}  budget", "", "bytes", "product", "floor", "ratio");
    for case in cases() {
        let header = sign_hub(&product.secrets, &case.body);
        let [ours, theirs] = medians([&mut || product.transform(&header, &case.body, case.metric), &mut || {
            (case.floor)(&fixed, SECRET.as_bytes(), &header, &case.body)
        }]);
        let ratio = theirs / ours;
        println!(
            "{:<44} {:>9} {:>10.0}/s {:>10.0}/s {:>7.2}  {}",
            case.name,
            case.body.len(),
            1.0 / ours,
            1.0 / theirs,
            ratio,
            verdict(ratio >= 0.75, "≥ 0.75"),
        );
    }

    println!("\n{:<44} {:>9} {:>12} {:>12} {:>7}  budget", "", "bytes", "verify()", "bare HMAC", "ratio");
    for case in cases() {
        let header = sign_hub(&product.secrets, &case.body);
        let headers = SignatureHeaders { hub: Some(header.as_bytes()), body: None };
        let [ours, bare] = medians([
            &mut || {
                verify(&product.secrets, headers, &case.body).map(|verified| verified.body().len()).unwrap_or_default()
            },
            &mut || {
                let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).expect("any key");
                mac.update(&case.body);
                usize::from(mac.finalize().into_bytes()[0])
            },
        ]);
        let ratio = ours / bare;
        println!(
            "{:<44} {:>9} {:>9.2} µs {:>9.2} µs {:>7.2}  {}",
            case.name,
            case.body.len(),
            ours * 1e6,
            bare * 1e6,
            ratio,
            verdict(ratio <= 1.3, "≤ 1.30"),
        );
    }
}

fn verdict(holds: bool, budget: &str) -> String {
    format!("{budget} {}", if holds { "PASS" } else { "MISS" })
}

/// Seconds for one run of each, side by side: rounds alternate, so that what else the machine does hits both.
fn medians<const N: usize>(mut programs: [&mut dyn FnMut() -> usize; N]) -> [f64; N] {
    let mut rounds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (program, times) in programs.iter_mut().zip(&mut rounds) {
            let (start, mut runs) = (Instant::now(), 0_u32);
            while start.elapsed() < ROUND {
                for _ in 0..50 {
                    black_box(program());
                }
                runs += 50;
            }
            times.push(start.elapsed().as_secs_f64() / f64::from(runs));
        }
    }
    rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

struct Case {
    name: &'static str,
    body: Vec<u8>,
    metric: domain::Metric,
    floor: fn(&floor::Fixed, &[u8], &str, &[u8]) -> usize,
}

fn cases() -> Vec<Case> {
    let mut created = fixture("conversation.user.created.v2_16");
    created["data"]["item"]["source"]["body"] = "Is the rye loaf vegan and free of nuts? ".repeat(20).into();
    let mut replied = fixture("conversation.user.replied.v2_14");
    replied["data"]["item"]["conversation_parts"]["conversation_parts"][0]["body"] =
        format!("<p>{}</p>", "And the oat one? ".repeat(20)).into();
    vec![
        Case {
            name: "conversation.user.created",
            body: bytes(&created),
            metric: domain::Metric::CreatedConversation,
            floor: floor::Fixed::conversation,
        },
        Case {
            name: "conversation.user.replied",
            body: bytes(&replied),
            metric: domain::Metric::RepliedToConversation,
            floor: floor::Fixed::conversation,
        },
        Case {
            name: "ticket.contact.replied with its history",
            body: bytes(&with_history(fixture("ticket.contact.replied.v2_16"))),
            metric: domain::Metric::RepliedToTicket,
            floor: floor::Fixed::ticket,
        },
    ]
}

/// A ticket that was talked about for a while.
fn with_history(mut reply: Value) -> Value {
    let parts = reply["data"]["item"]["ticket"]["ticket_parts"]["ticket_parts"].as_array_mut().expect("parts");
    for index in 0..62 {
        parts.push(json!({
            "type": "ticket_part", "id": format!("{}", 61_000 + index), "part_type": "comment",
            "body": format!("<p class=\"no-margin\">{}</p>", "The cake came on Monday. ".repeat(5)),
            "created_at": 1_790_000_903 + index, "updated_at": 1_790_000_903 + index,
            "author": {"type": "admin", "id": "7301", "name": "Ines Okoro", "email": "ines@lantern.test"},
            "attachments": [], "redacted": false,
        }));
    }
    let count = parts.len();
    reply["data"]["item"]["ticket"]["ticket_parts"]["total_count"] = count.into();
    reply
}

fn bytes(json: &Value) -> Vec<u8> {
    serde_json::to_vec(json).expect("JSON")
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("the fixture")).expect("JSON")
}
