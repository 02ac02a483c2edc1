//! The webhook over HTTP: limits around the use case, nothing else.

use app::ports::{Clock, Inbox};
use app::receive::{Answer, Receiver};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Incoming};

use super::body::{BodyError, BodyReader, drain};

/// Answers requests to the webhook's path.
#[derive(Debug)]
pub(crate) struct Webhook<I, C> {
    receiver: Receiver<I, C>,
    bodies: BodyReader,
}

const BUSY: Answer =
    Answer { status: StatusCode::SERVICE_UNAVAILABLE, body: r#"{"error":"too many large bodies at once, try again"}"# };
const BROKEN: Answer = Answer { status: StatusCode::BAD_REQUEST, body: r#"{"error":"the body ended too early"}"# };

impl<I: Inbox, C: Clock> Webhook<I, C> {
    pub(crate) fn new(receiver: Receiver<I, C>, bodies: BodyReader) -> Self {
        Self { receiver, bodies }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        if let Some(answer) = self.receiver.before_body(&head.method, &head.headers) {
            linger(body);
            return response(answer);
        }
        match self.bodies.read(&mut body).await {
            Ok(read) => response(self.receiver.receive(&head.headers, read.bytes.clone()).await),
            Err(BodyError::TooLarge) => {
                linger(body);
                response(self.receiver.too_large())
            }
            Err(BodyError::Busy) => {
                linger(body);
                response(BUSY)
            }
            Err(BodyError::TooSlow) => closing(response(self.receiver.too_slow())),
            Err(BodyError::Broken) => closing(response(BROKEN)),
        }
    }
}

/// Lets the sender finish for a moment, so that it gets to see the answer.
fn linger(body: Incoming) {
    if !body.is_end_stream() {
        tokio::spawn(drain(body));
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(answer.body.as_bytes())));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers();
    response
}

fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
