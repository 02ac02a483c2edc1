//! Stateful stand-ins for the outside. They keep the ports' laws, so a use case that works with them works with adapters.

mod fake_intercom;
mod fake_klaviyo;
mod manual_clock;
mod memory_store;

pub use fake_intercom::FakeIntercom;
pub use fake_klaviyo::{FakeKlaviyo, Fault, Import, Stored};
pub use manual_clock::ManualClock;
pub use memory_store::MemoryStore;

/// Gives the executor a turn. A simulation can stop here, and so crash between any two effects.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// No randomness: always the middle.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJitter;

impl crate::ports::Jitter for NoJitter {
    fn unit(&self) -> f64 {
        0.5
    }
}
