//! Which workspace the access token belongs to: notifications of another one are not ours.

use std::sync::Mutex;

use jiff::Timestamp;

use super::Consumer;
use crate::ports::{CallError, Clock, ConsumerStore, Intercom, Jitter, Klaviyo, Workspace};

/// Name of the document that keeps the answer, for starts at which Intercom is not reachable.
const DOCUMENT: &str = "workspace";

/// What is known.
#[derive(Debug, Default)]
pub(super) struct WorkspaceBook(Mutex<Option<Known>>);

#[derive(Clone, Debug)]
enum Known {
    /// Asked and answered in this process.
    Asked(Workspace),
    /// `/me` is not readable with this token: every notification counts as ours.
    Unreadable,
}

/// Where the workspace can be had.
#[derive(Clone, Debug)]
pub(super) enum Ours {
    /// This one.
    Known(Workspace),
    /// Not to be found out; the notification's own is taken.
    Unknown,
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Our workspace. Asked once a process; the stored answer serves while Intercom cannot be asked.
    pub(super) async fn our_workspace(&self) -> Result<Ours, Timestamp> {
        if let Some(known) = self.workspace.0.lock().ok().and_then(|known| known.clone()) {
            return Ok(match known {
                Known::Asked(workspace) => Ours::Known(workspace),
                Known::Unreadable => Ours::Unknown,
            });
        }
        let (known, ours) = match self.deps.intercom.workspace().await {
            Ok(workspace) => {
                self.store_workspace(&workspace).await;
                (Known::Asked(workspace.clone()), Ours::Known(workspace))
            }
            Err(CallError::Forbidden { .. } | CallError::Refused { .. }) => {
                tracing::warn!(
                    "Intercom's /me is not readable: notifications of other workspaces cannot be told apart"
                );
                (Known::Unreadable, Ours::Unknown)
            }
            Err(error) => return self.stored_workspace().await.map(Ours::Known).ok_or(super::sending::wait_of(&error)),
        };
        if let Ok(mut slot) = self.workspace.0.lock() {
            *slot = Some(known);
        }
        Ok(ours)
    }

    async fn stored_workspace(&self) -> Option<Workspace> {
        let document = self.deps.store.load(DOCUMENT).await.ok()??;
        serde_json::from_str(&document.body).ok()
    }

    async fn store_workspace(&self, workspace: &Workspace) {
        let Ok(body) = serde_json::to_string(workspace) else { return };
        let stored = match self.deps.store.load(DOCUMENT).await {
            Ok(Some(document)) if document.body == body => return,
            Ok(document) => self.deps.store.save(DOCUMENT, &body, document.map(|document| document.version)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            tracing::warn!(%error, "the workspace could not be stored; it will be asked for again");
        }
    }
}

/// Where teammates open Intercom, by region (`US`, `EU`, `AU`).
pub(super) fn app_url(region: Option<&str>) -> &'static str {
    match region {
        Some("EU") => "https://app.eu.intercom.com",
        Some("AU") => "https://app.au.intercom.com",
        _ => "https://app.intercom.com",
    }
}
