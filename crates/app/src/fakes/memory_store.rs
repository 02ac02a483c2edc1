//! Queues and state in memory: every storage port, with the laws that the contract suite writes down.
//!
//! For tests and the simulation. One lock guards everything, so each call is one step that nothing comes between. It forgets
//! all when it is dropped; what an adapter does about crashes is the adapter's to test.

mod books;
mod forget;
mod items;
mod messages;
mod records;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::ports::Clock;
use state::State;

/// Cheap to clone; clones share what they hold.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self { state: Arc::new(Mutex::new(State::default())), now: Arc::new(move || clock.now()) }
    }

    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere must not hide its message behind a second panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::contract;
    use crate::fakes::ManualClock;

    #[test]
    fn it_keeps_the_contract() {
        let make = async || {
            let clock = ManualClock::at(contract::START);
            (MemoryStore::new(clock.clone()), clock)
        };
        contract::run_all(make).now_or_never().expect("nothing here ever waits");
    }
}
