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

use super::span::{Span, covered, subtract};

/// Which of Intercom's two searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// `POST /conversations/search`.
    Conversations,
    /// `POST /tickets/search`: whole tickets, parts included.
    Tickets,
}

impl StreamName {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Conversations, Self::Tickets];

    /// As in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Tickets => "tickets",
        }
    }

    /// Items on a full page. Tickets come with all their parts, so fewer.
    pub fn full_page(self) -> u32 {
        match self {
            Self::Conversations => 50,
            Self::Tickets => 25,
        }
    }
}

/// A question to Intercom: one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of which stream.
    pub stream: StreamName,
    /// What counts of the answer.
    pub span: Span,
    /// What is asked for: the span itself, or a day more on each side where the filter knows only days.
    pub asked: Span,
    /// Items on the page.
    pub per_page: u32,
    /// Where to go on, in a span that needs several pages.
    pub cursor: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a window is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How many items there are.
    Count,
    /// Whether the filter knows seconds: a second is asked for that is known to hold an item.
    Calibrate,
    /// The items.
    Read,
    /// Whether Intercom answers at all, after a page of one item failed: nothing is asked for.
    Ping,
}

/// A page as it came, before anything was done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSeen {
    /// Intercom's `total_count`.
    pub total: u64,
    /// Different items on the page.
    pub raw: u64,
    /// Those of them inside the window's span.
    pub inside: u64,
    /// Those more than a second outside of what was asked for: the filter knows days only.
    pub far: u64,
    /// `created_at` of one of them.
    pub example: Option<i64>,
    /// Size of the answer.
    pub bytes: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// What a page means. Decided before its items are put on the queue, applied after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A count or a calibration: the stream learns from it, no item is taken.
    Learned(PageSeen),
    /// The window is read to its end and the numbers agree: its items are taken.
    Whole {
        /// Items in the window, all its pages together.
        items: u64,
        /// Size of the answer.
        bytes: u64,
    },
    /// Its items are taken, and the window goes on.
    Part(PageSeen),
    /// More items than a page holds: nothing is taken, the next window is narrower.
    Narrow {
        /// Intercom's `total_count`.
        total: u64,
        /// Whether the filter turned out to know days only.
        days_only: bool,
    },
    /// The numbers differ: nothing is taken, the window is read a second time.
    Doubt,
    /// They differ again: what came is taken, and the difference is listed.
    Differs {
        /// Items that came inside the window.
        items: u64,
        /// What differs.
        difference: Difference,
    },
}

impl Judgement {
    /// Whether the page's items go on the queue before the judgement is applied.
    pub fn takes_items(&self) -> bool {
        matches!(self, Self::Whole { .. } | Self::Part(_) | Self::Differs { .. })
    }
}

/// A window in which Intercom counts other items than it gives, twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The window.
    pub span: Span,
    /// Intercom's `total_count`.
    pub total: u64,
    /// Items that it gave.
    pub given: u64,
}

/// Why a page did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 5xx, timeout, too large or unreadable while Intercom answers others: a smaller page may pass.
    TooHeavy,
    /// A limit, or an outage: the same page passes later.
    Later,
}

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
    counted: BTreeMap<i64, u64>,
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

/// How many differences are listed.
const MOST_LISTED: usize = 100;

/// So often an item that makes even a page of one fail is tried before its window is listed as unreadable.
const MOST_FAILURES: u32 = 8;

