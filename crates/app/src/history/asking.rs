//! The importer's questions behind one type, for whoever only passes on the answers.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;

use super::verify::VerifyError;
use super::{HistoryStore, Importer, Verification};
use crate::ports::{Clock, Intercom, IntercomSearch, KlaviyoReader};

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

/// Asks both vendors on behalf of a human. Sends no events.
pub trait Asking: Send + Sync {
    /// What an import would cost: [`super::Plan`].
    fn plan(&self) -> Question<'_>;

    /// Whether everything is accounted for: [`super::Verification`].
    fn verify(&self) -> Question<'_>;
}

/// An importer, and the Klaviyo that it is asked about.
#[derive(Debug)]
pub struct Questions<S, I, C, K> {
    /// Reads Intercom.
    pub importer: Importer<S, I, C>,
    /// Says what Klaviyo has.
    pub klaviyo: K,
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock, K: KlaviyoReader> Asking for Questions<S, I, C, K> {
    fn plan(&self) -> Question<'_> {
        Box::pin(async { asked(self.importer.plan(&self.klaviyo).await) })
    }

    fn verify(&self) -> Question<'_> {
        Box::pin(async {
            let verification = async {
                let verification = self.importer.verify().await?;
                let arrivals = self.importer.arrivals(&self.klaviyo).await?;
                Ok::<_, VerifyError>(Verification { klaviyo: Some(arrivals), ..verification })
            };
            asked(verification.await)
        })
    }
}

fn asked(answer: Result<impl Serialize, impl std::fmt::Display>) -> Asked {
    match answer.map(|answer| serde_json::to_value(answer)) {
        Ok(Ok(value)) => Asked::Answer(value),
        Ok(Err(_)) => Asked::Failed("the answer cannot be written as JSON".to_owned()),
        Err(error) => Asked::Failed(error.to_string()),
    }
}
