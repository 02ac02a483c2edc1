//! An Intercom for benchmarks: a past of any length that is computed and not kept, the documented limit, and a fixed latency.
//!
//! It shares no code with the product and costs a fraction of it, so that what is measured is the product.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::Value;

use crate::http::{Answer, Call, json, serve};

/// The workspace.
pub const WORKSPACE: &str = "bench001";

/// Length of Intercom's window (<https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting>).
const WINDOW: Duration = Duration::from_secs(10);

/// The documented limit (the same page).
pub const DOCUMENTED: u32 = 1_667;

/// More than anybody asks for.
const UNLIMITED: u32 = 1_000_000;

/// Replies of the contact in each conversation that is read with its parts.
pub const REPLIES: u64 = 2;

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Conversations in all, spread evenly over time.
    pub conversations: u64,
    /// When the first one was made, in Unix seconds.
    pub from: i64,
    /// Seconds between two.
    pub step: i64,
    /// Contacts in all; conversation `n` is of contact `n % contacts`.
    pub contacts: u64,
    /// Time to an answer.
    pub latency: Duration,
    /// Calls in each 10 seconds. The answers tell it, so that the product keeps to it whatever is documented.
    pub limit: u32,
}

impl Past {
    /// Conversations over the last two years, next to no limit, no latency. The youngest is two days old: history's, not live's. Three conversations are of two contacts.
    pub fn of(conversations: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let (days, wished) = (86_400, conversations.max(1).cast_signed());
        let step = (728 * days / wished).max(1);
        let from = now - 2 * days - step * wished;
        Self {
            conversations,
            from,
            step,
            contacts: (conversations * 2 / 3).max(1),
            latency: Duration::ZERO,
            limit: UNLIMITED,
        }
    }

    /// Events that an import of it makes; every second conversation is rated.
    pub fn events(&self, replies: bool) -> u64 {
        let rated = self.conversations.div_ceil(2);
        self.conversations + rated + if replies { self.conversations * REPLIES } else { 0 }
    }

    /// The first conversation that was made at this second or later.
    fn first_at(&self, second: i64) -> u64 {
        let steps = second.saturating_sub(self.from).max(0).cast_unsigned().div_ceil(self.step.cast_unsigned());
        steps.min(self.conversations)
    }
}

/// What it was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Calls that were answered.
    pub calls: u64,
    /// Calls that were refused with 429.
    pub refused: u64,
    /// Conversations read with their parts.
    pub read: u64,
}

struct State {
    window: u64,
    used: u32,
    asked: Asked,
    first_read: Option<Instant>,
    read: HashSet<String>,
    /// How many, by the second after the first one.
    by_second: Vec<u64>,
}

/// Serves until the process ends.
#[derive(Clone)]
pub struct Intercom {
    /// Where.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Intercom {
    /// Starts it.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(past: Past) -> std::io::Result<Self> {
        let empty = State {
            window: 0,
            used: 0,
            asked: Asked::default(),
            first_read: None,
            read: HashSet::new(),
            by_second: Vec::new(),
        };
        let state = Arc::new(Mutex::new(empty));
        let shared = Arc::clone(&state);
        let address = serve(move |call| answer(past, Arc::clone(&shared), call))?;
        Ok(Self { address, state })
    }

    /// Such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// So far.
    pub fn asked(&self) -> Asked {
        lock(&self.state).asked
    }

    /// Conversations read with their parts between two moments, in seconds after the first one.
    pub fn read_between(&self, from: usize, to: usize) -> u64 {
        lock(&self.state).by_second.iter().skip(from).take(to - from).sum()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(past: Past, state: Arc<Mutex<State>>, call: Call) -> Answer {
    let (left, reset, refused) = count(&past, &state);
    tokio::time::sleep(past.latency).await;
    let mut answer = match refused {
        true => {
            json(StatusCode::TOO_MANY_REQUESTS, r#"{"type":"error.list","errors":[{"code":"rate_limit_exceeded"}]}"#)
        }
        false => content(&past, &state, &call),
    };
    let headers = [
        ("x-ratelimit-limit", u64::from(past.limit)),
        ("x-ratelimit-remaining", left.into()),
        ("x-ratelimit-reset", reset),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from(value));
    }
    answer
}

/// Fixed windows. Gives what is left, when the window ends, and whether the call was one too many.
fn count(past: &Past, state: &Mutex<State>) -> (u32, u64, bool) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let window = seconds / WINDOW.as_secs();
    let mut state = lock(state);
    if state.window != window {
        (state.window, state.used) = (window, 0);
    }
    let refused = state.used >= past.limit;
    if refused {
        state.asked.refused += 1;
    } else {
        state.used += 1;
        state.asked.calls += 1;
    }
    (past.limit.saturating_sub(state.used), (window + 1) * WINDOW.as_secs(), refused)
}

