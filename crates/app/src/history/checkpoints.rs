//! Loading and changing the checkpoint: every change is one compare-and-set.

use domain::history::Checkpoint;

use super::CHECKPOINT;
use crate::ports::{Documents, StoreError, StoreResult};

/// How often a change is made again because somebody else was faster.
const MOST_TRIES: usize = 50;

/// The checkpoint, and the version that it was stored under.
pub(super) async fn load(store: &impl Documents) -> StoreResult<(Checkpoint, Option<u64>)> {
    let Some(document) = store.load(CHECKPOINT).await? else { return Ok((Checkpoint::default(), None)) };
    let checkpoint = Checkpoint::from_text(&document.body)
        .map_err(|error| StoreError::Unreadable { store: "import's checkpoint", detail: error.to_string() })?;
    Ok((checkpoint, Some(document.version)))
}

/// Changes the checkpoint. The closure says whether there is something to save, and what to answer; it may be called several
/// times. If only the answer of the save is lost, the caller is told that it failed and finds the change done when it looks again.
pub(super) async fn change<R>(
    store: &impl Documents,
    mut change: impl FnMut(&mut Checkpoint) -> (bool, R),
) -> StoreResult<(Checkpoint, R)> {
    for _ in 0..MOST_TRIES {
        let (mut checkpoint, version) = load(store).await?;
        let (changed, answer) = change(&mut checkpoint);
        if !changed || store.save(CHECKPOINT, &checkpoint.to_text(), version).await? {
            return Ok((checkpoint, answer));
        }
    }
    Err(StoreError::Unavailable { store: "import's checkpoint", detail: "somebody else keeps changing it".to_owned() })
}
