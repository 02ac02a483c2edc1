//! What the child wrote down: one letter and one number a line, each line one write.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// All rounds so far.
#[derive(Default)]
pub(crate) struct Journal {
    /// About to be accepted.
    pub(crate) asked: HashSet<u64>,
    /// Accepted, and told so.
    pub(crate) answered: HashSet<u64>,
    /// About to be settled as delivered or skipped.
    pub(crate) ending: HashSet<u64>,
    /// Settled so, and told so.
    pub(crate) ended: HashSet<u64>,
}

impl Journal {
    pub(crate) fn read(folder: &Path) -> Self {
        let mut journal = Self::default();
        let text = std::fs::read_to_string(folder.join("journal")).unwrap_or_default();
        for line in text.lines() {
            let Some((kind, number)) = line.split_once(' ') else { continue };
            let number = number.parse().expect("a number");
            match kind {
                "asked" => journal.asked.insert(number),
                "answered" => journal.answered.insert(number),
                "ending" => journal.ending.insert(number),
                "ended" => journal.ended.insert(number),
                other => panic!("unknown line {other}"),
            };
        }
        journal
    }
}

/// The child's end of it.
pub(crate) struct Pen(File);

impl Pen {
    pub(crate) fn open(folder: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(folder.join("journal"));
        Self(file.expect("the journal opens"))
    }

    pub(crate) fn note(&self, kind: &str, number: u64) {
        (&self.0).write_all(format!("{kind} {number}\n").as_bytes()).expect("noted");
    }
}
