//! Delivery decisions: where a message goes once its events have a fate, how a refused bulk request is cut down, when a
//! contact is asked for again, what a refusal may say.

use std::collections::HashSet;
use std::time::Duration;

use crate::klaviyo::{ApiError, BULK_MAX_EVENTS};
use crate::skip::Skip;

/// Fate of one event in one pass over its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFate {
    /// Klaviyo took it now.
    Sent,
    /// Klaviyo took it in an earlier pass of this message.
    SentBefore,
    /// Not wanted.
    Skipped(Skip),
    /// Its contact cannot be identified yet, and waiting in the queue is over.
    Parked,
    /// Refused for good, for this reason.
    Dead(String),
    /// To be tried again.
    Waits,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageFate {
    /// Back to the queue.
    Deferred,
    /// Refused for good.
    Dead(String),
    /// Off the queue until its contact is known.
    Parked,
    /// Done.
    Delivered,
    /// Done, nothing was wanted.
    Skipped(Skip),
}

/// A message is back in the queue while one of its events is to be tried again; else dead when one was refused, else parked
/// while one waits, else delivered when one was sent, else skipped.
pub fn message_fate(events: &[EventFate], sent_before: bool) -> MessageFate {
    let mut dead = None;
    let mut parked = false;
    let mut sent = sent_before;
    let mut skipped: Option<&Skip> = None;
    for event in events {
        match event {
            EventFate::Waits => return MessageFate::Deferred,
            EventFate::Dead(reason) => dead = dead.or(Some(reason)),
            EventFate::Parked => parked = true,
            EventFate::Sent | EventFate::SentBefore => sent = true,
            // "All there before" says more than why the message's other parts gave nothing.
            EventFate::Skipped(Skip::Duplicate) => skipped = Some(&Skip::Duplicate),
            EventFate::Skipped(reason) => skipped = skipped.or(Some(reason)),
        }
    }
    match (dead, parked, sent) {
        (Some(reason), _, _) => MessageFate::Dead(reason.clone()),
        (None, true, _) => MessageFate::Parked,
        (None, false, true) => MessageFate::Delivered,
        (None, false, false) => MessageFate::Skipped(skipped.cloned().unwrap_or(Skip::Duplicate)),
    }
}

/// How to send so many events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /api/events`, one each.
    Singly,
    /// `POST /api/event-bulk-create-jobs`.
    Bulk,
}

/// Up to this many events go singly: they are answered one by one, and a refusal concerns one.
pub const FEW: usize = 10;

/// Few events go singly unless only bulk has room. History is bulk's from two events on, to leave the single endpoint to live
/// traffic.
pub fn route(events: usize, live: bool, single_now: u32, bulk_now: u32) -> Route {
    let few = if live { FEW } else { 1 };
    let single_has_room = single_now as usize >= events;
    if events <= few && (single_has_room || bulk_now == 0) { Route::Singly } else { Route::Bulk }
}

/// How many items of history to take next, so that their events fill one bulk request and do not begin another that would be nearly
/// empty: Klaviyo takes few of them a minute. By how many events the last items had, with a twentieth to spare.
pub fn next_batch(items: usize, events: usize) -> usize {
    (items.saturating_mul(BULK_MAX_EVENTS * 19 / 20) / events.max(1)).max(1)
}

/// What to do with a refused bulk request of several events: indices into it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CutDown {
    /// To be sent singly, which gives each its own verdict.
    pub singly: Vec<usize>,
    /// To be sent in bulk again, as separate requests.
    pub bulk: Vec<Vec<usize>>,
}

/// Below this size halving costs more requests than sending singly.
const HALVING_MIN: usize = 16;

/// Cuts a refused bulk request down. The events that the error pointers name are sent singly, the others in bulk again; without
/// a usable pointer, or when cutting by pointers went on for `rounds`, the request is halved, and small ones go singly.
pub fn cut_down(count: usize, errors: &[ApiError], round: u32) -> CutDown {
    const MAX_POINTER_ROUNDS: u32 = 3;
    let mut named: Vec<usize> = errors
        .iter()
        .filter_map(|error| error.pointer.as_deref())
        .filter_map(bulk_index)
        .filter(|index| *index < count)
        .collect();
    named.sort_unstable();
    named.dedup();
    if !named.is_empty() && round < MAX_POINTER_ROUNDS {
        let rest: Vec<usize> = (0..count).filter(|index| named.binary_search(index).is_err()).collect();
        let bulk = if rest.is_empty() { Vec::new() } else { vec![rest] };
        return CutDown { singly: named, bulk };
    }
    if count <= HALVING_MIN {
        return CutDown { singly: (0..count).collect(), bulk: Vec::new() };
    }
    let middle = count / 2;
    CutDown { singly: Vec::new(), bulk: vec![(0..middle).collect(), (middle..count).collect()] }
}

