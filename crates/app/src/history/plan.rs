//! What an import would cost, before anything is sent. Counts are Intercom's own; the rest is concluded from a sample, and so is which
//! profiles are new to Klaviyo.

use std::collections::BTreeSet;

use domain::ContactId;
use domain::activity::{Context, Finding};
use domain::cost::{Functions, Import, import_dollars};
use domain::history::{Scope, Span, StreamName, findings};
use domain::intercom::read_rest;
use domain::mapping::identity_of;
use serde::Serialize;

use super::{HistoryStore, Importer};
use crate::ports::{CallError, Clock, Intercom, IntercomSearch, KlaviyoReader, KnownBy, SearchBy, SearchQuery};

/// An estimate of an import that would start now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Conversations and tickets.
    pub streams: Vec<StreamPlan>,
    /// Items there are.
    pub items: u64,
    /// Events that would be sent, were none of them in Klaviyo.
    pub events: u64,
    /// Contacts that they belong to.
    pub contacts: u64,
    /// Those with an address or phone number: profiles that Klaviyo gets or has.
    pub profiles: u64,
    /// Those with an e-mail address: Klaviyo bills each that it did not have before.
    pub billable_profiles_at_most: u64,
    /// Profiles that Klaviyo does not have yet, by the sample; `None` where Klaviyo cannot be asked.
    pub new_profiles: Option<u64>,
    /// Those of the new ones that Klaviyo will bill: they have an e-mail address.
    pub new_billable_profiles: Option<u64>,
    /// How many addresses and phone numbers Klaviyo was asked about.
    pub profiles_sampled: u64,
    /// Why Klaviyo was not asked.
    pub note: Option<String>,
    /// Calls to Intercom.
    pub calls: u64,
    /// Minutes at the vendors' documented limits; a slow Intercom takes longer.
    pub minutes: u64,
    /// What it adds to the bill of a deployment on AWS, in US dollars, by the figures of the template as it is shipped
    /// ([`domain::cost`]). On one machine nothing.
    pub dollars_on_aws: f64,
    /// How many items the estimate was concluded from.
    pub sampled: u64,
}

/// One stream of a [`Plan`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamPlan {
    /// `conversations` or `tickets`.
    pub name: &'static str,
    /// Intercom's own count.
    pub items: u64,
    /// Events that they hold.
    pub events: u64,
    /// Why there are none, if Intercom does not let us look.
    pub note: Option<String>,
}

/// Pages that a stream's sample takes, spread over its range.
const SAMPLES: i64 = 4;

/// Requests to Intercom in a minute, of which the import takes four fifths; events that Klaviyo takes in a minute.
const CALLS_A_MINUTE: u64 = 8_000;
const EVENTS_A_MINUTE: u64 = 150_000;

/// What the sample of one stream held.
#[derive(Default)]
struct Sample {
    items: u64,
    events: u64,
    contacts: BTreeSet<ContactId>,
}

/// What is known of the sampled contacts of both streams, and what follows for all.
#[derive(Default)]
struct People {
    /// Addresses, in lower case.
    emails: BTreeSet<String>,
    /// Numbers of those without an address.
    phones: BTreeSet<String>,
    /// Estimates for all.
    with_email: u64,
    with_phone_only: u64,
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Counts, samples and estimates. Sends nothing, queues nothing, and needs no started import.
    pub async fn plan(&self, klaviyo: &impl KlaviyoReader) -> Result<Plan, CallError> {
        let now = self.now();
        let oldest = self.options.days.map_or(0, |days| now - i64::from(days) * 86_400);
        let workspace = self.workspace().await?;
        let mut plan = Plan::default();
        let mut people = People::default();
        for name in StreamName::ALL {
            let mut stream = StreamPlan { name: name.as_str(), ..StreamPlan::default() };
            match self.sample(name, Span::new(oldest, now), workspace.id.as_str()).await {
                Ok((items, sample)) => {
                    stream.items = items;
                    stream.events = scaled(sample.events, items, sample.items);
                    self.add(&mut plan, &mut people, (name, items), sample).await?;
                }
                Err(CallError::Forbidden { what, .. }) => {
                    stream.note = Some(format!("Intercom does not let us read {what}"))
                }
                Err(error) => return Err(error),
            }
            plan.items += stream.items;
            plan.events += stream.events;
            plan.streams.push(stream);
        }
        plan.minutes = (plan.calls.div_ceil(CALLS_A_MINUTE)).max(plan.events.div_ceil(EVENTS_A_MINUTE));
        let import = Import {
            items: plan.items as f64,
            events: plan.events as f64,
            pages: plan.calls as f64,
            minutes: plan.minutes as f64,
        };
        plan.dollars_on_aws = (import_dollars(Functions::SHIPPED, import) * 100.0).ceil() / 100.0;
        ask_klaviyo(&mut plan, &people, klaviyo).await;
        Ok(plan)
    }

