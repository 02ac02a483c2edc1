//! Over real sockets: what greedy, slow and broken clients get, and that others do not notice.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use app::ports::{Accepted, Inbox, StoreResult};
use app::receive::Receiver;
use domain::ClientSecrets;
use domain::signature::sign_hub;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{BodyLimits, BodyReader, Site, Webhook, serve};
use clients::time::SystemClock;

#[derive(Clone, Debug, Default)]
struct Kept {
    kept: Arc<Mutex<Vec<Accepted>>>,
    delay: Duration,
}

impl Inbox for Kept {
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        tokio::time::sleep(self.delay).await;
        self.kept.lock().expect("no panic while held").push(accepted);
        Ok(())
    }
}

struct Running {
    address: SocketAddr,
    inbox: Kept,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<()>,
}

fn secrets() -> ClientSecrets {
    ClientSecrets::parse(&SecretString::from("s3cret")).expect("not blank")
}

async fn start(limits: BodyLimits) -> Running {
    start_slow(limits, Duration::ZERO).await
}

async fn start_slow(limits: BodyLimits, delay: Duration) -> Running {
    let inbox = Kept { delay, ..Kept::default() };
    let receiver = Receiver::new(inbox.clone(), SystemClock, Some(secrets()));
    let webhook = Webhook::new(receiver, BodyReader::new(limits));
    let site = Arc::new(Site { webhook: Some(webhook), router: console::health_router() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("is bound");
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, site, stopped, Duration::from_secs(5)));
    Running { address, inbox, stop: Some(stop), server }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// Sends bytes and gives the status of the answer.
    async fn status(&self, request: &[u8]) -> u16 {
        let mut stream = self.connect().await;
        stream.write_all(request).await.expect("is sent");
        status(&mut stream).await
    }

    fn kept(&self) -> usize {
        self.inbox.kept.lock().expect("no panic while held").len()
    }
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut piece).await.expect("an answer");
        assert_ne!(length, 0, "closed without an answer");
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer[9..12]).parse().expect("a status")
}

fn head(length: &str, signature: &str) -> String {
    format!("POST /webhooks/intercom HTTP/1.1\r\nHost: x\r\nX-Hub-Signature: {signature}\r\n{length}\r\n\r\n")
}

