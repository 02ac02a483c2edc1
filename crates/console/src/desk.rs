//! What a human sets up and asks for, beyond watching: each behind one type, absent where there is nobody to ask.

use std::sync::Arc;

use app::connect::{Connecting, KeyPlace};
use app::forget::Forgetting;
use app::recipes::RecipeBook;

/// Who is asked.
#[derive(Clone)]
pub struct Desk {
    /// Where the keys are kept.
    pub place: KeyPlace,
    /// Checks keys and writes them down: one process on one machine, while keys are missing. `None` anywhere else, where keys are
    /// accepted from nobody.
    pub connecting: Option<Arc<dyn Connecting>>,
    /// Makes segments and flows in Klaviyo. `None` in set-up mode.
    pub recipes: Option<Arc<dyn RecipeBook>>,
    /// Forgets people. `None` in set-up mode.
    pub forgetting: Option<Arc<dyn Forgetting>>,
}

impl Desk {
    /// One that nobody sits at.
    pub fn empty(place: KeyPlace) -> Self {
        Self { place, connecting: None, recipes: None, forgetting: None }
    }
}

/// Says what is there.
impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("place", &self.place)
            .field("connecting", &self.connecting.is_some())
            .field("recipes", &self.recipes.is_some())
            .field("forgetting", &self.forgetting.is_some())
            .finish_non_exhaustive()
    }
}
