//! The table at the end of the demo.

use std::time::Duration;

use app::ports::Books;
use sandbox::klaviyo::StoredEvent;
use sandbox::scenario::{Difference, ExpectedEvent, METRICS, check};

use crate::output::table;

/// Differences that are spelled out; more are counted.
const SHOWN: usize = 20;

/// What was expected, and what there is.
pub(super) struct Summary<'a> {
    pub(super) past: &'a [ExpectedEvent],
    pub(super) live: &'a [ExpectedEvent],
    pub(super) stored: &'a [StoredEvent],
    pub(super) books: &'a Books,
    pub(super) prefix: &'a str,
}

impl Summary<'_> {
    /// The past is compared with what is marked as backfill, and the day with the rest: an old event that could set off a flow is as
    /// wrong as one that is missing.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let (past, live): (Vec<_>, Vec<_>) = self.stored.iter().cloned().partition(|event| event.backfill);
        let mut differences = check(self.past, &past, self.prefix);
        differences.extend(check(self.live, &live, self.prefix));
        differences
    }

    pub(super) fn in_words(&self, differences: &[Difference], took: Duration) -> String {
        let mut text = vec![table(&self.rows()), books_line(self.books)];
        if self.books.in_flight > 0 {
            text.push(
                "in flight are those whose contact has given no address yet; after a while they are parked".to_owned(),
            );
        }
        match differences {
            [] => {
                text.push(format!("Klaviyo holds exactly what was expected, after {:.1} s.", took.as_secs_f64()));
            }
            several => text.extend(several.iter().take(SHOWN).map(|difference| format!("difference: {difference:?}"))),
        }
        text.join("\n")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, counts: [u64; 5]| {
            let mut row = vec![name.to_owned()];
            row.extend(counts.map(|count| format!("{count:>13}")));
            row
        };
        let mut totals = [0; 5];
        let header = ["past expected", "in Klaviyo", "live expected", "in Klaviyo", "delivered"];
        let mut rows =
            vec![std::iter::once("metric".to_owned()).chain(header.map(|name| format!("{name:>13}"))).collect()];
        for metric in METRICS {
            let full = format!("{}{metric}", self.prefix);
            let expected =
                |events: &[ExpectedEvent]| events.iter().filter(|event| event.metric == metric).count() as u64;
            let there = |backfill: bool| {
                self.stored.iter().filter(|event| event.metric == full && event.backfill == backfill).count() as u64
            };
            let counts = [
                expected(self.past),
                there(true),
                expected(self.live),
                there(false),
                self.books.metrics.iter().find(|count| count.name == full).map_or(0, |count| count.delivered),
            ];
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            rows.push(row(&full, counts));
        }
        rows.push(row("total", totals));
        rows
    }
}

fn books_line(books: &Books) -> String {
    let Books { accepted, delivered, parked, dead, in_flight, .. } = books;
    let skipped: u64 = books.skipped.values().sum();
    let balanced = *accepted == delivered + skipped + parked + dead + in_flight;
    let sign = if balanced { "=" } else { "≠" };
    format!(
        "books: {accepted} accepted {sign} {delivered} delivered + {skipped} skipped + {parked} parked + {dead} dead + {in_flight} in flight"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_books_are_shown_with_their_sum() {
        let skipped = BTreeMap::from([("ping".to_owned(), 1)]);
        let books = Books { accepted: 4, delivered: 2, skipped, parked: 1, ..Books::default() };
        let expected = "books: 4 accepted = 2 delivered + 1 skipped + 1 parked + 0 dead + 0 in flight";
        assert_eq!(books_line(&books), expected);
        let books = Books { accepted: 5, ..books };
        assert!(books_line(&books).contains("5 accepted ≠ 2 delivered"));
    }
}
