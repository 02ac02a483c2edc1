//! What a stream makes of answers and failures: what is read, what is doubted, how wide the next window is.

use super::{COUNTED_SPAN, FOUNDED, GROW_AFTER, Partial, Stream, Suspect, bucket};
use crate::history::span::{Span, covered, subtract};
use crate::history::window::{Difference, Judgement, PageSeen, Purpose, Trouble, Window};

/// How many differences are listed.
const MOST_LISTED: usize = 100;

/// So often an item that makes even a page of one fail is tried before its window is listed as unreadable.
const MOST_FAILURES: u32 = 8;

/// So many pages in a row have to come before a larger one is tried, after larger ones failed again and again.
const MOST_PATIENCE: u32 = 500;

impl Stream {
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
                self.uncertain += items;
                self.finish(span, items);
            }
        }
    }

    /// A page did not come. `until`: when the next may be asked for.
    pub fn failed(&mut self, window: &Window, trouble: Trouble, until: i64) {
        self.streak = 0;
        if trouble == Trouble::TooHeavy && window.purpose == Purpose::Read && !self.stumbles_again(window.span) {
            // It may be chance: a connection broke. The same page once more, and the others go on meanwhile.
            return;
        }
        self.not_before = self.not_before.max(until);
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

    /// Whether a page of this span failed the last time as well.
    fn stumbles_again(&mut self, span: Span) -> bool {
        let before = self.stumbled.len();
        self.stumbled.retain(|other| !other.overlaps(span));
        let again = self.stumbled.len() < before;
        if !again {
            self.stumbled.push(span);
        }
        again
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
        // It can be read: failures count anew from here, or a window of many pages would be taken for unreadable by mere chance.
        self.suspects.retain(|suspect| suspect.span != window.span);
        self.stumbled.retain(|stumbled| !stumbled.overlaps(window.span));
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
        self.stumbled.retain(|stumbled| !stumbled.overlaps(span));
        *self.counted.entry(bucket(span.from).from).or_default() += items;
    }

    fn came(&mut self) {
        self.streak += 1;
        if self.streak < self.grow_after {
            return;
        }
        self.streak = 0;
        if self.page < self.name.full_page() {
            self.page = (self.page * 2).min(self.name.full_page());
        } else {
            // Large pages come again and again: what failed was chance.
            self.grow_after = GROW_AFTER;
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

/// Items that a window should hold: below a page, so that most windows of uneven traffic still fit.
fn target(page: u32) -> u64 {
    (u64::from(page) * 6 / 10).max(1)
}

/// `width * wanted / there`, without overflow.
fn ratio(width: i64, wanted: u64, there: u64) -> i64 {
    let scaled = i128::from(width) * i128::from(wanted) / i128::from(there.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX).max(1)
}
