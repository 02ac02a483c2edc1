//! The consumer as a Lambda function behind the two queues.

// One future holds a whole delivery, from the event to Klaviyo.
#![recursion_limit = "256"]

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::consumer::ConsumerFunction;
use lambdas::deployment::Deployment;
use lambdas::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start(|name| std::env::var(name).ok());
    log::told(serve().await)
}

async fn serve() -> Result<(), Error> {
    let deployment = Deployment::open().await?;
    let function = ConsumerFunction::new(deployment.store.clone(), deployment.keys()?, &deployment.configuration);
    function.prepare().await;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (event, context) = event.into_parts();
        function.deliver(event, context.deadline()).await.map_err(Error::from)
    }))
    .await
}