/// The index in `/data/attributes/events-bulk-create/data/<i>/…`.
fn bulk_index(pointer: &str) -> Option<usize> {
    let (_, rest) = pointer.split_once("events-bulk-create/data/")?;
    rest.split('/').next()?.parse().ok()
}

/// Whether a refusal is about the phone number, which the event can go without.
pub fn refuses_phone(errors: &[ApiError]) -> bool {
    points_at(errors, "phone_number")
}

/// Whether a refusal is about a `unique_id` that Klaviyo has seen: the event is there.
pub fn refuses_as_duplicate(errors: &[ApiError]) -> bool {
    points_at(errors, "unique_id")
}

fn points_at(errors: &[ApiError], field: &str) -> bool {
    errors.iter().any(|error| error.pointer.as_deref().is_some_and(|pointer| pointer.ends_with(field)))
}

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 300;

/// A refusal in one sentence for people, without personal data: every text that the event carried is masked, whole and word by
/// word, and so is everything that looks like an address, a phone number or a key.
pub fn refusal(vendor: &str, status: u16, errors: &[ApiError], sent: &[String]) -> String {
    let mut reason = format!("{vendor} refused it with {status}");
    if let Some(error) = errors.first() {
        let said = error.detail.as_deref().or(error.title.as_deref()).or(error.code.as_deref());
        if let Some(said) = said {
            reason.push_str(": ");
            reason.push_str(&redact(&crate::text::cut_chars(said, MAX_REASON_CHARS), sent));
        }
        if let Some(pointer) = &error.pointer {
            reason.push_str(" (at ");
            reason.push_str(&redact(pointer, &[]));
            reason.push(')');
        }
    }
    crate::text::cut_chars(&reason, MAX_REASON_CHARS).into_owned()
}

const MASK: &str = "[hidden]";

/// Fewer digits are a count, a status, a year.
const MIN_PHONE_DIGITS: usize = 6;

/// Shorter words say nothing about anybody, and masking them would leave no sentence.
const MIN_WORD_CHARS: usize = 3;

/// Masks the given texts wherever they stand, every word of them, and every word that could be an address, a phone number, a long
/// number or a key.
pub fn redact(text: &str, sent: &[String]) -> String {
    let mut masked = text.to_owned();
    let mut values: Vec<&str> = sent.iter().map(|value| value.trim()).filter(|value| value.len() > 3).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        masked = replace_ignoring_case(&masked, value);
    }
    let words = sent.iter().flat_map(|value| words(value)).map(str::to_lowercase).collect();
    mask_words(&mask_numbers(&masked), &words)
}

/// Masks what could be a phone number as people write it, blanks and brackets included.
fn mask_numbers(text: &str) -> String {
    let belongs = |c: char| c.is_ascii_digit() || matches!(c, '+' | '(' | ')' | '-' | '.' | '/' | ' ');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let run = rest[..end].trim_end();
        if run.bytes().filter(u8::is_ascii_digit).count() >= MIN_PHONE_DIGITS {
            out.push_str(MASK);
        } else {
            out.push_str(run);
        }
        rest = &rest[run.len()..];
    }
    out.push_str(rest);
    out
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= MIN_WORD_CHARS)
}

