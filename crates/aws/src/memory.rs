//! In-memory stand-ins of table and queues, with faults, for tests and the simulation.

mod queues;
mod table;

pub use queues::MemoryQueues;
pub use table::MemoryTable;

use app::ports::StoreError;

/// What the next write meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive.
    RequestLost,
    /// It happens, and the caller does not learn it.
    ResponseLost,
    /// It is refused for now.
    Throttled,
}

impl Fault {
    fn error(self, store: &'static str) -> StoreError {
        let detail = match self {
            Self::RequestLost | Self::ResponseLost => "no answer in time",
            Self::Throttled => "ThrottlingException",
        };
        StoreError::Unavailable { store, detail: detail.to_owned() }
    }
}

/// Gives the executor a turn: a simulation can stop here, and so crash between any two effects.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
