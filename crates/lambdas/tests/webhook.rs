//! The webhook function around a queue that is a fake and a secret that changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::fakes::{ManualClock, MemoryStore};
use app::ports::{Lane, Overview as _, WorkQueue as _};
use aws::secrets::{SecretReader, SecretTrouble, Secrets};
use domain::ClientSecrets;
use domain::signature::sign_hub;
use http::StatusCode;
use lambda_http::{Body, Request, Response};
use lambdas::webhook::Webhook;
use secrecy::SecretString;

const BODY: &str = r#"{"type":"notification_event","app_id":"ws","topic":"ping"}"#;

#[derive(Clone, Default)]
struct Vault {
    text: Arc<Mutex<Option<String>>>,
    reads: Arc<Mutex<usize>>,
}

impl Vault {
    fn put(&self, client_secret: &str) {
        *self.text.lock().expect("whole") = Some(format!(r#"{{"INTERCOM_CLIENT_SECRET":"{client_secret}"}}"#));
    }

    fn reads(&self) -> usize {
        *self.reads.lock().expect("whole")
    }
}

impl SecretReader for Vault {
    async fn read(&self, arn: &str) -> Result<SecretString, SecretTrouble> {
        *self.reads.lock().expect("whole") += 1;
        let text = self.text.lock().expect("whole").clone();
        text.map(SecretString::from).ok_or_else(|| SecretTrouble::Missing(arn.to_owned()))
    }
}

struct Shop {
    vault: Vault,
    clock: ManualClock,
    queue: MemoryStore,
    webhook: Webhook<MemoryStore, ManualClock, Vault>,
}

fn shop() -> Shop {
    let (vault, clock) = (Vault::default(), ManualClock::at("2026-07-15T08:00:00Z".parse().expect("a time")));
    let queue = MemoryStore::new(clock.clone());
    let secrets = Secrets::new(vault.clone(), Some("arn:secret".to_owned()), |_| None).expect("usable");
    let webhook = Webhook::new(queue.clone(), clock.clone(), secrets);
    Shop { vault, clock, queue, webhook }
}

fn signed(secret: &str, body: Body) -> Request {
    let secrets = ClientSecrets::parse(&SecretString::from(secret)).expect("usable");
    let signature = sign_hub(&secrets, &body);
    http::Request::builder()
        .method("POST")
        .uri("https://id.lambda-url.eu-west-1.on.aws/")
        .header("x-hub-signature", signature)
        .body(body)
        .expect("a request")
}

async fn post(shop: &Shop, secret: &str) -> StatusCode {
    shop.webhook.answer(signed(secret, Body::from(BODY))).await.status()
}

#[tokio::test]
async fn a_signed_call_is_queued_as_it_came() {
    let shop = shop();
    shop.vault.put("one");
    assert_eq!(post(&shop, "one").await, StatusCode::OK);
    // What is neither text nor JSON comes base64-encoded from Lambda, and is bytes by now.
    let bytes = b"\xff\x00not text".to_vec();
    let answer = shop.webhook.answer(signed("one", Body::from(bytes.clone()))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let claimed = shop.queue.claim(Lane::Live, 10, usize::MAX, Duration::from_secs(60)).await.expect("claims");
    let bodies: Vec<_> = claimed.iter().map(|message| message.accepted.body.to_vec()).collect();
    assert_eq!(bodies, [BODY.as_bytes().to_vec(), bytes]);
    assert_eq!(shop.vault.reads(), 1, "the secret is read once");
}

#[tokio::test]
async fn a_rotated_secret_is_good_at_once_and_the_old_one_for_minutes_at_most() {
    let shop = shop();
    shop.vault.put("old");
    assert_eq!(post(&shop, "old").await, StatusCode::OK);
    shop.vault.put("new");
    shop.clock.advance(Duration::from_secs(61));
    assert_eq!(post(&shop, "new").await, StatusCode::OK, "a wrong signature is a reason to look again");
    assert_eq!(post(&shop, "old").await, StatusCode::UNAUTHORIZED);
    let reads = shop.vault.reads();
    for _ in 0..100 {
        assert_eq!(post(&shop, "guessed").await, StatusCode::UNAUTHORIZED);
    }
    assert!(shop.vault.reads() <= reads + 1, "but not for everybody who guesses");
    shop.vault.put("newest");
    shop.clock.advance(Duration::from_secs(301));
    assert_eq!(post(&shop, "new").await, StatusCode::UNAUTHORIZED, "nobody needs to fail first");
}

#[tokio::test]
async fn without_a_secret_it_asks_intercom_to_come_again_and_recovers() {
    let shop = shop();
    shop.webhook.prepare().await;
    assert_eq!(post(&shop, "one").await, StatusCode::SERVICE_UNAVAILABLE);
    shop.vault.put("one");
    assert_eq!(post(&shop, "one").await, StatusCode::OK);
    assert_eq!(shop.queue.books().await.expect("answers").accepted, 1);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let shop = shop();
    shop.vault.put("one");
    let ask = async |method: &str, path: &str| -> Response<Body> {
        let uri = format!("https://id.lambda-url.eu-west-1.on.aws{path}");
        let request = http::Request::builder().method(method).uri(uri).body(Body::Empty).expect("a request");
        shop.webhook.answer(request).await
    };
    for path in ["/", "/webhooks/intercom"] {
        assert_eq!(ask("HEAD", path).await.status(), StatusCode::OK);
        assert_eq!(ask("GET", path).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        let unsigned = ask("POST", path).await;
        assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(unsigned.headers()["content-type"], "application/json");
    }
    assert_eq!(ask("POST", "/elsewhere").await.status(), StatusCode::NOT_FOUND);
}
