//! A small HTTP server on a thread of its own: what every stand-in is made of.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a stand-in answers.
pub type Answer = Response<Full<Bytes>>;

/// What it was asked.
#[derive(Debug)]
pub struct Call {
    /// GET, POST, …
    pub method: Method,
    /// Path without the query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Call {
    /// The operation of a call to AWS's JSON protocol, "GetItem".
    pub fn operation(&self) -> Option<&str> {
        self.headers.get("x-amz-target")?.to_str().ok()?.rsplit('.').next()
    }
}

/// Serves until the process ends.
///
/// # Errors
/// When no port can be bound.
pub fn serve<H, F>(handler: H) -> std::io::Result<SocketAddr>
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Bound without a runtime, because the caller may be inside one.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                // Answers are small; waiting to fill a packet would be measured as the product's time.
                let _ = stream.set_nodelay(true);
                let handler = handler.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answered(request, handler.clone()));
                    // A product that was killed leaves a broken connection.
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
    Ok(address)
}

async fn answered<H, F>(request: Request<Incoming>, handler: H) -> Result<Answer, Infallible>
where
    H: Fn(Call) -> F,
    F: Future<Output = Answer>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(handler(Call { method: head.method, path: head.uri.path().to_owned(), headers: head.headers, body }).await)
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Lambda's answer to a function that asks for work
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).
pub fn invocation(event: impl Into<Bytes>) -> Answer {
    let mut response = json(StatusCode::OK, event);
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:000000000000:function:bench"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What Secrets Manager gives: a secret with all four values.
pub fn secret() -> Answer {
    let values = serde_json::json!({
        "INTERCOM_CLIENT_SECRET": crate::SECRET, "INTERCOM_ACCESS_TOKEN": "bench", "KLAVIYO_API_KEY": "bench", "CONSOLE_TOKEN": "bench",
    });
    let secret = serde_json::json!({
        "ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:bench", "Name": "bench",
        "SecretString": values.to_string(), "VersionId": "v1", "VersionStages": ["AWSCURRENT"],
    });
    json(StatusCode::OK, secret.to_string())
}

/// The environment of a function, given the address of the stand-ins for AWS, beside what is its own.
pub fn function_environment(aws: SocketAddr) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "log"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "log"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
        ("AWS_SESSION_TOKEN", "example"),
        ("LIVE_QUEUE_URL", "http://queue.test/000000000000/live"),
        ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:bench"),
    ];
    let mut variables: Vec<_> = fixed.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    variables.push(("AWS_LAMBDA_RUNTIME_API", aws.to_string()));
    variables.push(("AWS_ENDPOINT_URL", format!("http://{aws}")));
    variables
}
