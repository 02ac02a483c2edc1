//! One stream of the import: which spans of `created_at` are unread, how wide the next window is, what a page means.
//!
//! **A window is a page.** Windows are made so narrow that everything in one fits on a page: then neither the order of the answer
//! nor a cursor into an index that moves can hide an item, and what is read again after a crash is one page. Only where one second
//! (or, where Intercom's filter knows days alone, ten days) holds more than a page, it is read on by cursor, and the count at the
//! end decides whether that went well.
//!
//! Spans are read from the newest to the oldest, because the last weeks are what a shop asks for first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::span::{Span, subtract};
use super::window::{Difference, Judgement, PageSeen, Purpose, StreamName, Window};

mod learning;

/// A span that needs several pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Partial {
    span: Span,
    cursor: String,
    /// Items that came, inside the span or not: what `total_count` counts.
    raw: u64,
    inside: u64,
}

/// What is known of one stream. Counts of finished windows stand in `counted`, by 30 days, for `verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Which.
    pub name: StreamName,
    /// What a human should know, "tickets are not in the plan".
    pub note: Option<String>,
    /// Not read at all: Intercom does not allow it.
    pub skipped: bool,
    /// Items there were when the import began.
    pub expected: Option<u64>,
    /// Windows that differed twice, the first hundred of them.
    pub differences: Vec<Difference>,
    gaps: Vec<Span>,
    partials: Vec<Partial>,
    doubted: Vec<Span>,
    /// Spans of which a page failed the last time.
    #[serde(default)]
    stumbled: Vec<Span>,
    counted: BTreeMap<i64, u64>,
    /// Items of windows that differed twice.
    #[serde(default)]
    uncertain: u64,
    /// Whether the filter knows days only; unknown until calibrated.
    coarse: Option<bool>,
    /// A second that holds an item.
    example: Option<i64>,
    width: i64,
    page: u32,
    /// Pages in a row that came.
    streak: u32,
    /// So many are needed before a larger page is tried.
    grow_after: u32,
    page_bytes: u64,
    not_before: i64,
    suspects: Vec<Suspect>,
    /// Counts and calibrations that failed.
    setbacks: u32,
}

/// The narrowest window with the smallest page, which fails all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    span: Span,
    /// How often, while Intercom answered other questions.
    failures: u32,
    /// Failed again, and it is not known yet whether Intercom answers others.
    asks: bool,
}

/// Seconds in one entry of [`Stream::counted`].
const COUNTED_SPAN: i64 = 30 * 86_400;

const DAY: i64 = 86_400;

/// Narrowest window where the filter knows days only: a day more is asked for on each side, so fewer would be mostly overlap.
const COARSE_WIDTH: i64 = 10 * DAY;

/// Pages in a row that came before a larger one is tried, at first.
const GROW_AFTER: u32 = 2;

impl Stream {
    /// A stream of which nothing is read.
    pub fn new(name: StreamName, range: Span) -> Self {
        Self {
            name,
            note: None,
            skipped: false,
            expected: None,
            differences: Vec::new(),
            gaps: if range.is_empty() { Vec::new() } else { vec![range] },
            partials: Vec::new(),
            doubted: Vec::new(),
            stumbled: Vec::new(),
            counted: BTreeMap::new(),
            uncertain: 0,
            coarse: None,
            example: None,
            width: DAY,
            page: name.full_page(),
            streak: 0,
            grow_after: GROW_AFTER,
            page_bytes: 0,
            not_before: 0,
            suspects: Vec::new(),
            setbacks: 0,
        }
    }

    /// A short span for reconcile: nothing is counted or tried out beforehand.
    pub fn for_sweep(name: StreamName, range: Span, coarse: bool) -> Self {
        let width = range.width().max(1);
        Self { expected: Some(0), coarse: Some(coarse), width, ..Self::new(name, range) }
    }

    /// Items in finished windows.
    pub fn read(&self) -> u64 {
        self.counted.values().sum()
    }

    /// Items that surely have a fate in the end: of a window that differed twice the same item may have come on two pages.
    pub(super) fn certain(&self) -> u64 {
        self.read().saturating_sub(self.uncertain)
    }

    /// Items by stretches of 30 days: what `verify` compares with Intercom's own count.
    pub fn counted(&self) -> impl Iterator<Item = (Span, u64)> {
        self.counted.iter().map(|(from, items)| (bucket(*from), *items))
    }

    /// Reads everything once more, with what was learnt of the answers: items that were read got no fate.
    pub(super) fn read_again(&mut self, range: Span) {
        let fresh = Self::new(self.name, range);
        self.gaps = fresh.gaps;
        self.counted = fresh.counted;
        self.uncertain = 0;
        self.differences = fresh.differences;
        self.doubted = fresh.doubted;
        self.stumbled = fresh.stumbled;
    }

