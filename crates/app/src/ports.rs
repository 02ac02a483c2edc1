//! What the use cases need from the outside, in our own types.
//!
//! Every trait is narrow, so that a function which only accepts webhooks cannot reach a ledger. The laws of the
//! storage ports are written down as the contract suite in `contract`; an adapter is right when it passes.

pub mod account;
pub mod forget;
pub mod history;
pub mod state;
pub mod support;
pub mod vendors;

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

pub use account::*;
pub use forget::*;
pub use history::*;
pub use state::*;
pub use support::*;
pub use vendors::*;

/// Time as an argument.
pub trait Clock: Send + Sync {
    /// The moment now.
    fn now(&self) -> Timestamp;

    /// Returns when the duration has passed.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// Randomness as an argument: spreads retries.
pub trait Jitter: Send + Sync {
    /// A number in `0.0..1.0`.
    fn unit(&self) -> f64;
}
