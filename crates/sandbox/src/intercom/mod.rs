//! The stand-in Intercom workspace.

mod action;
mod actor;
mod control;
mod cursor;
mod filter;
pub(crate) mod model;
mod perform;
mod rating;
mod render;
mod rest;
mod search;
mod spec;
mod tickets;
mod webhook;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::{Value, json};

pub use self::{
    action::Action,
    rest::SearchQuirks,
    spec::{
        Acted, ActionError, ApiVersion, Category, ContactSpec, ConversationState, Notification, PartRef, Role,
        TicketSpec,
    },
    webhook::{Attempt, Delivery, DeliveryOptions, DeliveryState, sign, sign_lifecycle},
};
pub(crate) use self::{model::Model, perform::Draft};
use self::{
    rest::Limits,
    webhook::{Courier, Job},
};
use crate::{
    clock::{LATEST, SandboxClock},
    faults::Faults,
    traffic::{RecordedRequest, RequestCount, Traffic},
};

pub(crate) struct Shared {
    workspace: String,
    token: String,
    secret: String,
    clock: SandboxClock,
    faults: Faults,
    traffic: Traffic,
    model: Mutex<Model>,
    limits: Mutex<Limits>,
    topics: Mutex<Option<HashSet<String>>>,
    courier: Arc<Courier>,
}

/// A handle on the stand-in Intercom; clones share the workspace.
///
/// Actions happen at the clock's time, or at the time given with [`at`](Self::at).
#[derive(Clone)]
pub struct IntercomSandbox {
    shared: Arc<Shared>,
    time: Option<i64>,
}

impl fmt::Debug for IntercomSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntercomSandbox").field("workspace", &self.shared.workspace).finish_non_exhaustive()
    }
}

impl IntercomSandbox {
    pub(crate) fn new(workspace: &str, secret: &str, token: &str, clock: SandboxClock) -> Self {
        let shared = Shared {
            workspace: workspace.to_owned(),
            token: token.to_owned(),
            secret: secret.to_owned(),
            faults: Faults::default(),
            traffic: Traffic::default(),
            model: Mutex::new(Model::new(workspace, 0x696E_7465)),
            limits: Mutex::default(),
            topics: Mutex::default(),
            courier: Courier::start(secret, clock.clone()),
            clock,
        };
        Self { shared: Arc::new(shared), time: None }
    }

    /// A handle whose actions happen at `unix_seconds`.
    pub fn at(&self, unix_seconds: i64) -> Self {
        Self { shared: Arc::clone(&self.shared), time: Some(unix_seconds) }
    }

    /// The workspace's id, which is the `app_id` of every notification.
    pub fn workspace_id(&self) -> &str {
        &self.shared.workspace
    }

    /// The clock that actions happen by.
    pub fn clock(&self) -> &SandboxClock {
        &self.shared.clock
    }

