//! A set of numbers that come mostly in runs, written as `1-57,59`.

/// Sorted, disjoint, not touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for run in text.split(',').filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            let follows = set.0.last().is_none_or(|(_, before)| first > *before);
            if first > last || !follows {
                return None;
            }
            set.0.push((first, last));
        }
        Some(set)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.insert(at, (number, number));
        if self.0.get(at + 1).is_some_and(|(first, _)| *first == number + 1) {
            self.0[at].1 = self.0.remove(at + 1).1;
        }
        if at > 0 && self.0[at - 1].1 + 1 == number {
            self.0[at - 1].1 = self.0.remove(at).1;
        }
    }

    /// How many runs: what the text's length grows with.
    pub(crate) fn runs(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for Intervals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// In an odd order, against a plain set.
    #[test]
    fn it_is_a_set() {
        let mut set = Intervals::default();
        let mut plain = BTreeSet::new();
        for step in 0..200_u64 {
            let number = step * 37 % 101;
            if step % 3 != 0 {
                set.insert(number);
                plain.insert(number);
            }
            assert_eq!(Intervals::parse(&set.to_string()), Some(set.clone()), "{set}");
            for probe in 0..102 {
                assert_eq!(set.contains(probe), plain.contains(&probe), "{probe} in {set}");
            }
        }
    }

    #[test]
    fn runs_join_and_odd_texts_are_refused() {
        let mut set = Intervals::parse("1-57,59").expect("a set");
        assert_eq!(set.runs(), 2);
        set.insert(58);
        assert_eq!(set.to_string(), "1-59");
        for odd in ["2-1", "3,1", "1-3,2", "x", "1-2-3"] {
            assert_eq!(Intervals::parse(odd), None, "{odd}");
        }
    }
}
