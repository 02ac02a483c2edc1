//! Spans of time, in whole Unix seconds, the end excluded; and sets of them.

use serde::{Deserialize, Serialize};

/// From a second to another one that is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first second.
    pub from: i64,
    /// The second after the last.
    pub to: i64,
}

impl Span {
    /// From `from` to before `to`; empty where `to` is not later.
    pub fn new(from: i64, to: i64) -> Self {
        Self { from, to: to.max(from) }
    }

    /// Seconds in it.
    pub fn width(self) -> i64 {
        self.to.saturating_sub(self.from)
    }

    /// Whether it holds no second.
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether a second lies in it.
    pub fn contains(self, second: i64) -> bool {
        self.from <= second && second < self.to
    }

    /// Whether the whole of another span lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// Whether the two have a second in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// Takes a span out of a sorted set of disjoint spans.
pub(super) fn subtract(spans: &mut Vec<Span>, gone: Span) {
    let mut left = Vec::with_capacity(spans.len() + 1);
    for span in spans.drain(..) {
        if !span.overlaps(gone) {
            left.push(span);
            continue;
        }
        for piece in [Span::new(span.from, gone.from), Span::new(gone.to, span.to)] {
            if !piece.is_empty() {
                left.push(piece);
            }
        }
    }
    *spans = left;
}

/// Whether the whole span is in one of the set's.
pub(super) fn covered(spans: &[Span], span: Span) -> bool {
    spans.iter().any(|other| other.covers(span))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_span_leaves_what_is_around_it() {
        let mut spans = vec![Span::new(0, 10), Span::new(20, 30)];
        subtract(&mut spans, Span::new(4, 6));
        assert_eq!(spans, [Span::new(0, 4), Span::new(6, 10), Span::new(20, 30)]);
        subtract(&mut spans, Span::new(5, 25));
        assert_eq!(spans, [Span::new(0, 4), Span::new(25, 30)]);
        subtract(&mut spans, Span::new(0, 100));
        assert_eq!(spans, []);
    }

    proptest! {
        #[test]
        fn subtracting_takes_exactly_those_seconds(cuts in prop::collection::vec((0i64..60, 0i64..20), 0..12)) {
            let mut spans = vec![Span::new(0, 60)];
            let mut seconds: Vec<bool> = vec![true; 60];
            for (from, width) in cuts {
                let gone = Span::new(from, (from + width).min(60));
                subtract(&mut spans, gone);
                (gone.from..gone.to).for_each(|second| seconds[usize::try_from(second).expect("small")] = false);
            }
            for second in 0..60 {
                let expected = seconds[usize::try_from(second).expect("small")];
                prop_assert_eq!(spans.iter().filter(|span| span.contains(second)).count(), usize::from(expected));
            }
            prop_assert!(spans.windows(2).all(|pair| pair[0].to <= pair[1].from));
        }
    }
}