    async fn add(
        &self,
        plan: &mut Plan,
        people: &mut People,
        (name, items): (StreamName, u64),
        sample: Sample,
    ) -> Result<(), CallError> {
        let ids: Vec<ContactId> = sample.contacts.iter().take(100).cloned().collect();
        let found = if ids.is_empty() { Vec::new() } else { self.intercom.contacts(&ids).await? };
        let (mut with_email, mut with_phone_only) = (0, 0);
        for identity in found.iter().map(|contact| identity_of(contact, &self.rules)) {
            match (identity.email, identity.phone) {
                (Some(email), _) => {
                    with_email += 1;
                    people.emails.insert(email.to_lowercase());
                }
                (None, Some(phone)) => {
                    with_phone_only += 1;
                    people.phones.insert(phone);
                }
                (None, None) => {}
            }
        }
        let contacts = scaled(sample.contacts.len() as u64, items, sample.items);
        let (email, phone) =
            (scaled(with_email, contacts, ids.len() as u64), scaled(with_phone_only, contacts, ids.len() as u64));
        people.with_email += email;
        people.with_phone_only += phone;
        plan.sampled += sample.items;
        plan.contacts += contacts;
        plan.profiles += email + phone;
        plan.billable_profiles_at_most += email;
        // Windows are filled to three fifths on average.
        let replies = name == StreamName::Conversations
            && self.rules.history_metrics.contains(&domain::Metric::RepliedToConversation);
        plan.calls += (items * 5).div_ceil(u64::from(name.full_page()) * 3) + contacts.div_ceil(100);
        plan.calls += if replies { items } else { 0 };
        Ok(())
    }

    async fn sample(&self, name: StreamName, range: Span, workspace: &str) -> Result<(u64, Sample), CallError> {
        let query =
            |span, per_page| SearchQuery { stream: name, by: SearchBy::CreatedAt, span, per_page, cursor: None };
        let first = self.search_patiently(&query(range, 1)).await?;
        let mut sample = Sample::default();
        // Ascending order is asked for, so the first item is the oldest; where it is not, the sample is less even.
        let oldest = first.items.first().map_or(range.from, |item| item.created_at).max(range.from);
        let step = ((range.to - oldest) / SAMPLES).max(1);
        for part in 0..SAMPLES {
            let span = Span::new(oldest + part * step, (oldest + (part + 1) * step).min(range.to));
            if first.total == 0 || span.is_empty() {
                break;
            }
            let page = self.search_patiently(&query(span, name.full_page())).await?;
            let context = Context { workspace, rules: &self.rules, now: self.clock.now() };
            for item in &page.items {
                sample.items += 1;
                let Ok(read) = read_rest(&item.json) else { continue };
                for finding in findings(&context, name, Scope::History { bound: range.to }, &read) {
                    if let Finding::Event(event) = finding {
                        sample.events += 1;
                        sample.contacts.insert(event.contact);
                    }
                }
            }
        }
        Ok((first.total, sample))
    }
}

/// Which of the sampled people Klaviyo has. That it cannot be asked is said and spoils nothing.
async fn ask_klaviyo(plan: &mut Plan, people: &People, klaviyo: &impl KlaviyoReader) {
    let known = async {
        let emails = known(klaviyo, KnownBy::Email, &people.emails).await?;
        Ok::<_, CallError>((emails, known(klaviyo, KnownBy::Phone, &people.phones).await?))
    };
    let (emails, phones) = match known.await {
        Ok(known) => known,
        Err(CallError::Forbidden { .. }) => {
            let note =
                "Klaviyo's key may not read profiles (scope profiles:read), so which of them are new is not known";
            plan.note = Some(note.to_owned());
            return;
        }
        Err(error) => {
            plan.note = Some(format!("which profiles are new is not known: {error}"));
            return;
        }
    };
    let (asked, asked_phones) = (people.emails.len() as u64, people.phones.len() as u64);
    let billable = scaled(asked - emails, people.with_email, asked);
    plan.profiles_sampled = asked + asked_phones;
    plan.new_billable_profiles = Some(billable);
    plan.new_profiles = Some(billable + scaled(asked_phones - phones, people.with_phone_only, asked_phones));
}

/// How many of them Klaviyo has.
async fn known(klaviyo: &impl KlaviyoReader, by: KnownBy, values: &BTreeSet<String>) -> Result<u64, CallError> {
    let values: Vec<String> = values.iter().cloned().collect();
    let mut count = 0;
    for some in values.chunks(100) {
        let there = klaviyo.known(by, some).await?;
        count += some.iter().filter(|value| there.contains(*value)).count() as u64;
    }
    Ok(count)
}

/// `count` of `sampled`, for `all`.
fn scaled(count: u64, all: u64, sampled: u64) -> u64 {
    let scaled = u128::from(count) * u128::from(all) / u128::from(sampled.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
