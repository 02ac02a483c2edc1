//! The webhook's side: one insert, durable before the answer.

use app::ports::{Accepted, Inbox, Lane, StoreResult};
use domain::SignatureScheme;
use rusqlite::params;

use crate::job::Work;
use crate::store::SqliteStore;
use crate::time::micros;
use crate::trouble::Trouble;

const KEEP: &str = "INSERT INTO messages (id, lane, scheme, received_at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
const QUEUE: &str = "INSERT INTO queue (lane, id, visible_at) VALUES (?1, ?2, ?3)";

impl Inbox for SqliteStore {
    /// Message, queue entry, counter and time are one transaction: if we die before its commit, Intercom gets no 200 and
    /// sends again; if we die after it, all four are there.
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        let bytes = accepted.body.len();
        self.write(bytes, false, move |work| {
            insert(work, Lane::Live, &accepted)?;
            work.changes.accepted(micros(accepted.received_at));
            Ok(())
        })
        .await
    }
}

/// Puts a new message on a queue, visible at once.
pub(crate) fn insert(work: &mut Work<'_>, lane: Lane, accepted: &Accepted) -> Result<(), Trouble> {
    let id = work.sequences.next_message();
    let (lane, scheme) = (lane_number(lane), scheme_number(accepted.scheme));
    let received_at = micros(accepted.received_at);
    let body: &[u8] = &accepted.body;
    work.connection.prepare_cached(KEEP)?.execute(params![id, lane, scheme, received_at, body])?;
    work.connection.prepare_cached(QUEUE)?.execute(params![lane, id, work.now])?;
    Ok(())
}

/// As the column has it.
pub(crate) fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Live => 0,
        Lane::History => 1,
        Lane::Reconcile => 2,
    }
}

/// From the column.
pub(crate) fn lane(number: i64) -> Lane {
    match number {
        0 => Lane::Live,
        1 => Lane::History,
        _ => Lane::Reconcile,
    }
}

fn scheme_number(scheme: SignatureScheme) -> i64 {
    match scheme {
        SignatureScheme::Hub => 0,
        SignatureScheme::Body => 1,
        SignatureScheme::Rest => 2,
    }
}

/// From the column.
pub(crate) fn scheme(number: i64) -> SignatureScheme {
    match number {
        0 => SignatureScheme::Hub,
        1 => SignatureScheme::Body,
        _ => SignatureScheme::Rest,
    }
}
