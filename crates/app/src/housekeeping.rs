//! What has to be done now and then: look at parked messages, give up old ones, keep the store small.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::parked_check_after;
use domain::mapping::identity_of;
use domain::{Rules, Skip};
use jiff::Timestamp;

use crate::hours::note_hour;
use crate::ports::{
    CallError, Clock, ContactLookup, Documents, Intercom, Overview, ParkedMessage, ParkedMessages, Retention,
    StoreResult,
};

/// Parked messages looked at in one tick: each may cost a call.
const CHECKS_PER_TICK: usize = 50;

/// Rounds of cleaning in one tick, each a bounded piece.
const CLEANINGS_PER_TICK: usize = 20;

/// Does the chores.
#[derive(Debug)]
pub struct Housekeeper<S, I, C> {
    store: S,
    intercom: I,
    clock: C,
    rules: Arc<Rules>,
    retention: Retention,
}

impl<S: ParkedMessages + Overview + Documents, I: Intercom, C: Clock> Housekeeper<S, I, C> {
    /// Wires a housekeeper.
    pub fn new(store: S, intercom: I, clock: C, rules: Arc<Rules>, retention: Retention) -> Self {
        Self { store, intercom, clock, rules, retention }
    }

    /// One round of chores; to be called every few seconds. What fails is done in a later round.
    pub async fn tick(&self) {
        let now = self.clock.now();
        if let Err(error) = note_hour(&self.store, now).await {
            tracing::warn!(%error, "what the last hour had could not be noted");
        }
        if let Err(error) = self.sweep_parked(now).await {
            tracing::warn!(%error, "parked messages could not be looked at");
        }
        match self.store.expire(now, &Skip::Expired.to_string()).await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "parked messages given up: their contact never became known"),
            Err(error) => tracing::warn!(%error, "parked messages could not be given up"),
        }
        for _ in 0..CLEANINGS_PER_TICK {
            match self.store.clean(now, self.retention).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the store could not be cleaned");
                    break;
                }
            }
        }
    }

    async fn sweep_parked(&self, now: Timestamp) -> StoreResult<()> {
        for parked in self.store.due(now, CHECKS_PER_TICK).await? {
            match self.anyone_known(&parked).await {
                Ok(true) => {
                    self.store.release(&parked.contacts).await?;
                }
                Ok(false) => {
                    let parked_for = Duration::try_from(now.duration_since(parked.parked_at)).unwrap_or_default();
                    let next = now.checked_add(parked_check_after(parked_for)).unwrap_or(Timestamp::MAX);
                    self.store.recheck_at(&parked.id, next).await?;
                }
                // Intercom makes us wait or is down: the rest is due in a later round.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Whether one of the contacts can be identified now. One that is gone counts too: delivery then says so.
    async fn anyone_known(&self, parked: &ParkedMessage) -> Result<bool, CallError> {
        for contact in &parked.contacts {
            match self.intercom.contact(contact).await? {
                ContactLookup::Found(contact) if !identity_of(&contact, &self.rules).is_known() => {}
                ContactLookup::Found(_) | ContactLookup::Unknown => return Ok(true),
            }
        }
        Ok(false)
    }
}