/// Pages in a row that came before a larger one is tried: at first, and after larger ones failed again and again.
const GROW_AFTER: u32 = 2;
const MOST_PATIENCE: u32 = 500;

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
            counted: BTreeMap::new(),
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

    /// Items by stretches of 30 days: what `verify` compares with Intercom's own count.
    pub fn counted(&self) -> impl Iterator<Item = (Span, u64)> {
        self.counted.iter().map(|(from, items)| (bucket(*from), *items))
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

    /// Applies what a page meant. Applying it twice, or after another owner read the same window, changes nothing more.
    pub fn apply(&mut self, window: &Window, judgement: Judgement) {
        if let Judgement::Learned(page) = judgement {
            return self.learn(window, &page);
        }
        let span = window.span;
        if !covered(&self.gaps, span) {
            return;
        }
        self.came();
        match judgement {
            Judgement::Learned(_) => {}
            Judgement::Whole { items, bytes } => {
                self.page_bytes = bytes.max(self.page_bytes / 2);
                self.finish(span, items);
                if window.cursor.is_none() {
                    self.adapt(window, items);
                }
            }
            Judgement::Part(page) => self.go_on(window, page),
            Judgement::Narrow { total, days_only } => {
                self.coarse = if days_only { Some(true) } else { self.coarse };
                let narrower = ratio(span.width(), target(window.per_page), total);
                self.width = narrower.min(span.width() / 2).max(self.narrowest());
            }
            Judgement::Doubt => {
                self.partials.retain(|partial| partial.span != span);
                self.doubted.push(span);
            }
            Judgement::Differs { items, difference } => {
                if self.differences.len() < MOST_LISTED {
                    self.differences.push(difference);
                }
                self.finish(span, items);
            }
        }
    }

    /// A page did not come. `until`: when the next may be asked for.
    pub fn failed(&mut self, window: &Window, trouble: Trouble, until: i64) {
        self.not_before = self.not_before.max(until);
        self.streak = 0;
        if trouble == Trouble::Later {
            return;
        }
        if window.purpose != Purpose::Read {
            return self.give_up_knowing(window.purpose);
        }
        if window.per_page > 1 {
            // Of several that failed together only the first says something new.
            if self.page > window.per_page / 2 {
                self.page = (window.per_page / 2).max(1);
                self.grow_after = (self.grow_after * 4).min(MOST_PATIENCE);
            }
            return;
        }
        if window.span.width() > self.narrowest() {
            self.width = self.width.min((window.span.width() / 2).max(self.narrowest()));
            return;
        }
        match self.suspects.iter_mut().find(|suspect| suspect.span == window.span) {
            Some(suspect) => suspect.asks = true,
            None => self.suspects.push(Suspect { span: window.span, failures: 0, asks: true }),
        }
    }

    /// The one item in the answer may be one that cannot be read. The import does without the count; a filter that nobody could
    /// try out is taken for one that knows days only, which costs calls and hides nothing.
    fn give_up_knowing(&mut self, purpose: Purpose) {
        self.setbacks += 1;
        if self.setbacks < MOST_FAILURES {
            return;
        }
        self.setbacks = 0;
        match purpose {
            Purpose::Count => self.expected = Some(0),
            Purpose::Calibrate => {
                self.coarse = Some(true);
                self.width = self.width.max(self.narrowest());
            }
            Purpose::Read | Purpose::Ping => {}
        }
    }

    /// Intercom answers others, so it is these windows. One that failed often enough is listed, and the import goes on without it.
    fn convict(&mut self) {
        for suspect in &mut self.suspects {
            suspect.failures += u32::from(std::mem::take(&mut suspect.asks));
        }
        for Suspect { span, failures, .. } in self.suspects.clone() {
            if failures >= MOST_FAILURES {
                if self.differences.len() < MOST_LISTED {
                    self.differences.push(Difference { span, total: 1, given: 0 });
                }
                self.finish(span, 0);
            }
        }
    }

    fn learn(&mut self, window: &Window, page: &PageSeen) {
        match window.purpose {
            Purpose::Ping => self.convict(),
            Purpose::Count => {
                self.expected = Some(page.total);
                self.example = page.example;
                if let (Some(first), Some(last)) = (self.gaps.first(), self.gaps.last()) {
                    // Nothing is older than Intercom itself, but for what was imported with its old date.
                    let oldest = first.from.max(FOUNDED.min(last.to - 1));
                    self.width = ratio(last.to - oldest, target(self.page), page.total).clamp(1, COUNTED_SPAN);
                }
                if page.total == 0 {
                    self.gaps.clear();
                }
            }
            Purpose::Calibrate => {
                let knows_seconds = page.total > 0 && page.raw == page.inside;
                self.coarse = Some(!knows_seconds);
                self.width = self.width.max(self.narrowest());
            }
            Purpose::Read => {}
        }
    }

    fn go_on(&mut self, window: &Window, page: PageSeen) {
        let Some(cursor) = page.next else { return };
        self.page_bytes = page.bytes.max(self.page_bytes / 2);
        match self.partials.iter_mut().find(|partial| partial.span == window.span) {
            // Another owner may have been here: only the page that follows what is known counts.
            Some(partial) if window.cursor.as_ref() == Some(&partial.cursor) => {
                partial.raw += page.raw;
                partial.inside += page.inside;
                partial.cursor = cursor;
            }
            Some(_) => {}
            None if window.cursor.is_none() => {
                self.partials.push(Partial { span: window.span, cursor, raw: page.raw, inside: page.inside });
            }
            None => {}
        }
    }

    fn finish(&mut self, span: Span, items: u64) {
        subtract(&mut self.gaps, span);
        self.partials.retain(|partial| partial.span != span);
        self.suspects.retain(|suspect| suspect.span != span);
        self.doubted.retain(|doubted| self.gaps.iter().any(|gap| gap.overlaps(*doubted)));
        *self.counted.entry(bucket(span.from).from).or_default() += items;
    }

    fn came(&mut self) {
        self.streak += 1;
        if self.streak >= self.grow_after && self.page < self.name.full_page() {
            self.page = (self.page * 2).min(self.name.full_page());
            self.streak = 0;
        }
    }

    /// The next window is as wide as this one's density suggests.
    fn adapt(&mut self, window: &Window, items: u64) {
        let width = window.span.width();
        let wished = if items == 0 { width.saturating_mul(4) } else { ratio(width, target(self.page), items) };
        // One window says little about the next: a step of at most four.
        self.width = wished.clamp(width / 4, width.saturating_mul(4)).clamp(self.narrowest(), 12 * COUNTED_SPAN);
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

/// Items that a window should hold: below a page, so that most windows of uneven traffic still fit.
fn target(page: u32) -> u64 {
    (u64::from(page) * 6 / 10).max(1)
}

/// `width * wanted / there`, without overflow.
fn ratio(width: i64, wanted: u64, there: u64) -> i64 {
    let scaled = i128::from(width) * i128::from(wanted) / i128::from(there.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX).max(1)
}