    /// The time an action of this handle would have now, Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.time.unwrap_or_else(|| self.shared.clock.now()).clamp(0, LATEST)
    }

    /// Performs an action: the state changes, and what Intercom would notify is returned, and delivered when a
    /// webhook URL is set.
    ///
    /// # Errors
    /// When an id does not exist or the thing does not allow it; nothing has changed then.
    pub fn act(&self, action: &Action) -> Result<Acted, ActionError> {
        let at = self.now();
        let mut model = self.model();
        let outcome = model.perform(action, at)?;
        let subscribed = |draft: &Draft| {
            let topics = self.shared.topics.lock().unwrap_or_else(PoisonError::into_inner);
            draft.topic == "ping" || topics.as_ref().is_none_or(|topics| topics.contains(draft.topic))
        };
        let wanted: Vec<Draft> = outcome.drafts.into_iter().filter(subscribed).collect();
        let mut notifications = Vec::with_capacity(wanted.len());
        for draft in wanted {
            let notification = notification(&mut model, &draft);
            self.shared.courier.enqueue(job(&notification, draft.not_before));
            notifications.push(notification);
        }
        Ok(Acted { id: outcome.id, at, parts: outcome.parts, notifications })
    }

    /// Which API version webhook bodies have from now on, and REST answers without an `Intercom-Version` header.
    pub fn set_api_version(&self, version: ApiVersion) {
        self.model().version = version;
    }

    /// Only these topics are notified from now on (pings always are).
    pub fn subscribe<T: Into<String>>(&self, topics: impl IntoIterator<Item = T>) {
        let topics = topics.into_iter().map(Into::into).collect();
        *self.shared.topics.lock().unwrap_or_else(PoisonError::into_inner) = Some(topics);
    }

    /// Every topic is notified, as at first.
    pub fn subscribe_all(&self) {
        *self.shared.topics.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Delivers notifications to `url` (plain http) from now on. Also sets a disabled subscription live again.
    pub fn set_webhook(&self, url: impl Into<String>) {
        self.shared.courier.set_url(Some(url.into()));
    }

    /// Delivers nothing any more.
    pub fn clear_webhook(&self) {
        self.shared.courier.set_url(None);
    }

    /// False once the receiver has answered 410.
    pub fn webhook_enabled(&self) -> bool {
        self.shared.courier.enabled()
    }

    /// How notifications are delivered from now on.
    pub fn set_delivery(&self, options: DeliveryOptions) {
        self.shared.courier.set_options(options);
    }

    /// How notifications are delivered now.
    pub fn delivery(&self) -> DeliveryOptions {
        self.shared.courier.options()
    }

    /// Every notification queued so far, with every attempt.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.courier.deliveries()
    }

    /// Delivers a notification once more, as Intercom does after an answer that came too late: same id, marked as a
    /// retry.
    pub fn redeliver(&self, notification: &Notification) {
        let again = webhook::as_retry(&notification.body.clone().into());
        self.shared.courier.enqueue(Job { body: again, ..job(notification, 0) });
    }

    /// Waits until no delivery is under way or waiting for its retry.
    pub async fn idle(&self) {
        self.shared.courier.idle().await;
    }

    /// `HEAD` to the webhook URL; its status.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn probe(&self) -> Result<u16, String> {
        self.shared.courier.probe().await
    }

    /// The call Intercom makes when the app is uninstalled; the status it got.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn uninstall(&self) -> Result<u16, String> {
        self.shared.courier.lifecycle(&json!({ "app_id": self.shared.workspace })).await
    }

    /// The call Intercom makes to ask whether the app works; the status it got.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn health_check(&self) -> Result<u16, String> {
        self.shared.courier.lifecycle(&json!({ "workspace_id": self.shared.workspace })).await
    }

    /// The client secret that notifications are signed with.
    pub fn client_secret(&self) -> &str {
        &self.shared.secret
    }

    /// REST calls allowed in ten seconds; 0 switches the limit off. 1,667 at first.
    pub fn set_rate_limit(&self, calls: u32) {
        self.limits().limit = calls;
    }

    /// How many REST calls were answered 429.
    pub fn refused(&self) -> u64 {
        self.limits().refused
    }

    /// Search does not see what changed less than so many seconds ago. 0 at first.
    pub fn set_index_lag(&self, seconds: i64) {
        self.limits().search.index_lag_seconds = seconds;
    }

    /// How search behaves from now on.
    pub fn set_search_quirks(&self, quirks: SearchQuirks) {
        self.limits().search = quirks;
    }

    /// The faults of this vendor's REST API.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// REST requests per endpoint and status.
    pub fn requests(&self) -> Vec<RequestCount> {
        self.shared.traffic.counts()
    }

    /// The newest REST requests, oldest first, at most `limit`.
    pub fn request_bodies(&self, limit: usize) -> Vec<RecordedRequest> {
        self.shared.traffic.recent(limit)
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.shared.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job(notification: &Notification, not_before: i64) -> Job {
    Job {
        id: notification.id.clone(),
        topic: notification.topic.clone(),
        body: notification.body.clone().into(),
        not_before_ms: not_before.saturating_mul(1000),
    }
}

/// Puts the envelope around an item.
fn notification(model: &mut Model, draft: &Draft) -> Notification {
    #[derive(Serialize)]
    struct Data<'a> {
        r#type: &'static str,
        item: &'a Value,
    }
    #[derive(Serialize)]
    struct Envelope<'a> {
        r#type: &'static str,
        app_id: &'a str,
        data: Data<'a>,
        links: Value,
        id: Option<&'a str>,
        topic: &'a str,
        delivery_status: Option<&'static str>,
        delivery_attempts: u32,
        delivered_at: i64,
        first_sent_at: i64,
        created_at: i64,
        #[serde(rename = "self")]
        itself: Option<()>,
    }
    let ping = draft.topic == "ping";
    let id = if ping { String::new() } else { format!("notif_{}", model.rng.uuid()) };
    let envelope = Envelope {
        r#type: "notification_event",
        app_id: &model.workspace,
        data: Data { r#type: "notification_event_data", item: &draft.item },
        links: json!({}),
        id: (!ping).then_some(id.as_str()),
        topic: draft.topic,
        delivery_status: (!ping).then_some("pending"),
        delivery_attempts: 1,
        delivered_at: 0,
        first_sent_at: draft.at,
        created_at: draft.at,
        itself: None,
    };
    // Plain data with string keys always serialises.
    let body = serde_json::to_vec(&envelope).unwrap_or_default();
    Notification { id, topic: draft.topic.to_owned(), body }
}
