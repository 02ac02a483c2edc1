//! The console as a Lambda function behind a function URL.

// One future holds a whole plan, down to the single page.
#![recursion_limit = "256"]

use std::sync::Arc;

use aws::Session;
use aws::secrets::{Secrets, SecretsManager};
use clients::time::SystemClock;
use lambda_http::{Error, Request, run, service_fn};
use lambdas::configuration::{Configuration, SECRET_ARN};
use lambdas::console::ConsoleFunction;
use lambdas::keys::KeyRing;
use lambdas::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let text = |name: &str| std::env::var(name).ok();
    log::start(text);
    log::told(serve(text).await)
}

async fn serve(text: impl Fn(&str) -> Option<String> + Copy) -> Result<(), Error> {
    let configuration = Configuration::read(|name| std::env::var_os(name))?;
    let session = Session::open().await;
    let store = aws::connect(&session, &configuration.aws, SystemClock);
    let secrets = || Secrets::new(SecretsManager::connect(&session), text(SECRET_ARN), text);
    let keys = KeyRing::new(secrets()?, &configuration, store.clone());
    let console = Arc::new(ConsoleFunction::start(store, secrets()?, keys, &configuration).await?);
    run(service_fn(move |request: Request| {
        let console = Arc::clone(&console);
        async move { console.answer(request).await.map_err(Error::from) }
    }))
    .await
}