fn content(past: &Past, state: &Mutex<State>, call: &Call) -> Answer {
    let body = match call.path.as_str() {
        "/me" => format!(
            r#"{{"type":"admin","id":"1","email":"a@bench.test","app":{{"type":"app","id_code":"{WORKSPACE}","name":"Bench","region":"US"}}}}"#
        ),
        "/admins" => {
            r#"{"type":"admin.list","admins":[{"type":"admin","id":"7301","name":"Ada","email":"ada@bench.test"}]}"#
                .into()
        }
        "/teams" => r#"{"type":"team.list","teams":[{"type":"team","id":"901","name":"Parcels"}]}"#.into(),
        "/tags" => r#"{"type":"list","data":[{"type":"tag","id":"1","name":"parcel"}]}"#.into(),
        "/conversations/search" => search(past, &call.body),
        "/tickets/search" => {
            r#"{"type":"ticket.list","tickets":[],"total_count":0,"pages":{"type":"pages","page":1}}"#.into()
        }
        "/contacts/search" => contacts(&call.body),
        path => match (path.strip_prefix("/conversations/9"), path.strip_prefix("/contacts/c")) {
            (Some(number), _) => {
                note_reading(&mut lock(state), number);
                let mut text = String::with_capacity(6_000);
                conversation(past, number.parse().unwrap_or_default(), true, &mut text);
                text
            }
            (_, Some(number)) => {
                let mut text = String::new();
                contact(number.parse().unwrap_or_default(), &mut text);
                text
            }
            _ => return json(StatusCode::NOT_FOUND, r#"{"type":"error.list","errors":[{"code":"not_found"}]}"#),
        },
    };
    json(StatusCode::OK, body)
}

/// A conversation that is read again counts once.
fn note_reading(state: &mut State, number: &str) {
    if !state.read.insert(number.to_owned()) {
        return;
    }
    let now = Instant::now();
    let second = (now - *state.first_read.get_or_insert(now)).as_secs();
    let second = usize::try_from(second).unwrap_or_default();
    if state.by_second.len() <= second {
        state.by_second.resize(second + 1, 0);
    }
    state.by_second[second] += 1;
    state.asked.read += 1;
}

/// Understands bounds of `created_at`; whatever else is asked for finds nothing.
fn search(past: &Past, body: &[u8]) -> String {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let (mut from, mut to) = (past.conversations, past.conversations);
    for bound in question["query"]["value"].as_array().into_iter().flatten() {
        let second = bound["value"].as_i64().unwrap_or_default();
        match (bound["field"].as_str(), bound["operator"].as_str()) {
            (Some("created_at"), Some(">")) => from = past.first_at(second + 1),
            (Some("created_at"), Some("<")) => to = past.first_at(second),
            _ => {}
        }
    }
    let (total, per_page) = (to.saturating_sub(from), question["pagination"]["per_page"].as_u64().unwrap_or(20));
    let cursor = question["pagination"]["starting_after"].as_str().and_then(|text| text.parse().ok());
    let first = cursor.unwrap_or(from).max(from);
    let end = (first + per_page).min(to.max(first));
    let mut text = String::with_capacity(2_000 * usize::try_from(end - first).unwrap_or_default() + 200);
    text.push_str(r#"{"type":"conversation.list","conversations":["#);
    for number in first..end {
        if number > first {
            text.push(',');
        }
        conversation(past, number, false, &mut text);
    }
    let next =
        if end < to { format!(r#","next":{{"per_page":{per_page},"starting_after":"{end}"}}"#) } else { String::new() };
    let _ =
        write!(text, r#"],"total_count":{total},"pages":{{"type":"pages","page":1,"per_page":{per_page}{next}}}}}"#);
    text
}

fn contacts(body: &[u8]) -> String {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let ids = question["query"]["value"].as_array().map(Vec::as_slice).unwrap_or_default();
    let numbers = ids.iter().filter_map(|id| id.as_str()?.strip_prefix('c')?.parse().ok());
    let mut text = String::from(r#"{"type":"list","data":["#);
    for (index, number) in numbers.enumerate() {
        if index > 0 {
            text.push(',');
        }
        contact(number, &mut text);
    }
    let _ = write!(text, r#"],"total_count":{},"pages":{{"type":"pages","page":1}}}}"#, ids.len());
    text
}

fn contact(number: u64, text: &mut String) {
    let _ = write!(
        text,
        r#"{{"type":"contact","id":"c{number:012}","workspace_id":"{WORKSPACE}","external_id":"shop-{number}","role":"user","email":"c{number}@bench.test","phone":null,"name":"Customer {number}","avatar":null,"owner_id":null,"has_hard_bounced":false,"marked_email_as_spam":false,"unsubscribed_from_emails":false,"created_at":1600000000,"updated_at":1700000000,"location":{{"type":"location","country":"Norway","region":"Oslo","city":"Oslo"}},"tags":{{"type":"list","data":[],"url":"/contacts/c{number:012}/tags","total_count":0,"has_more":false}},"custom_attributes":{{"Plan":"pro","Orders":{orders}}},"social_profiles":{{"type":"list","data":[]}}}}"#,
        orders = number % 40,
    );
}

/// About 2 KB as search gives it, about 5 KB with its parts.
fn conversation(past: &Past, number: u64, parts: bool, text: &mut String) {
    let at = past.from + past.step * number.cast_signed();
    let contact = number % past.contacts.max(1);
    let _ = write!(
        text,
        r#"{{"type":"conversation","id":"9{number:010}","created_at":{at},"updated_at":{updated},"waiting_since":null,"snoozed_until":null,"source":{{"type":"conversation","id":"8{number:010}","delivered_as":"customer_initiated","subject":"","body":"<p>Where is my parcel? It was due last week, and the tracking page has not moved since then. I need it before the weekend, and I wonder whether it was sent at all.</p>","author":{{"type":"user","id":"c{contact:012}","name":"Customer {contact}","email":"c{contact}@bench.test"}},"attachments":[],"url":"https://bench.test/orders","redacted":false}},"contacts":{{"type":"contact.list","contacts":[{{"type":"contact","id":"c{contact:012}","external_id":"shop-{contact}"}}]}},"first_contact_reply":{{"created_at":{at},"type":"conversation","url":"https://bench.test/orders"}},"admin_assignee_id":7301,"team_assignee_id":901,"open":false,"state":"closed","read":true,"tags":{{"type":"tag.list","tags":[{{"type":"tag","id":"1","name":"parcel","applied_at":{at},"applied_by":{{"type":"admin","id":"7301"}}}}]}},"priority":"not_priority","sla_applied":null,"statistics":{{"type":"conversation_statistics","time_to_assignment":0,"time_to_admin_reply":450,"time_to_first_close":4900,"first_contact_reply_at":{at},"first_admin_reply_at":{at},"last_closed_by_id":"7301","count_reopens":0,"count_assignments":1,"count_conversation_parts":{count}}},"teammates":{{"type":"admin.list","admins":[{{"type":"admin","id":"7301"}}]}},"title":"Where is it?","custom_attributes":{{"Order":{number},"Carrier":"Post","Weight":2}},"topics":{{"type":"topic.list","topics":[],"total_count":0}},"ticket":null,"linked_objects":{{"type":"list","data":[],"total_count":0,"has_more":false}},"ai_agent":null,"ai_agent_participated":false,"conversation_rating":"#,
        updated = at + 3_600,
        count = 3 * REPLIES,
    );
    match number % 2 {
        0 => {
            let rated = at + 3_000;
            let _ = write!(
                text,
                r#"{{"rating":5,"remark":"kind","created_at":{rated},"updated_at":{given},"contact":{{"type":"contact","id":"c{contact:012}","external_id":null}},"teammate":{{"type":"admin","id":"7301"}}}}"#,
                given = rated + 60,
            );
        }
        _ => text.push_str("null"),
    }
    if parts {
        text.push_str(r#","conversation_parts":{"type":"conversation_part.list","conversation_parts":["#);
        for part in 0..3 * REPLIES {
            let (kind, id) =
                if part % 3 == 1 { ("user", format!("c{contact:012}")) } else { ("admin", "7301".to_owned()) };
            let comma = if part > 0 { "," } else { "" };
            let sent = at + 60 + part.cast_signed() * 30;
            let _ = write!(
                text,
                r#"{comma}{{"type":"conversation_part","id":"7{number:010}{part}","part_type":"comment","body":"<p>Let me look that up for you. The carrier says that it left their warehouse this morning and will be with you tomorrow.</p>","created_at":{sent},"updated_at":{sent},"notified_at":{sent},"assigned_to":null,"author":{{"type":"{kind}","id":"{id}","name":"Somebody","email":"s@bench.test"}},"attachments":[],"external_id":null,"redacted":false}}"#,
            );
        }
        let _ = write!(text, r#"],"total_count":{}}}"#, 3 * REPLIES);
    }
    text.push('}');
}
