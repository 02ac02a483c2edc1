//! The webhook as a Lambda function behind a function URL.

use std::sync::Arc;

use aws::secrets::{Secrets, SecretsManager};
use aws::{LiveInbox, Session};
use clients::time::SystemClock;
use lambda_http::{Error, Request, run, service_fn};
use lambdas::configuration::{SECRET_ARN, live_queue_url};
use lambdas::log;
use lambdas::webhook::Webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let text = |name: &str| std::env::var(name).ok();
    log::start(text);
    log::told(serve(text).await)
}

async fn serve(text: impl Fn(&str) -> Option<String> + Copy) -> Result<(), Error> {
    let session = Session::open().await;
    let inbox = LiveInbox::connect(&session, &live_queue_url(|name| std::env::var_os(name))?);
    let secrets = Secrets::new(SecretsManager::connect(&session), text(SECRET_ARN), text)?;
    let webhook = Arc::new(Webhook::new(inbox, SystemClock, secrets));
    webhook.prepare().await;
    run(service_fn(move |request: Request| {
        let webhook = Arc::clone(&webhook);
        async move { Ok::<_, Error>(webhook.answer(request).await) }
    }))
    .await
}