    /// Whether everything was read.
    pub fn is_read(&self) -> bool {
        self.skipped || self.gaps.is_empty()
    }

    /// Largest answer lately: bounds how many are asked for at once.
    pub fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Leaves the stream out, for a reason.
    pub fn skip(&mut self, note: String) {
        self.skipped = true;
        self.note = Some(note);
    }

    /// Asks for nothing before then.
    pub(super) fn wait_until(&mut self, second: i64) {
        self.not_before = self.not_before.max(second);
    }

    /// When the next page may be asked for.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The next page to ask for, beside those that are on their way. `None`: nothing now.
    pub fn window(&self, busy: &[Window], now: i64) -> Option<Window> {
        if self.is_read() || now < self.not_before {
            return None;
        }
        let busy: Vec<&Window> = busy.iter().filter(|window| window.stream == self.name).collect();
        let lone = |purpose, span: Span| {
            let asked = Window { stream: self.name, span, asked: span, per_page: 1, cursor: None, purpose };
            busy.is_empty().then_some(asked)
        };
        if self.expected.is_none() {
            // A day more, because a filter that knows days only would leave out the last one.
            let newest = self.gaps.last()?.to;
            return lone(Purpose::Count, Span::new(self.gaps[0].from, newest.saturating_add(DAY)));
        }
        if let (None, Some(example)) = (self.coarse, self.example) {
            return lone(Purpose::Calibrate, Span::new(example, example + 1));
        }
        if self.suspects.iter().any(|suspect| suspect.asks) {
            // A moment that holds nothing.
            return lone(Purpose::Ping, Span::new(now + 2 * DAY, now + 2 * DAY + 1));
        }
        let free = |partial: &&Partial| busy.iter().all(|window| window.span != partial.span);
        if let Some(partial) = self.partials.iter().find(free) {
            return Some(self.reading(partial.span, Some(partial.cursor.clone())));
        }
        let mut gaps = self.gaps.clone();
        busy.iter().for_each(|window| subtract(&mut gaps, window.span));
        self.partials.iter().for_each(|partial| subtract(&mut gaps, partial.span));
        let gap = gaps.last()?;
        let from = gap.from.max(gap.to.saturating_sub(self.width)).max(bucket(gap.to - 1).from);
        Some(self.reading(Span::new(from, gap.to), None))
    }

    fn reading(&self, span: Span, cursor: Option<String>) -> Window {
        let margin = if self.is_coarse() { DAY } else { 0 };
        let asked = Span::new(span.from.saturating_sub(margin), span.to.saturating_add(margin));
        Window { stream: self.name, span, asked, per_page: self.page, cursor, purpose: Purpose::Read }
    }

    /// Whether Intercom's filter knows days only.
    pub fn is_coarse(&self) -> bool {
        self.coarse == Some(true)
    }

    fn narrowest(&self) -> i64 {
        if self.is_coarse() { COARSE_WIDTH } else { 1 }
    }

    /// What a page means.
    pub fn judge(&self, window: &Window, page: PageSeen) -> Judgement {
        if window.purpose != Purpose::Read {
            return Judgement::Learned(page);
        }
        let before = self.partials.iter().find(|partial| partial.span == window.span && window.cursor.is_some());
        let (raw, inside) = before.map_or((0, 0), |partial| (partial.raw, partial.inside));
        let (raw, inside) = (raw + page.raw, inside + page.inside);
        let more = page.next.is_some() && raw < page.total;
        if more && before.is_none() && window.span.width() > self.narrowest() {
            return Judgement::Narrow { total: page.total, days_only: page.far > 0 };
        }
        if more && page.next == window.cursor {
            // A cursor that does not move would be read for ever.
            return self.doubt(window, page.total, raw, inside);
        }
        if more {
            return Judgement::Part(page);
        }
        if raw == page.total {
            return Judgement::Whole { items: inside, bytes: page.bytes };
        }
        self.doubt(window, page.total, raw, inside)
    }

    fn doubt(&self, window: &Window, total: u64, given: u64, items: u64) -> Judgement {
        if self.doubted.iter().any(|span| span.overlaps(window.span)) {
            return Judgement::Differs { items, difference: Difference { span: window.span, total, given } };
        }
        Judgement::Doubt
    }
}

/// 2011-01-01: the year in which Intercom began.
const FOUNDED: i64 = 1_293_840_000;

/// The stretch of [`Stream::counted`] that a second belongs to; all that is older than Intercom is one. No window crosses two.
fn bucket(second: i64) -> Span {
    if second < FOUNDED {
        return Span::new(i64::MIN / 2, FOUNDED);
    }
    let from = FOUNDED + (second - FOUNDED) / COUNTED_SPAN * COUNTED_SPAN;
    Span::new(from, from + COUNTED_SPAN)
}
