//! A function that reads one secret and puts every request's body on a queue: no signature, no limits, no answers.

use aws_config::BehaviorVersion;
use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let secret = secrets.get_secret_value().secret_id(std::env::var("SECRET_ARN")?).send().await?;
    let (queue, url) = (aws_sdk_sqs::Client::new(&config), std::env::var("LIVE_QUEUE_URL")?);
    let has_secret = secret.secret_string().is_some();
    run(service_fn(|request: Request| {
        let send = queue.send_message().queue_url(&url).message_body(String::from_utf8_lossy(request.body()));
        async move {
            let sent = send.send().await.is_ok() && has_secret;
            Ok::<_, Error>(Response::builder().status(if sent { 200 } else { 503 }).body(Body::Empty)?)
        }
    }))
    .await
}
