//! The import of the past, and the sweep for what the webhook missed: what to read next, what a page means, which events are
//! whose, where it all stands. Pure; `app::history` does the reading.

mod checkpoint;
mod message;
mod select;
mod span;
mod stream;
mod window;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError, Illegal, StartFacts, State, Step, Wish};
pub use message::{Envelope, RECONCILE_BOOK, entry_hash, history_book, open, raw_item};
pub use select::{Scope, findings};
pub use span::Span;
pub use stream::Stream;
pub use window::{Difference, Judgement, PageSeen, Purpose, StreamName, Trouble, Window};
