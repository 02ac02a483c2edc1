//! Dead letters in bulk: grouped by cause, steered in bounded pieces, and what became of them since.

use std::collections::{BTreeMap, HashMap};

use domain::Rules;
use domain::directory::Directory;
use domain::explain::{ExplainContext, Explanation, explain};
use domain::history::raw_item;
use domain::signature::SignatureScheme;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::{Accepted, DeadLetter, DeadLetters, Documents, Overview, RecentEvent, StoreResult};
use crate::recent::MOST_LOOKED_AT;

/// Letters that one call of [`steer_some`] looks at: on AWS each costs some calls, and the console's function has 15 seconds.
const PIECE: usize = 50;

/// Letters that [`letter_groups`] counts.
const MOST_COUNTED: usize = 10_000;

/// Steered letters that are remembered.
const REMEMBERED: usize = 100;

/// Those of them that [`steered_letters`] tells of.
const REPORTED: usize = 20;

const DOCUMENT: &str = "steered-letters";

/// What a human does with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LetterAction {
    /// Back on the queue.
    Replay,
    /// Counted as skipped, bytes dropped.
    Discard,
}

/// Dead letters of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LetterGroup {
    /// The cause.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// By topic.
    pub topics: BTreeMap<String, u64>,
    /// When the newest was refused.
    pub last_at: Timestamp,
    /// When the oldest was refused.
    pub first_at: Timestamp,
}

/// Dead letters by cause, the most frequent first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LetterGroups {
    /// The groups.
    pub groups: Vec<LetterGroup>,
    /// Letters counted: the newest 10,000 at most.
    pub counted: u64,
    /// Whether those are all.
    pub whole: bool,
}

/// What one piece of a bulk action did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SteeredPiece {
    /// Letters steered.
    pub steered: u64,
    /// Letters looked at.
    pub looked_at: u64,
    /// Where the next piece begins; `None`: that was the last one.
    pub next: Option<String>,
}

/// A letter that was steered, as it is remembered. Ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    id: String,
    at: Timestamp,
    action: LetterAction,
    topic: String,
    reason: String,
    #[serde(default)]
    keys: Vec<String>,
}

/// A letter that was steered, and what happened to it since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SteeredLetter {
    /// Its id.
    pub id: String,
    /// When it was steered.
    pub at: Timestamp,
    /// How.
    pub action: LetterAction,
    /// The notification's topic.
    pub topic: String,
    /// Why it had been refused.
    pub reason: String,
    /// `discarded`, `delivered`, `skipped`, `parked`, `refused again` or `on its way`.
    pub now: &'static str,
    /// Why, where there is a why.
    pub why: Option<String>,
}

/// Groups the newest letters by cause.
pub async fn letter_groups(store: &impl DeadLetters) -> StoreResult<LetterGroups> {
    let mut by_reason: HashMap<String, LetterGroup> = HashMap::new();
    let (mut counted, mut after, mut whole) = (0, None, false);
    while counted < MOST_COUNTED {
        let page = store.dead_letters(after.as_deref(), 1_000).await?;
        counted += page.items.len();
        page.items.into_iter().for_each(|letter| add(&mut by_reason, letter));
        after = page.next;
        if after.is_none() {
            whole = true;
            break;
        }
    }
    let mut groups: Vec<LetterGroup> = by_reason.into_values().collect();
    groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.reason.cmp(&other.reason)));
    Ok(LetterGroups { groups, counted: counted as u64, whole })
}

fn add(groups: &mut HashMap<String, LetterGroup>, letter: DeadLetter) {
    let group = groups.entry(letter.reason.clone()).or_insert_with(|| LetterGroup {
        reason: letter.reason,
        count: 0,
        topics: BTreeMap::new(),
        last_at: letter.at,
        first_at: letter.at,
    });
    group.count += 1;
    *group.topics.entry(letter.topic).or_default() += 1;
    group.last_at = group.last_at.max(letter.at);
    group.first_at = group.first_at.min(letter.at);
}

/// Steers one letter. `false` when there is none with this id.
///
/// It is remembered afterwards: if we die in between, it is steered all the same, and only missing in the list of what was done.
pub async fn steer_letter(
    store: &(impl DeadLetters + Documents),
    action: LetterAction,
    id: &str,
    (rules, now): (&Rules, Timestamp),
) -> StoreResult<bool> {
    let accepted = store.dead_letter_body(id).await?;
    if !act(store, action, id).await? {
        return Ok(false);
    }
    let letter = remembered(action, id, accepted, (rules, now));
    remember(store, vec![letter]).await;
    Ok(true)
}

