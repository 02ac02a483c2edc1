//! Forgetting behind one type, for whoever only passes on the wish.

use std::future::Future;
use std::pin::Pin;

use super::{ForgetError, ForgetReport, ForgetWish, Forgetter};
use crate::ports::{ContactSearch, DeadLetters, Intercom, KlaviyoAccount, PersonalData};

/// A report on its way.
type Report<'a> = Pin<Box<dyn Future<Output = Result<ForgetReport, ForgetError>> + Send + 'a>>;

/// A [`Forgetter`] of some store.
pub trait Forgetting: Send + Sync {
    /// [`Forgetter::forget`].
    fn forget<'a>(&'a self, wish: &'a ForgetWish) -> Report<'a>;
}

impl<S, I, K> Forgetting for Forgetter<S, I, K>
where
    S: PersonalData + DeadLetters,
    I: Intercom + ContactSearch,
    K: KlaviyoAccount,
{
    fn forget<'a>(&'a self, wish: &'a ForgetWish) -> Report<'a> {
        Box::pin(Forgetter::forget(self, wish))
    }
}
