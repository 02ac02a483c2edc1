//! Making the recipes of [`domain::recipes`] in a Klaviyo account: what is there, what is missing, what would be sent, and doing it.
//!
//! Nothing is made twice: a recipe is known by its name in Klaviyo, which is looked for before anything is sent. If we die between a
//! flow's template and the flow, or only an answer is lost, the next try finds what is there and makes the rest.

mod book;

use std::sync::Arc;

use domain::Rules;
use domain::klaviyo::ApiError;
use domain::recipes::{AssetKind, Parts, Recipe};
use serde::Serialize;
use serde_json::Value;

use crate::ports::{AccountMetric, CallError, KlaviyoAccount};

pub use book::RecipeBook;

/// Integration of events that came with a private API key. The same name from another integration is another metric.
const OUR_INTEGRATION: &str = "API";

/// Where a recipe stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipeState {
    /// Klaviyo has something of that name.
    Made,
    /// Nothing is missing.
    Ready,
    /// It cannot be made yet: see [`RecipeReport::missing`].
    Missing,
}

/// A recipe, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecipeReport {
    /// By which commands know it.
    pub name: &'static str,
    /// Name in Klaviyo.
    pub title: &'static str,
    /// `segment` or `flow`.
    pub kind: AssetKind,
    /// What it is for.
    pub summary: &'static str,
    /// What the key must be allowed, beside metrics:read.
    pub scopes: &'static [&'static str],
    /// Where it stands.
    pub state: RecipeState,
    /// Klaviyo's id, once it is made.
    pub id: Option<String>,
    /// One sentence for each thing that is missing.
    pub missing: Vec<String>,
    /// The requests that make it, in order; empty once it is made.
    pub requests: Vec<Planned>,
}

/// A request that would be sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// Always `POST`.
    pub method: &'static str,
    /// Path at Klaviyo.
    pub path: &'static str,
    /// Body. What is only known later stands in round brackets.
    pub body: Value,
}

/// Why a recipe was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Something has to be there first.
    #[error("{}", .0.join(" "))]
    Missing(Vec<String>),
    /// Klaviyo did not do it.
    #[error("{}", told(.0))]
    Call(#[from] CallError),
}

/// Makes recipes in one account.
#[derive(Debug)]
pub struct Recipes<K> {
    klaviyo: K,
    rules: Arc<Rules>,
}

/// What was read of the account. What may not be read is told by name.
struct Survey {
    sender: Option<(String, String)>,
    metrics: Result<Vec<AccountMetric>, CallError>,
}

impl<K: KlaviyoAccount> Recipes<K> {
    /// Reads nothing yet.
    pub fn new(klaviyo: K, rules: Arc<Rules>) -> Self {
        Self { klaviyo, rules }
    }

    /// All recipes, where they stand, and what would be sent. Fails only where nothing at all can be said.
    pub async fn list(&self) -> Result<Vec<RecipeReport>, RecipeError> {
        let survey = Survey { sender: None, metrics: forgiven(self.klaviyo.metrics().await)? };
        let mut reports = Vec::with_capacity(Recipe::ALL.len());
        for recipe in Recipe::ALL {
            reports.push(self.report(recipe, &survey).await?);
        }
        Ok(reports)
    }

    /// One recipe, and what would be sent.
    pub async fn preview(&self, recipe: Recipe) -> Result<RecipeReport, RecipeError> {
        self.report(recipe, &self.survey(recipe).await?).await
    }

    /// Makes it, unless something of its name is there.
    pub async fn apply(&self, recipe: Recipe) -> Result<RecipeReport, RecipeError> {
        let survey = self.survey(recipe).await?;
        let before = self.report(recipe, &survey).await?;
        match before.state {
            RecipeState::Made => return Ok(before),
            RecipeState::Missing => return Err(RecipeError::Missing(before.missing)),
            RecipeState::Ready => {}
        }
        let mut parts = self.parts(recipe, &survey);
        if let Some(body) = recipe.template() {
            parts.template = Some(self.made(AssetKind::Template, recipe.title(), &body).await?);
        }
        // `Ready` means that every part is there.
        let Some(body) = recipe.body(&parts) else { return Err(RecipeError::Missing(before.missing)) };
        let id = self.made(recipe.kind(), recipe.title(), &body).await?;
        Ok(RecipeReport { state: RecipeState::Made, id: Some(id), requests: Vec::new(), ..before })
    }

