//! The console as a Lambda function behind a function URL.

// One future holds a whole plan, down to the single page.
#![recursion_limit = "256"]

use std::sync::Arc;

use lambda_http::{Error, Request, run, service_fn};
use lambdas::console::ConsoleFunction;
use lambdas::deployment::Deployment;
use lambdas::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start(|name| std::env::var(name).ok());
    log::told(serve().await)
}

async fn serve() -> Result<(), Error> {
    let deployment = Deployment::open().await?;
    let (secrets, keys) = (deployment.secrets()?, deployment.keys()?);
    let console = ConsoleFunction::start(deployment.store.clone(), secrets, keys, &deployment.configuration).await?;
    let console = Arc::new(console);
    run(service_fn(move |request: Request| {
        let console = Arc::clone(&console);
        async move { console.answer(request).await.map_err(Error::from) }
    }))
    .await
}
