//! Where the import stands: one small versioned document, and every decision about it.
//!
//! It is the only thing that two owners could quarrel about, so it also names the owner, and every change of it is one
//! compare-and-set of the document. Applying a window twice changes nothing, so even an owner whose lease ran out unnoticed can do
//! no harm: its write fails, or says what is there already.

use serde::{Deserialize, Serialize};

use super::span::Span;
use super::stream::Stream;
use super::window::{StreamName, Window};

/// Version of what [`Checkpoint::to_text`] writes.
const VERSION: u32 = 1;

/// Younger events than this are left to live and reconcile, however long the deployment runs.
const CUT_OVER: i64 = 24 * 3600;

/// Answers that may be on their way together, in bytes, and in number.
const MOST_BYTES: u64 = 24 * 1024 * 1024;
const MOST_WINDOWS: u64 = 8;

/// What has no fate when the queue has been empty for so long never gets one: the queue lost it. SQS takes a minute to count right.
const PATIENCE: i64 = 300;

/// So often everything is read in one run before what still has no fate is a human's: the second time the ledger and the books leave
/// only those items to be done.
const MOST_READINGS: u32 = 2;

/// Where the import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody started it.
    Idle,
    /// It reads, or waits for the queue.
    Running,
    /// Somebody stopped it: nothing is read or sent.
    Paused,
    /// Everything has a fate.
    Done,
    /// It cannot go on before a human did something.
    Failed,
}

/// Who works on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    token: String,
    until: i64,
}

/// Where the import stands. All moments are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// Counts the starts: the books of one run never mix with those of another.
    pub run: u64,
    /// Where it stands.
    pub state: State,
    /// Since when it is in this state.
    pub since: Option<i64>,
    /// When the run was started.
    pub started_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Items created in here are read.
    pub range: Span,
    /// Only events older than this are sent: the younger ones are live's (law 3).
    pub bound: i64,
    /// Since when everything is read, the queue is empty, and items have no fate all the same.
    #[serde(rename = "read_at")]
    missing_since: Option<i64>,
    /// How often everything was read in this run and items had no fate in the end.
    #[serde(default)]
    readings: u32,
    /// Seconds in which somebody worked on this run: neither pauses nor the time when no process was there.
    #[serde(default)]
    worked: i64,
    /// When the owner was last heard of in this stretch of work.
    #[serde(default)]
    worked_at: Option<i64>,
    owner: Option<Owner>,
    /// Somebody wants it to run and nothing came yet: a refused key is asked once more before it stops the import.
    #[serde(default)]
    hopeful: bool,
    /// When that is to be.
    #[serde(default)]
    asks_at: Option<i64>,
    conversations: Stream,
    tickets: Stream,
}

/// What somebody asked for and cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Only once.
    #[error("the import was started before: pause, resume or restart it")]
    AlreadyStarted,
    /// Nothing runs.
    #[error("the import is not running")]
    NotRunning,
    /// Nothing to go on with.
    #[error("the import is neither paused nor failed")]
    NotPaused,
    /// Nothing to begin again.
    #[error("the import was never started: start it")]
    NeverStarted,
}

/// What somebody may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The first time.
    Start,
    /// No more reading and sending.
    Pause,
    /// On from where it stopped.
    Resume,
    /// From the beginning.
    Restart,
}

/// What a start needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartFacts {
    /// When this deployment was first started.
    pub first_start: i64,
    /// How far back to go; `None`: to the beginning.
    pub days: Option<u32>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for this page.
    Read(Window),
    /// Nothing can be asked for now: wait for an answer, or until this second.
    Wait(i64),
    /// Everything is read: see whether the queue has given everything its fate.
    Settle,
    /// Nothing to do: it does not run.
    Rest,
}

impl Default for Checkpoint {
    fn default() -> Self {
        let range = Span::new(0, 0);
        Self {
            version: VERSION,
            run: 0,
            state: State::Idle,
            since: None,
            started_at: None,
            error: None,
            range,
            bound: 0,
            missing_since: None,
            readings: 0,
            worked: 0,
            worked_at: None,
            owner: None,
            hopeful: false,
            asks_at: None,
            conversations: Stream::new(StreamName::Conversations, range),
            tickets: Stream::new(StreamName::Tickets, range),
        }
    }
}

