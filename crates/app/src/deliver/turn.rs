//! When history may go: after live events, not while paused, and in full requests.

use std::time::Duration;

use domain::history::{Checkpoint, State};

use super::Consumer;
use crate::history::CHECKPOINT;
use crate::ports::{Clock, ConsumerStore, Intercom, Jitter, Klaviyo, Lane};

/// The longest that an item waits for others to fill a bulk request.
const GATHER: Duration = Duration::from_secs(2);

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Live traffic goes first: history takes its turn when nothing live waits to be claimed. Nor does it go on while paused, or
    /// while more is about to come that fits into the same request.
    pub(super) async fn history_has_to_wait(&self, most: usize) -> bool {
        let live = self.deps.store.next_visible(Lane::Live).await;
        if live.is_ok_and(|next| next.is_some_and(|next| next <= self.deps.clock.now())) {
            return true;
        }
        match self.import().await {
            Some(import) if import.state == State::Paused => true,
            Some(import) => import.is_reading() && self.history_gathers(most).await,
            None => false,
        }
    }

    pub(super) async fn history_is_paused(&self) -> bool {
        self.import().await.is_some_and(|import| import.state == State::Paused)
    }

    /// What cannot be read does not hold anything up: nothing is lost by sending, and the reader of history says what is wrong.
    async fn import(&self) -> Option<Checkpoint> {
        let stored = self.deps.store.load(CHECKPOINT).await.ok().flatten()?;
        Checkpoint::from_text(&stored.body).ok()
    }

    /// Klaviyo takes 150 bulk requests a minute. Sent as the pages come, they would be used up by a few events each.
    async fn history_gathers(&self, most: usize) -> bool {
        let depth = self.deps.store.history_depth().await;
        if depth.is_ok_and(|depth| depth >= most as u64) {
            return false;
        }
        let oldest = self.deps.store.next_visible(Lane::History).await.ok().flatten();
        oldest.is_some_and(|oldest| oldest.checked_add(GATHER).is_ok_and(|until| self.deps.clock.now() < until))
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use domain::history::{StartFacts, Wish};
    use domain::{Rules, SignatureScheme};
    use jiff::Timestamp;

    use super::*;
    use crate::deliver::{ConsumerOptions, Deps};
    use crate::fakes::{FakeIntercom, FakeKlaviyo, ManualClock, MemoryStore, NoJitter};
    use crate::history::steer;
    use crate::ports::{Accepted, HistoryInbox, Inbox};

    type Fakes = Consumer<MemoryStore, FakeIntercom, FakeKlaviyo, ManualClock, NoJitter>;

    const NOW: i64 = 1_800_000_000;

    struct World {
        store: MemoryStore,
        clock: ManualClock,
        consumer: Fakes,
    }

    async fn world(days: Option<u32>, wishes: &[Wish]) -> World {
        let clock = ManualClock::at(Timestamp::from_second(NOW).expect("in range"));
        let store = MemoryStore::new(clock.clone());
        let deps = Deps {
            store: store.clone(),
            intercom: FakeIntercom::new("abcd1234"),
            klaviyo: FakeKlaviyo::default(),
            clock: clock.clone(),
            jitter: NoJitter,
        };
        for wish in wishes {
            let facts = StartFacts { first_start: NOW, days };
            steer(&store, *wish, facts, NOW).await.expect("it fits");
        }
        let consumer = Consumer::new(deps, Arc::new(Rules::default()), ConsumerOptions::default());
        World { store, clock, consumer }
    }

    fn message(scheme: SignatureScheme) -> Accepted {
        let received_at = Timestamp::from_second(NOW).expect("in range");
        Accepted { scheme, received_at, body: Bytes::from_static(b"{}") }
    }

    /// The fakes give way now and then, and never wait.
    fn finish<R>(story: impl Future<Output = R>) -> R {
        let mut story = pin!(story);
        loop {
            if let Poll::Ready(result) = story.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
        }
    }

    async fn queue(world: &World, items: usize) {
        let items = (0..items).map(|_| message(SignatureScheme::Rest)).collect();
        world.store.enqueue_history(items).await.expect("queued");
    }

    #[test]
    fn while_the_import_reads_a_batch_gathers_for_two_seconds_or_until_it_is_full() {
        finish(async {
            let world = world(None, &[Wish::Start]).await;
            queue(&world, 9).await;
            assert!(world.consumer.history_has_to_wait(10).await, "there is room for one more");
            assert_eq!(world.consumer.step(Lane::History).await.claimed, 0);
            queue(&world, 1).await;
            assert!(!world.consumer.history_has_to_wait(10).await, "it is full");
            assert!(world.consumer.history_has_to_wait(11).await);
            world.clock.advance(GATHER);
            assert!(!world.consumer.history_has_to_wait(11).await, "the oldest has waited long enough");
            assert_eq!(world.consumer.step(Lane::History).await.claimed, 10);
        });
    }

    #[test]
    fn what_is_left_when_everything_is_read_goes_at_once() {
        finish(async {
            for nothing_to_read in [world(Some(0), &[Wish::Start]).await, world(None, &[]).await] {
                queue(&nothing_to_read, 1).await;
                assert!(!nothing_to_read.consumer.history_has_to_wait(10).await);
            }
        });
    }

    #[test]
    fn a_pause_and_live_events_come_first() {
        finish(async {
            let paused = world(None, &[Wish::Start, Wish::Pause]).await;
            queue(&paused, 10).await;
            assert!(paused.consumer.history_has_to_wait(1).await);
            let busy = world(None, &[Wish::Start]).await;
            queue(&busy, 10).await;
            busy.store.accept(message(SignatureScheme::Hub)).await.expect("accepted");
            assert!(busy.consumer.history_has_to_wait(1).await);
        });
    }
}
