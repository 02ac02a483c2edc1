//! The recipes behind one type, for whoever only passes on the answers.

use std::future::Future;
use std::pin::Pin;

use domain::recipes::Recipe;

use super::{RecipeError, RecipeReport, Recipes};
use crate::ports::KlaviyoAccount;

/// An answer on its way.
type Answer<'a, R> = Pin<Box<dyn Future<Output = Result<R, RecipeError>> + Send + 'a>>;

/// [`Recipes`] of some account.
pub trait RecipeBook: Send + Sync {
    /// [`Recipes::list`].
    fn list(&self) -> Answer<'_, Vec<RecipeReport>>;

    /// [`Recipes::preview`].
    fn preview(&self, recipe: Recipe) -> Answer<'_, RecipeReport>;

    /// [`Recipes::apply`].
    fn apply(&self, recipe: Recipe) -> Answer<'_, RecipeReport>;
}

impl<K: KlaviyoAccount> RecipeBook for Recipes<K> {
    fn list(&self) -> Answer<'_, Vec<RecipeReport>> {
        Box::pin(Recipes::list(self))
    }

    fn preview(&self, recipe: Recipe) -> Answer<'_, RecipeReport> {
        Box::pin(Recipes::preview(self, recipe))
    }

    fn apply(&self, recipe: Recipe) -> Answer<'_, RecipeReport> {
        Box::pin(Recipes::apply(self, recipe))
    }
}
