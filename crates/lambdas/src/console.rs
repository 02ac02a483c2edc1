//! The console function: the console's router behind a function URL, opened by the token of today.

use std::sync::{Mutex, PoisonError};

use app::environment::CONSOLE_TOKEN;
use app::ports::Clock as _;
use app::status::NoVendors;
use aws::secrets::{SecretReader, SecretTrouble, Secrets};
use axum::Router;
use axum::body::Body;
use clients::time::SystemClock;
use console::{Access, Console};
use http::Response;
use lambda_http::Request;
use secrecy::{ExposeSecret as _, SecretString};
use tower::ServiceExt as _;

use crate::keys::Store;

/// Serves the console.
#[derive(Debug)]
pub struct ConsoleFunction<R> {
    store: Store,
    secrets: Secrets<R>,
    built: Mutex<Option<(SecretString, Router)>>,
}

impl<R: SecretReader> ConsoleFunction<R> {
    /// Refuses to start without a token: whoever knows the address could read and steer otherwise.
    pub async fn start(store: Store, secrets: Secrets<R>) -> Result<Self, SecretTrouble> {
        let function = Self { store, secrets, built: Mutex::default() };
        drop(function.router().await?);
        Ok(function)
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Result<Response<Body>, SecretTrouble> {
        let router = self.router().await?;
        Ok(match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        })
    }

    async fn router(&self) -> Result<Router, SecretTrouble> {
        let token = self.secrets.get(CONSOLE_TOKEN, SystemClock.now()).await?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, router)) = built.as_ref().filter(|(known, _)| known.expose_secret() == token.expose_secret()) {
            return Ok(router.clone());
        }
        let router = console::router(Console {
            store: self.store.clone(),
            vendors: NoVendors,
            clock: SystemClock,
            setup: Vec::new(),
            access: Access::Token(token.clone()),
        });
        *built = Some((token, router.clone()));
        Ok(router)
    }
}