/// Steers those of the next 50 letters after the cursor that were refused for this reason; without one all of them. A letter that is
/// refused again meanwhile is newer than the cursor, so nothing is steered in circles. If we die half way, the rest is still there.
pub async fn steer_some(
    store: &(impl DeadLetters + Documents),
    action: LetterAction,
    (reason, after): (Option<&str>, Option<&str>),
    (rules, now): (&Rules, Timestamp),
) -> StoreResult<SteeredPiece> {
    let page = store.dead_letters(after, PIECE).await?;
    let mut piece = SteeredPiece { looked_at: page.items.len() as u64, next: page.next, ..SteeredPiece::default() };
    let mut done = Vec::new();
    let mut failed = None;
    for letter in page.items.iter().filter(|letter| reason.is_none_or(|reason| letter.reason == reason)) {
        match steer_listed(store, action, letter, (rules, now)).await {
            Ok(Some(letter)) => done.push(letter),
            Ok(None) => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    piece.steered = done.len() as u64;
    remember(store, done).await;
    failed.map_or(Ok(piece), Err)
}

async fn steer_listed(
    store: &impl DeadLetters,
    action: LetterAction,
    letter: &DeadLetter,
    context: (&Rules, Timestamp),
) -> StoreResult<Option<Remembered>> {
    let accepted = match action {
        LetterAction::Replay => store.dead_letter_body(&letter.id).await?,
        LetterAction::Discard => None,
    };
    let steered = act(store, action, &letter.id).await?;
    Ok(steered.then(|| Remembered {
        topic: letter.topic.clone(),
        reason: letter.reason.clone(),
        ..remembered(action, &letter.id, accepted, context)
    }))
}

async fn act(store: &impl DeadLetters, action: LetterAction, id: &str) -> StoreResult<bool> {
    match action {
        LetterAction::Replay => store.replay(id).await,
        LetterAction::Discard => store.discard(id).await,
    }
}

fn remembered(
    action: LetterAction,
    id: &str,
    accepted: Option<Accepted>,
    (rules, now): (&Rules, Timestamp),
) -> Remembered {
    const MOST_KEYS: usize = 20;
    let explanation = accepted.map(|accepted| explain_letter(&accepted, rules, now));
    let topic = explanation.as_ref().and_then(|explanation| explanation.topic.clone()).unwrap_or_default();
    let events = explanation.map(|explanation| explanation.events).unwrap_or_default();
    let keys = events.into_iter().map(|event| event.key).take(MOST_KEYS).collect();
    Remembered { id: id.to_owned(), at: now, action, topic, reason: String::new(), keys }
}

/// What the rules say about a kept message.
pub fn explain_letter(accepted: &Accepted, rules: &Rules, now: Timestamp) -> Explanation {
    let (input, workspace) = match accepted.scheme {
        SignatureScheme::Rest => {
            raw_item(&accepted.body).map_or((&*accepted.body, None), |(item, of)| (item, Some(of)))
        }
        SignatureScheme::Hub | SignatureScheme::Body => (&*accepted.body, None),
    };
    let context = ExplainContext { workspace, now, contact: None, directory: Directory::default() };
    let mut explanation = explain(input, None, rules, &context);
    explanation.signature = match accepted.scheme {
        SignatureScheme::Rest => "read from Intercom's API by ourselves".to_owned(),
        SignatureScheme::Hub | SignatureScheme::Body => "valid when it was accepted".to_owned(),
    };
    explanation
}

/// Best effort: the list is for people, and what it tells of is done.
async fn remember(store: &impl Documents, letters: Vec<Remembered>) {
    if letters.is_empty() {
        return;
    }
    for _ in 0..5 {
        let saved = async {
            let (mut kept, version) = load(store).await?;
            kept.extend(letters.iter().cloned());
            let surplus = kept.len().saturating_sub(REMEMBERED);
            kept.drain(..surplus);
            store.save(DOCUMENT, &serde_json::json!(kept).to_string(), version).await
        };
        match saved.await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => return tracing::warn!(%error, "which dead letters were steered could not be noted"),
        }
    }
}

async fn load(store: &impl Documents) -> StoreResult<(Vec<Remembered>, Option<u64>)> {
    let Some(document) = store.load(DOCUMENT).await? else { return Ok((Vec::new(), None)) };
    Ok((serde_json::from_str(&document.body).unwrap_or_default(), Some(document.version)))
}

/// The letters that were steered last, newest first, and what became of them.
pub async fn steered_letters(store: &(impl DeadLetters + Documents + Overview)) -> StoreResult<Vec<SteeredLetter>> {
    let (kept, _) = load(store).await?;
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let events = store.recent_events(MOST_LOOKED_AT).await?;
    let mut report = Vec::new();
    for letter in kept.into_iter().rev().take(REPORTED) {
        let (now, why) = match letter.action {
            LetterAction::Discard => ("discarded", None),
            LetterAction::Replay => match fate_since(&letter, &events) {
                Some(fate) => fate,
                None if store.dead_letter_body(&letter.id).await?.is_some() => ("refused again", None),
                None => ("on its way", None),
            },
        };
        let Remembered { id, at, action, topic, reason, .. } = letter;
        report.push(SteeredLetter { id, at, action, topic, reason, now, why });
    }
    Ok(report)
}

/// The worst fate among its events, as the message's own is decided; `None` while nothing is listed.
fn fate_since(letter: &Remembered, events: &[RecentEvent]) -> Option<(&'static str, Option<String>)> {
    let since: Vec<&RecentEvent> =
        events.iter().filter(|event| event.at >= letter.at && letter.keys.contains(&event.key)).collect();
    let named = [("dead", "refused again"), ("parked", "parked"), ("sent", "delivered"), ("skipped", "skipped")];
    named.into_iter().find_map(|(fate, name)| {
        let event = since.iter().find(|event| event.fate == fate)?;
        Some((name, event.reason.clone()))
    })
}
