//! The consumer as a Lambda function behind the two queues.

// One future holds a whole delivery, from the event to Klaviyo.
#![recursion_limit = "256"]

use aws::Session;
use aws::secrets::{Secrets, SecretsManager};
use aws_lambda_events::sqs::SqsEvent;
use clients::time::SystemClock;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::configuration::{Configuration, SECRET_ARN};
use lambdas::consumer::ConsumerFunction;
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
    let secrets = Secrets::new(SecretsManager::connect(&session), text(SECRET_ARN), text)?;
    let keys = KeyRing::new(secrets, &configuration, store.clone());
    let function = ConsumerFunction::new(store, keys, &configuration);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (event, context) = event.into_parts();
        function.deliver(event, context.deadline()).await.map_err(Error::from)
    }))
    .await
}