fn signed(body: &[u8]) -> Vec<u8> {
    let mut request = head(&format!("Content-Length: {}", body.len()), &sign_hub(&secrets(), body)).into_bytes();
    request.extend_from_slice(body);
    request
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn the_webhook_answers_as_agreed() {
    let running = start(BodyLimits::default()).await;
    assert_eq!(running.status(b"HEAD /webhooks/intercom HTTP/1.1\r\nHost: x\r\n\r\n").await, 200);
    assert_eq!(running.status(b"GET /webhooks/intercom HTTP/1.1\r\nHost: x\r\n\r\n").await, 405);
    assert_eq!(running.status(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await, 200);
    assert_eq!(running.status(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n").await, 404);
    assert_eq!(
        running.status(b"POST /webhooks/intercom HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await,
        401
    );
    assert_eq!(running.kept(), 0);
    assert_eq!(running.status(&signed(b"{}")).await, 200);
    assert_eq!(running.kept(), 1);
}

#[tokio::test]
async fn bodies_arrive_whole_however_they_are_cut() {
    let running = start(BodyLimits::default()).await;
    for size in [0, 1, 3_000, 20_000, 64 * 1024, 64 * 1024 + 1, 3_000_000, 6 * 1024 * 1024] {
        let body: Vec<u8> = b"abcdefghijklmnopqrstuvwxyz ".iter().copied().cycle().take(size).collect();
        assert_eq!(running.status(&signed(&body)).await, 200, "{size} bytes at once");
        let mut request = head("Transfer-Encoding: chunked", &sign_hub(&secrets(), &body)).into_bytes();
        body.chunks(7_000).for_each(|piece| request.extend(chunk(piece)));
        request.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(running.status(&request).await, 200, "{size} bytes in chunks");
    }
    assert_eq!(running.kept(), 16);
}

#[tokio::test]
async fn a_body_over_six_megabytes_is_413() {
    let running = start(BodyLimits::default()).await;
    let body = vec![b'x'; 6 * 1024 * 1024 + 1];
    assert_eq!(running.status(&signed(&body)).await, 413);
    let started = Instant::now();
    assert_eq!(running.status(head("Content-Length: 100000000000", "sha1=00").as_bytes()).await, 413);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn endless_chunks_are_413() {
    let running = start(BodyLimits::default()).await;
    let (mut answers, mut sending) = running.connect().await.into_split();
    let sender = tokio::spawn(async move {
        let request = head("Transfer-Encoding: chunked", "sha1=0000000000000000000000000000000000000000");
        sending.write_all(request.as_bytes()).await.expect("the head is taken");
        let piece = chunk(&[b'x'; 60_000]);
        while sending.write_all(&piece).await.is_ok() {}
    });
    let mut start = [0; 12];
    answers.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");
    tokio::time::timeout(Duration::from_secs(10), sender).await.expect("is cut off").expect("no panic");
}

#[tokio::test]
async fn a_slow_body_is_408_and_the_connection_ends() {
    let quick = BodyLimits {
        small_time: Duration::from_millis(100),
        large_time: Duration::from_millis(100),
        ..BodyLimits::default()
    };
    let running = start(quick).await;
    for claimed in [100, 1_000_000] {
        let mut stream = running.connect().await;
        let request = head(&format!("Content-Length: {claimed}"), "sha1=00") + "abc";
        stream.write_all(request.as_bytes()).await.expect("is sent");
        assert_eq!(status(&mut stream).await, 408);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("is closed");
    }
}

#[tokio::test]
async fn too_many_large_bodies_are_503() {
    let tight = BodyLimits { large_shares: 1, permit_time: Duration::from_millis(50), ..BodyLimits::default() };
    let running = start(tight).await;
    let mut claiming = running.connect().await;
    claiming.write_all(head("Content-Length: 100000", "sha1=00").as_bytes()).await.expect("is sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(running.status(&signed(&[b'x'; 100_000])).await, 200, "a claim alone takes no share");
    claiming.write_all(&[b'x'; 90_000]).await.expect("is sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.status(&signed(&[b'x'; 100_000])).await, 503);
    assert_eq!(running.status(&signed(b"small ones pass")).await, 200);
    drop(claiming);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.status(&signed(&[b'x'; 100_000])).await, 200);
}

#[tokio::test]
async fn connections_that_dribble_do_not_delay_others() {
    let running = start(BodyLimits::default()).await;
    let mut dribbling = Vec::new();
    for n in 0..300 {
        let mut stream = running.connect().await;
        let request = match n % 3 {
            0 => "POST /webhooks/int".to_owned(),
            1 => head("Content-Length: 60000", "sha1=00") + "abc",
            _ => head("Transfer-Encoding: chunked", "sha1=00") + "3\r\nabc\r\n",
        };
        stream.write_all(request.as_bytes()).await.expect("is sent");
        dribbling.push(stream);
    }
    let started = Instant::now();
    assert_eq!(running.status(&signed(b"{}")).await, 200);
    assert_eq!(running.status(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await, 200);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn stopping_finishes_what_runs() {
    let mut running = start_slow(BodyLimits::default(), Duration::from_millis(300)).await;
    let idle = running.connect().await;
    let mut stream = running.connect().await;
    stream.write_all(&signed(b"{}")).await.expect("is sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.take().expect("not stopped yet").send(()).expect("still runs");
    assert_eq!(status(&mut stream).await, 200);
    tokio::time::timeout(Duration::from_secs(2), &mut running.server).await.expect("ends").expect("no panic");
    assert_eq!(running.kept(), 1);
    assert!(TcpStream::connect(running.address).await.is_err());
    drop(idle);
}
