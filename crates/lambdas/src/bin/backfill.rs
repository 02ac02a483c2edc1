//! History, reconcile and chores as a Lambda function behind a schedule.

// One future holds a whole tick, down to the single page.
#![recursion_limit = "256"]

use aws::Session;
use aws::secrets::{Secrets, SecretsManager};
use clients::time::SystemClock;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::backfill::Backfill;
use lambdas::configuration::{Configuration, SECRET_ARN};
use lambdas::keys::KeyRing;
use lambdas::log;
use serde::de::IgnoredAny;

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
    let secrets = Secrets::new(SecretsManager::connect(&session), text(SECRET_ARN), text)?;
    let keys = KeyRing::new(secrets, &configuration, store.clone());
    let backfill = Backfill::new(store, keys, &configuration);
    run(service_fn(async |event: LambdaEvent<IgnoredAny>| {
        backfill.tick(event.context.deadline()).await.map_err(Error::from)
    }))
    .await
}