fn replace_ignoring_case(text: &str, value: &str) -> String {
    let (lower, needle) = (text.to_ascii_lowercase(), value.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find(&needle) {
        out.push_str(&text[from..from + at]);
        out.push_str(MASK);
        from += at + needle.len();
    }
    out.push_str(&text[from..]);
    out
}

fn mask_words(text: &str, private: &HashSet<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for token in text.split_inclusive(char::is_whitespace) {
        let core = token.trim_end();
        let digits = core.bytes().filter(u8::is_ascii_digit).count();
        let looks_private = core.contains('@') || core.contains("pk_") || digits >= MIN_PHONE_DIGITS;
        if looks_private || (core != MASK && words(core).any(|word| private.contains(&word.to_lowercase()))) {
            out.push_str(MASK);
            out.push_str(&token[core.len()..]);
        } else {
            out.push_str(token);
        }
    }
    out
}

/// How long to wait before a contact without e-mail and phone is asked for again; `None`: park the event. The address
/// usually comes seconds after the first message.
pub fn address_wait(tries: u16) -> Option<Duration> {
    [2, 5, 10, 20].get(usize::from(tries)).map(|seconds| Duration::from_secs(*seconds))
}

/// How long to wait before a contact that Intercom does not know is asked for again; `None`: it is gone.
pub fn unknown_wait(tries: u16) -> Option<Duration> {
    [1, 2, 4].get(usize::from(tries)).map(|seconds| Duration::from_secs(*seconds))
}

/// When the sweep looks at a parked message again, by how long it has been parked: soon at first, daily later.
pub fn parked_check_after(parked_for: Duration) -> Duration {
    const MINUTE: u64 = 60;
    let minutes = match parked_for.as_secs() / MINUTE {
        0..10 => 2,
        10..60 => 10,
        60..1440 => 120,
        _ => 1440,
    };
    Duration::from_secs(minutes * MINUTE)
}

/// Tries that may fail before an event is given up. Only those count that failed while the vendor was answering others, so an
/// outage never uses them up.
pub const MAX_ATTEMPTS: u16 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn pointing(pointers: &[&str]) -> Vec<ApiError> {
        pointers
            .iter()
            .map(|pointer| ApiError { pointer: Some((*pointer).to_owned()), ..ApiError::default() })
            .collect()
    }

    #[test]
    fn the_worst_fate_of_its_events_is_the_message_s() {
        use EventFate::{Dead, Parked, Sent, SentBefore, Skipped, Waits};
        let dead = || Dead("no".to_owned());
        for (events, before, expected) in [
            (vec![Sent, Waits, dead()], false, MessageFate::Deferred),
            (vec![Sent, Parked, dead()], false, MessageFate::Dead("no".to_owned())),
            (vec![Sent, Parked], false, MessageFate::Parked),
            (vec![Skipped(Skip::InProgress), SentBefore], false, MessageFate::Delivered),
            (vec![Skipped(Skip::Expired)], true, MessageFate::Delivered),
            (
                vec![Skipped(Skip::InProgress), Skipped(Skip::Duplicate), Skipped(Skip::NoReply)],
                false,
                MessageFate::Skipped(Skip::Duplicate),
            ),
            (vec![Skipped(Skip::InProgress), Skipped(Skip::NoReply)], false, MessageFate::Skipped(Skip::InProgress)),
        ] {
            assert_eq!(message_fate(&events, before), expected, "{events:?}");
        }
    }

    #[test]
    fn pointers_name_the_culprits() {
        let errors = pointing(&[
            "/data/attributes/events-bulk-create/data/2/attributes/profile/data/attributes/email",
            "/data/attributes/events-bulk-create/data/0/attributes",
            "/data/attributes/events-bulk-create/data/99/attributes",
        ]);
        let cut = cut_down(4, &errors, 0);
        assert_eq!(cut, CutDown { singly: vec![0, 2], bulk: vec![vec![1, 3]] });
    }

    #[test]
    fn vague_refusals_are_halved_down_to_single_events() {
        let cut = cut_down(40, &pointing(&["/data"]), 0);
        assert_eq!(cut.bulk.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20]);
        assert_eq!(cut_down(16, &[], 0).singly.len(), 16);
    }

    #[test]
    fn cutting_down_always_ends() {
        // Every round names one event and refuses the rest, and still every event is sent singly in the end.
        let errors = pointing(&["/data/attributes/events-bulk-create/data/0/attributes"]);
        let mut requests = vec![((0..1000).collect::<Vec<usize>>(), 0)];
        let (mut singly, mut steps) = (Vec::new(), 0);
        while let Some((request, round)) = requests.pop() {
            steps += 1;
            let cut = cut_down(request.len(), &errors, round);
            singly.extend(cut.singly.iter().map(|index| request[*index]));
            requests.extend(cut.bulk.iter().map(|part| (part.iter().map(|i| request[*i]).collect(), round + 1)));
        }
        singly.sort_unstable();
        assert_eq!(singly, (0..1000).collect::<Vec<_>>());
        assert!(steps < 300, "{steps}");
    }

    #[test]
    fn refusals_hide_personal_data() {
        let errors = [ApiError {
            detail: Some("Invalid email ANN@shop.test for Ann Smith, call +1 (415) 555-01 99 or 4155550199, Smith has Plutonium, key pk_abc".to_owned()),
            ..ApiError::default()
        }];
        let sent = ["ann@shop.test", "Ann Smith", "plutonium plan"].map(str::to_owned);
        let reason = refusal("Klaviyo", 400, &errors, &sent);
        for secret in ["ann@", "ANN@", "Ann", "Smith", "0199", "415", "555", "plutonium", "pk_"] {
            assert!(!reason.contains(secret), "{reason}");
        }
        assert!(reason.starts_with("Klaviyo refused it with 400: Invalid email [hidden]"), "{reason}");
    }

    #[test]
    fn the_next_batch_of_history_fills_one_request() {
        for (items, events, expected) in
            [(1_000, 1_000, 950), (1_000, 1_500, 633), (600, 900, 633), (10, 1, 9_500), (1, 0, 950)]
        {
            assert_eq!(next_batch(items, events), expected, "{items} items with {events} events");
            assert!(events == 0 || expected * events / items <= BULK_MAX_EVENTS);
        }
        assert_eq!(next_batch(0, 5_000), 1, "never none");
    }

    #[test]
    fn few_events_go_singly() {
        assert_eq!(route(10, true, 350, 10), Route::Singly);
        assert_eq!(route(11, true, 350, 10), Route::Bulk);
        assert_eq!(route(5, true, 2, 10), Route::Bulk);
        assert_eq!(route(5, true, 2, 0), Route::Singly);
        assert_eq!(route(2, false, 350, 10), Route::Bulk);
    }
}
