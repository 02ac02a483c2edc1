//! The webhook as a Lambda function behind a function URL.

use std::sync::Arc;

use aws::{LiveInbox, Session};
use clients::time::SystemClock;
use lambda_http::{Error, Request, run, service_fn};
use lambdas::configuration::live_queue_url;
use lambdas::deployment::{WEBHOOK_PATIENCE, secrets};
use lambdas::log;
use lambdas::webhook::Webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start(|name| std::env::var(name).ok());
    log::told(serve().await)
}

async fn serve() -> Result<(), Error> {
    let session = Session::open().await;
    let inbox = LiveInbox::connect(&session, &live_queue_url(|name| std::env::var_os(name))?);
    let webhook = Arc::new(Webhook::new(inbox, SystemClock, secrets(&session, WEBHOOK_PATIENCE)?));
    webhook.prepare().await;
    run(service_fn(move |request: Request| {
        let webhook = Arc::clone(&webhook);
        async move { Ok::<_, Error>(webhook.answer(request).await) }
    }))
    .await
}
