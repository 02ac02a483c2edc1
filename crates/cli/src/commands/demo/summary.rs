//! The table at the end of the demo.

use std::time::Duration;

use app::ports::Books;
use sandbox::klaviyo::StoredEvent;
use sandbox::scenario::{Difference, ExpectedEvent, METRICS};

use crate::output::table;

/// Differences that are spelled out; more are counted.
const SHOWN: usize = 20;

pub(super) fn in_words(
    expected: &[ExpectedEvent],
    stored: &[StoredEvent],
    books: &Books,
    differences: &[Difference],
    prefix: &str,
    took: Duration,
) -> String {
    let mut text = vec![table(&rows(expected, stored, books, prefix)), books_line(books)];
    if books.in_flight > 0 {
        text.push(
            "in flight are those whose contact has given no address yet; after a while they are parked".to_owned(),
        );
    }
    match differences {
        [] => text.push(format!("Klaviyo holds exactly what was expected, after {:.1} s.", took.as_secs_f64())),
        several => text.extend(several.iter().take(SHOWN).map(|difference| format!("difference: {difference:?}"))),
    }
    text.join("\n")
}

fn rows(expected: &[ExpectedEvent], stored: &[StoredEvent], books: &Books, prefix: &str) -> Vec<Vec<String>> {
    let row = |name: &str, counts: [u64; 3]| {
        let [expected, delivered, there] = counts.map(|count| format!("{count:>9}"));
        vec![name.to_owned(), expected, delivered, there]
    };
    let mut totals = [0; 3];
    let mut rows = vec![["metric", " expected", "delivered", "in Klaviyo"].map(str::to_owned).to_vec()];
    for metric in METRICS {
        let full = format!("{prefix}{metric}");
        let counts = [
            expected.iter().filter(|event| event.metric == metric).count() as u64,
            books.metrics.iter().find(|count| count.name == full).map_or(0, |count| count.delivered),
            stored.iter().filter(|event| event.metric == full).count() as u64,
        ];
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        rows.push(row(&full, counts));
    }
    rows.push(row("total", totals));
    rows
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