/// What is stored cannot be read by this version.
#[derive(Debug, thiserror::Error)]
#[error("the import's checkpoint cannot be read: {0}")]
pub struct CheckpointError(String);

impl Checkpoint {
    /// The document.
    pub fn to_text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads a document, of this version or an older one.
    pub fn from_text(text: &str) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let wrong = |error: serde_json::Error| CheckpointError(crate::parse::describe(&error));
        let found: Versioned = serde_json::from_str(text).map_err(wrong)?;
        // A new version adds an arm that reads the old one's struct and turns it into this one.
        match found.version {
            VERSION => serde_json::from_str(text).map_err(wrong),
            other => Err(CheckpointError(format!("version {other} instead of {VERSION}"))),
        }
    }

    /// One of the streams.
    pub fn stream(&self, name: StreamName) -> &Stream {
        match name {
            StreamName::Conversations => &self.conversations,
            StreamName::Tickets => &self.tickets,
        }
    }

    /// One of the streams, to be changed.
    pub fn stream_mut(&mut self, name: StreamName) -> &mut Stream {
        match name {
            StreamName::Conversations => &mut self.conversations,
            StreamName::Tickets => &mut self.tickets,
        }
    }

    /// Does what somebody asked for, or says why not.
    pub fn steer(&mut self, wish: Wish, facts: StartFacts, now: i64) -> Result<(), Illegal> {
        use State::{Failed, Idle, Paused, Running};
        match (wish, self.state) {
            (Wish::Start, Idle) => self.begin(facts, now),
            (Wish::Start, _) => return Err(Illegal::AlreadyStarted),
            (Wish::Restart, Idle) => return Err(Illegal::NeverStarted),
            (Wish::Restart, _) => self.begin(facts, now),
            (Wish::Pause, Running) => self.enter(Paused, now),
            (Wish::Pause, _) => return Err(Illegal::NotRunning),
            (Wish::Resume, Paused | Failed) => {
                self.enter(Running, now);
                self.error = None;
                // What has had no fate for long gets its time again, and its second reading.
                self.missing_since = None;
                self.readings = 0;
            }
            (Wish::Resume, _) => return Err(Illegal::NotPaused),
        }
        self.owner = None;
        Ok(())
    }

    fn begin(&mut self, facts: StartFacts, now: i64) {
        let bound = facts.first_start.max(now - CUT_OVER).min(now);
        let oldest = facts.days.map_or(0, |days| now - i64::from(days) * 24 * 3600);
        let range = Span::new(oldest, bound);
        *self = Self {
            run: self.run + 1,
            started_at: Some(now),
            range,
            bound,
            conversations: Stream::new(StreamName::Conversations, range),
            tickets: Stream::new(StreamName::Tickets, range),
            ..Self::default()
        };
        self.enter(State::Running, now);
    }

    fn enter(&mut self, state: State, now: i64) {
        self.state = state;
        self.since = Some(now);
        self.hopeful = state == State::Running;
        self.asks_at = None;
        self.worked_at = None;
    }

    /// Seconds in which somebody worked on this run: what a rate has to be counted by.
    pub fn worked(&self) -> i64 {
        self.worked
    }

    /// A page came: the key is good.
    pub fn came(&mut self) {
        self.hopeful = false;
        self.asks_at = None;
    }

    /// Intercom refuses the key and may be asked again at `until`. That stops the import, unless somebody has just set it going, with
    /// a new key perhaps: then the answer to one more question decides, which may not go before `until`.
    pub fn refused(&mut self, reason: &str, until: i64, now: i64) {
        match self.asks_at {
            None if self.hopeful => self.asks_at = Some(until.max(now)),
            Some(at) if now <= at => {}
            _ => return self.fail(reason.to_owned(), now),
        }
        let at = self.asks_at.unwrap_or(now);
        StreamName::ALL.into_iter().for_each(|name| self.stream_mut(name).wait_until(at + 1));
    }

    /// Stops it until a human did something.
    pub fn fail(&mut self, error: String, now: i64) {
        self.enter(State::Failed, now);
        self.error = Some(error);
        self.owner = None;
    }

    /// Makes `token` the owner until `until`, unless another one is. The clock of an owner may run ahead of ours, so a lease
    /// that ends later than any lease could is not believed.
    pub fn lease(&mut self, token: &str, now: i64, length: i64) -> bool {
        let theirs = |owner: &Owner| owner.token != token && owner.until > now && owner.until <= now + 2 * length;
        if self.state != State::Running || self.owner.as_ref().is_some_and(theirs) {
            return false;
        }
        // Who says nothing for longer than a lease was not at work.
        self.worked += (now - self.worked_at.unwrap_or(now)).clamp(0, length);
        self.worked_at = Some(now);
        self.owner = Some(Owner { token: token.to_owned(), until: now + length });
        true
    }

    /// Gives the lease back, so that the next owner need not wait for its end.
    pub fn release(&mut self, token: &str) {
        if self.is_owned_by(token) {
            self.owner = None;
        }
    }

    /// Whether `token` is the owner. A lease that ran out and that nobody took is still its owner's.
    pub fn is_owned_by(&self, token: &str) -> bool {
        self.state == State::Running && self.owner.as_ref().is_some_and(|owner| owner.token == token)
    }

    /// Whether more items are to come on the queue.
    pub fn is_reading(&self) -> bool {
        self.state == State::Running && StreamName::ALL.into_iter().any(|name| !self.stream(name).is_read())
    }

    /// What to do next, with these windows on their way.
    pub fn next(&self, busy: &[Window], now: i64) -> Step {
        if self.state != State::Running {
            return Step::Rest;
        }
        let streams = [&self.conversations, &self.tickets];
        if busy.is_empty() && streams.iter().all(|stream| stream.is_read()) {
            return Step::Settle;
        }
        let largest = streams.iter().map(|stream| stream.page_bytes()).max().unwrap_or(0);
        let most = (MOST_BYTES / largest.max(1)).clamp(1, MOST_WINDOWS);
        if (busy.len() as u64) < most {
            // The stream with fewer windows on their way goes first, so that neither waits for the other's slow pages.
            let load = |stream: &&Stream| busy.iter().filter(|window| window.stream == stream.name).count();
            let mut order = streams;
            order.sort_by_key(load);
            if let Some(window) = order.iter().find_map(|stream| stream.window(busy, now)) {
                return Step::Read(window);
            }
        }
        let wait = streams.iter().filter(|stream| !stream.is_read()).map(|stream| stream.not_before()).min();
        Step::Wait(wait.unwrap_or(now).max(now + 1))
    }

    /// Takes in how many items of each stream have a fate, once everything is read. Gives whether that changed anything.
    pub fn settle(&mut self, with_fate: [u64; 2], queue_empty: bool, now: i64) -> bool {
        let lacks: Vec<(StreamName, u64)> = StreamName::ALL
            .into_iter()
            .zip(with_fate)
            .map(|(name, there)| (name, self.stream(name).certain().saturating_sub(there)))
            .filter(|(_, missing)| *missing > 0)
            .collect();
        if lacks.is_empty() {
            self.enter(State::Done, now);
            self.owner = None;
            return true;
        }
        if !queue_empty {
            // As long as something is on the queue, it may still come.
            return self.missing_since.take().is_some();
        }
        match self.missing_since {
            Some(since) if (0..PATIENCE).contains(&(now - since)) => return false,
            Some(since) if since <= now => self.recover(&lacks, now),
            // For the first time, or the clock was set back.
            Some(_) | None => self.missing_since = Some(now),
        }
        true
    }

    /// What the queue lost is read a second time; what it loses again needs a human.
    fn recover(&mut self, lacks: &[(StreamName, u64)], now: i64) {
        self.missing_since = None;
        self.readings += 1;
        if self.readings < MOST_READINGS {
            let range = self.range;
            lacks.iter().for_each(|(name, _)| self.stream_mut(*name).read_again(range));
            return;
        }
        let named: Vec<String> = lacks.iter().map(|(name, missing)| format!("{missing} {}", name.as_str())).collect();
        let missing = named.join(" and ");
        self.fail(
            format!("{missing} got lost on the queue twice: look at its dead letters, then resume or restart"),
            now,
        );
    }
}
