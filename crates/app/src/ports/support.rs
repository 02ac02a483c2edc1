//! Where support state is kept: small records under a name, changed by compare-and-set.

use std::future::Future;

use super::{Document, StoreResult};

/// How sure a look has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What was written before the call is seen.
    Exact,
    /// May miss what was written a moment ago, and may be cheaper. A save over what was seen fails then.
    Glance,
}

/// A wish to save a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// Its name.
    pub key: String,
    /// What it is to hold.
    pub body: String,
    /// The version that was read; `None`: there was none.
    pub expected: Option<u64>,
}

/// Records of support state. Like [`super::Documents`], of which there are few; these are one or two a customer, so they come and go
/// many at a time, and two owners of one record still cannot both win.
pub trait SupportStates: Send + Sync {
    /// The records that are there, in the order of the keys.
    fn support_records(
        &self,
        keys: &[String],
        look: Look,
    ) -> impl Future<Output = StoreResult<Vec<Option<Document>>>> + Send;

    /// Saves each whose stored version is still the expected one, and says of each whether it was saved: one that was not does not
    /// stop the others. No two may have one key. Where it fails, any of them may have been saved.
    fn save_support_records(&self, writes: Vec<RecordWrite>) -> impl Future<Output = StoreResult<Vec<bool>>> + Send;
}
