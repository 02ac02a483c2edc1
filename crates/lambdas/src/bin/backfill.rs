//! History, reconcile and chores as a Lambda function behind a schedule.

// One future holds a whole tick, down to the single page.
#![recursion_limit = "256"]

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::backfill::Backfill;
use lambdas::deployment::Deployment;
use lambdas::log;
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start(|name| std::env::var(name).ok());
    log::told(serve().await)
}

async fn serve() -> Result<(), Error> {
    let deployment = Deployment::open().await?;
    let backfill = Backfill::new(deployment.store.clone(), deployment.keys()?, &deployment.configuration);
    run(service_fn(async |event: LambdaEvent<IgnoredAny>| {
        backfill.tick(event.context.deadline()).await.map_err(Error::from)
    }))
    .await
}