    /// The id of what has this name, made where there is none. When only the answer is lost, it is there: that is looked for once.
    async fn made(&self, kind: AssetKind, name: &str, body: &Value) -> Result<String, CallError> {
        if let Some(id) = self.klaviyo.find_asset(kind, name).await? {
            return Ok(id);
        }
        match self.klaviyo.create_asset(kind, body).await {
            Err(CallError::Unavailable { vendor, reason, counts, until }) => {
                let found = self.klaviyo.find_asset(kind, name).await.ok().flatten();
                found.ok_or(CallError::Unavailable { vendor, reason, counts, until })
            }
            made => made,
        }
    }

    /// What one recipe needs of the account. Klaviyo lets the account be read 15 times a minute, so it is read for flows alone.
    async fn survey(&self, recipe: Recipe) -> Result<Survey, RecipeError> {
        let sender = match recipe.kind() {
            AssetKind::Flow => forgiven(self.klaviyo.account().await)?.ok().and_then(|account| account.sender),
            AssetKind::Segment | AssetKind::Template => None,
        };
        Ok(Survey { sender, metrics: forgiven(self.klaviyo.metrics().await)? })
    }

    fn parts(&self, recipe: Recipe, survey: &Survey) -> Parts {
        let wanted = recipe.metric_name(&self.rules);
        let ours = |metric: &&AccountMetric| {
            metric.integration.as_deref() == Some(OUR_INTEGRATION) && Some(metric.name.as_str()) == wanted.as_deref()
        };
        let metric = survey.metrics.iter().flatten().find(ours).map(|metric| metric.id.clone());
        Parts { metric, template: None, sender: survey.sender.clone() }
    }

    async fn report(&self, recipe: Recipe, survey: &Survey) -> Result<RecipeReport, RecipeError> {
        let found = forgiven(self.klaviyo.find_asset(recipe.kind(), recipe.title()).await)?;
        let parts = self.parts(recipe, survey);
        let mut missing = Vec::new();
        if let Err(error) = &found {
            missing.push(scope_sentence(error));
        }
        if let Some(name) = recipe.metric_name(&self.rules).filter(|_| parts.metric.is_none()) {
            missing.push(match &survey.metrics {
                Err(error) => scope_sentence(error),
                Ok(_) => format!(
                    "Klaviyo has no metric \"{name}\" from us yet: it comes into being with its first event, so import the \
                     past or wait for one."
                ),
            });
        }
        let id = found.unwrap_or_default();
        let state = match (&id, missing.is_empty()) {
            (Some(_), _) => RecipeState::Made,
            (None, true) => RecipeState::Ready,
            (None, false) => RecipeState::Missing,
        };
        let made = state == RecipeState::Made;
        Ok(RecipeReport {
            name: recipe.name(),
            title: recipe.title(),
            kind: recipe.kind(),
            summary: recipe.summary(),
            scopes: recipe.scopes(),
            state,
            id,
            missing: if made { Vec::new() } else { missing },
            requests: if made { Vec::new() } else { self.planned(recipe, parts) },
        })
    }

    fn planned(&self, recipe: Recipe, parts: Parts) -> Vec<Planned> {
        let metric = recipe.metric_name(&self.rules).map(|name| format!("(the id of the metric {name})"));
        let parts = Parts {
            metric: parts.metric.or(metric),
            template: Some("(the id of the template)".to_owned()),
            sender: parts.sender,
        };
        let plan = |kind: AssetKind, body| Planned { method: "POST", path: kind.path(), body };
        let template = recipe.template().map(|body| plan(AssetKind::Template, body));
        let asset = recipe.body(&parts).map(|body| plan(recipe.kind(), body));
        template.into_iter().chain(asset).collect()
    }
}

/// A missing scope is something to tell; anything else is an error.
fn forgiven<R>(asked: Result<R, CallError>) -> Result<Result<R, CallError>, CallError> {
    match asked {
        Err(error @ CallError::Forbidden { .. }) => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(found) => Ok(Ok(found)),
    }
}

fn scope_sentence(error: &CallError) -> String {
    format!("{error}: make a key with this scope and put it into KLAVIYO_API_KEY.")
}

/// Klaviyo's own words where it refused: they are about the shop's assets, never about a customer.
fn told(error: &CallError) -> String {
    match error {
        CallError::Refused { errors, .. } => {
            let detail = |error: &ApiError| error.detail.clone().or_else(|| error.title.clone());
            let details: Vec<String> = errors.iter().filter_map(detail).collect();
            match details.is_empty() {
                true => error.to_string(),
                false => format!("{error}: {}", details.join(" ")),
            }
        }
        CallError::Forbidden { .. } => scope_sentence(error),
        CallError::Unavailable { .. } => {
            format!("{error}; try again: what was made meanwhile is found by its name, and nothing is made twice")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
