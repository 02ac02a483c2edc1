//! The console function: the console's router behind a function URL, opened by the token of today.

use std::sync::Arc;

use app::connect::KeyPlace;
use app::environment::CONSOLE_TOKEN;
use app::forget::Forgetter;
use app::history::{Asking, Questions};
use app::ports::{Blocked, Clock as _, StoreError, VendorState};
use app::recipes::Recipes;
use aws::secrets::{SecretReader, SecretTrouble, Secrets};
use axum::body::Body;
use clients::StoredVendors;
use clients::time::SystemClock;
use console::{About, Access, Attempts, Console, Desk, Place};
use http::Response;
use jiff::Timestamp;
use lambda_http::Request;
use tower::ServiceExt as _;

use crate::configuration::Configuration;
use crate::importer::importer;
use crate::keys::{KeyError, KeyRing, Store};
use app::settings::Settings;

/// The one answer that tells of the vendors.
const STATUS: &str = "/api/status";

/// The questions that are asked of Intercom.
const QUESTIONS: [&str; 2] = ["/api/history/plan", "/api/history/verify"];

/// What is made or deleted at Klaviyo begins with one of these.
const DESK: [&str; 2] = ["/api/recipes", "/api/forget"];

/// Why a request was not answered. Lambda answers 502 then, and the log has the sentence.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Nobody can be let in.
    #[error("the console has no token: {0}")]
    Token(#[from] SecretTrouble),
    /// What holds the vendors back cannot be read.
    #[error("the console cannot read the state: {0}")]
    Store(#[from] StoreError),
    /// Intercom cannot be asked.
    #[error("the console cannot ask Intercom: {0}")]
    Keys(#[from] KeyError),
}

/// Serves the console.
#[derive(Debug)]
pub struct ConsoleFunction<R> {
    store: Store,
    secrets: Secrets<R>,
    keys: KeyRing<R>,
    settings: Settings,
    secret: String,
    attempts: Arc<Attempts>,
}

impl<R: SecretReader> ConsoleFunction<R> {
    /// Refuses to start without a token: whoever knows the address could read and steer otherwise.
    pub async fn start(
        store: Store,
        secrets: Secrets<R>,
        keys: KeyRing<R>,
        configuration: &Configuration,
    ) -> Result<Self, ConsoleError> {
        secrets.get(CONSOLE_TOKEN, SystemClock.now()).await?;
        Ok(Self {
            store,
            secrets,
            keys,
            settings: configuration.settings.clone(),
            secret: configuration.secret.clone(),
            attempts: Arc::default(),
        })
    }

    /// Answers one request, by what is stored at this moment.
    pub async fn answer(&self, request: Request) -> Result<Response<Body>, ConsoleError> {
        let token = self.secrets.get(CONSOLE_TOKEN, SystemClock.now()).await?;
        let vendors = match request.uri().path() {
            STATUS => Some(clients::stored_vendors(&self.store, SystemClock).await?),
            _ => None,
        };
        let asking: Option<Arc<dyn Asking>> = match QUESTIONS.contains(&request.uri().path()) {
            true => {
                let clients = self.keys.clients().await?.0;
                let importer = importer(self.store.clone(), &clients, &self.settings);
                Some(Arc::new(Questions { importer, klaviyo: clients.klaviyo.clone() }))
            }
            false => None,
        };
        let desk = match DESK.iter().any(|path| request.uri().path().starts_with(path)) {
            true => self.desk().await?,
            false => Desk::empty(self.place()),
        };
        let router = console::router(Console {
            store: self.store.clone(),
            vendors: Seen(vendors),
            clock: SystemClock,
            setup: Vec::new(),
            access: Access::Token(token),
            attempts: Arc::clone(&self.attempts),
            rules: Arc::new(self.settings.rules.clone()),
            about: About::new(Place::Aws, &self.settings),
            history_days: self.settings.history_days,
            asking,
            desk,
        });
        Ok(match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        })
    }
}

impl<R: SecretReader> ConsoleFunction<R> {
    fn place(&self) -> KeyPlace {
        KeyPlace::Aws { secret: self.secret.clone() }
    }

    async fn desk(&self) -> Result<Desk, ConsoleError> {
        let (clients, rules) = (self.keys.clients().await?.0, Arc::new(self.settings.rules.clone()));
        let forgetter =
            Forgetter::new(self.store.clone(), clients.intercom, clients.klaviyo.clone(), Arc::clone(&rules));
        Ok(Desk {
            recipes: Some(Arc::new(Recipes::new(clients.klaviyo, rules))),
            forgetting: Some(Arc::new(forgetter)),
            ..Desk::empty(self.place())
        })
    }
}

/// What holds the vendors back, where the answer tells of it.
#[derive(Debug)]
struct Seen(Option<StoredVendors<SystemClock>>);

impl VendorState for Seen {
    fn throttled_until(&self) -> Option<Timestamp> {
        self.0.as_ref()?.throttled_until()
    }

    fn blocked(&self) -> Option<Blocked> {
        self.0.as_ref()?.blocked()
    }
}
