//! How far it is, while it goes on.

use std::time::{Duration, Instant};

use crate::output::{is_terminal, line, redraw};

/// One line that is drawn again and again on a terminal; elsewhere a line a second.
#[derive(Default)]
pub(super) struct Progress {
    last: Option<Instant>,
    text: String,
}

impl Progress {
    pub(super) fn report(&mut self, text: String) {
        if is_terminal() {
            redraw(&text);
        } else if text != self.text && self.last.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
            line(&text);
            self.last = Some(Instant::now());
            self.text = text;
        }
    }

    pub(super) fn end(&self) {
        if is_terminal() {
            line("");
        }
    }
}
