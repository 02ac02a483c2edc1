//! The importer's questions behind one type, for whoever only passes on the answers.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;

use super::{HistoryStore, Importer};
use crate::ports::{Clock, Intercom, IntercomSearch};

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// The answer as JSON.
    Answer(Value),
    /// One sentence: why there is none.
    Failed(String),
}

/// A question on its way.
type Question<'a> = Pin<Box<dyn Future<Output = Asked> + Send + 'a>>;

/// Asks Intercom on behalf of a human. Sends nothing to Klaviyo.
pub trait Asking: Send + Sync {
    /// What an import would cost: [`super::Plan`].
    fn plan(&self) -> Question<'_>;

    /// Whether everything is accounted for: [`super::Verification`].
    fn verify(&self) -> Question<'_>;
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Asking for Importer<S, I, C> {
    fn plan(&self) -> Question<'_> {
        Box::pin(async { asked(Importer::plan(self).await) })
    }

    fn verify(&self) -> Question<'_> {
        Box::pin(async { asked(Importer::verify(self).await) })
    }
}

fn asked(answer: Result<impl Serialize, impl std::fmt::Display>) -> Asked {
    match answer.map(|answer| serde_json::to_value(answer)) {
        Ok(Ok(value)) => Asked::Answer(value),
        Ok(Err(_)) => Asked::Failed("the answer cannot be written as JSON".to_owned()),
        Err(error) => Asked::Failed(error.to_string()),
    }
}
