//! The clients over real sockets, against a server that does what it is told, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use app::ports::{
    CallError, Clock, ContactLookup, Document, Documents, Intercom, Jitter, Klaviyo, StoreResult, VendorState,
};
use clients::{ClientConfig, Clients, Limits, Timeouts, connect, stored_vendors};
use domain::activity::Activity;
use domain::contact::Contact;
use domain::directory::Directory;
use domain::identity::Identity;
use domain::intercom::Item;
use domain::klaviyo::PreparedEvent;
use domain::mapping::{Mapping, Origin};
use domain::metric::Metric;
use domain::rules::Rules;
use domain::{ContactId, EventKey};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "t0ken-of-intercom";
const KEY: &str = "pk_0123456789";

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

struct Half;

impl Jitter for Half {
    fn unit(&self) -> f64 {
        0.5
    }
}

#[derive(Default)]
struct Paper(Mutex<Option<Document>>);

impl Documents for Paper {
    async fn load(&self, _: &str) -> StoreResult<Option<Document>> {
        Ok(self.0.lock().expect("sound").clone())
    }

    async fn save(&self, _: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        let mut kept = self.0.lock().expect("sound");
        let free = kept.as_ref().map(|document| document.version) == expected;
        if free {
            *kept = Some(Document { version: expected.unwrap_or(0) + 1, body: body.to_owned() });
        }
        Ok(free)
    }
}

/// What the server does with one request after it was read.
#[derive(Clone, Copy)]
enum Act {
    /// Writes this and keeps the connection.
    Says(&'static str),
    /// Closes the connection: processed or not, nobody knows.
    Cuts,
    /// Writes this, then closes.
    SaysAndCuts(&'static str),
    /// Says nothing for longer than anybody waits.
    Hangs,
    /// Sends a head that promises a body, then a byte every 100 ms.
    Trickles,
}

const ACCEPTED: Act = Act::Says("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Takes one action for each request; accepts the rest.
    async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, acts) = (requests.clone(), Arc::new(acts.to_vec()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), acts.clone()));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("sound").clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, acts: Arc<Vec<Act>>) {
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut seen = seen.lock().expect("sound");
            seen.push(request);
            seen.len() - 1
        };
        let written = match acts.get(number).copied().unwrap_or(ACCEPTED) {
            Act::Says(answer) => stream.write_all(answer.as_bytes()).await,
            Act::Cuts => return,
            Act::SaysAndCuts(answer) => {
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            Act::Hangs => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            Act::Trickles => trickle(&mut stream).await,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn trickle(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
    for _ in 0..1_000 {
        stream.write_all(b" ").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// One request, head and body.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

type Ours = Clients<Wall, Half, Paper>;

async fn clients(server: &Server, paper: Arc<Paper>) -> Ours {
    clients_with(server, paper, Limits::Documented).await
}

async fn clients_with(server: &Server, paper: Arc<Paper>, limits: Limits) -> Ours {
    let mut config = ClientConfig::new(&server.url, SecretString::from(TOKEN), &server.url, SecretString::from(KEY));
    let short = Duration::from_millis(300);
    config.timeouts = Timeouts { connect: short, single: short, bulk: short * 2, intercom: short, search: short };
    config.limits = limits;
    connect(config, Arc::new(Wall), Arc::new(Half), paper).await.expect("connects")
}

fn event() -> PreparedEvent {
    let (rules, directory, item) = (Rules::default(), Directory::default(), Item::default());
    let mapping =
        Mapping { rules: &rules, directory: &directory, app_url: "https://app.intercom.com", origin: Origin::Live };
    let activity = Activity {
        metric: Metric::CreatedConversation,
        key: EventKey::new("abc", format_args!("conversation-created:1")),
        time: Timestamp::UNIX_EPOCH,
        contact: ContactId::new("c1"),
        item: &item,
        part: None,
        estimated: false,
    };
    let contact = Contact::parse(br#"{"id":"c1","email":"ann@acme.io"}"#).expect("a contact");
    let identity = Identity { email: Some("ann@acme.io".to_owned()), phone: None, external_id: None };
    mapping.event(&activity, &contact, &identity)
}

#[tokio::test]
async fn requests_carry_what_klaviyo_asks_for() {
    let server = Server::start(&[]).await;
    let ours = clients(&server, Arc::default()).await;
    let event = event();
    ours.klaviyo.send_one(&event).await.expect("accepted");
    ours.klaviyo.send_bulk(&[&event]).await.expect("accepted");
    ours.klaviyo.send_bulk(&[]).await.expect("nothing to do");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].starts_with("POST /api/events HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("POST /api/event-bulk-create-jobs HTTP/1.1\r\n"));
    for header in [
        "authorization: Klaviyo-API-Key pk_0123456789",
        "revision: 2026-07-15",
        "x-klaviyo-revision-fall-forward-opt-out: 1",
        "accept: application/vnd.api+json",
        "content-type: application/vnd.api+json",
        concat!("user-agent: intercom-klaviyo/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(requests.iter().all(|request| request.contains(&format!("{header}\r\n"))), "{header}");
    }
    assert!(requests[0].ends_with(&String::from_utf8(event.single_body()).expect("text")));
}

#[tokio::test]
async fn requests_carry_what_intercom_asks_for() {
    let found = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"id\":\"c1\"}\n";
    let server = Server::start(&[Act::Says(found)]).await;
    let ours = clients(&server, Arc::default()).await;
    let contact = ours.intercom.contact(&ContactId::new("c1")).await.expect("found");
    assert!(matches!(contact, ContactLookup::Found(_)));
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /contacts/c1 HTTP/1.1\r\n"));
    for header in ["authorization: Bearer t0ken-of-intercom", "intercom-version: 2.16", "accept: application/json"] {
        assert!(request.contains(&format!("{header}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_after_the_request_is_tried_again_with_the_same_bytes() {
    let server = Server::start(&[Act::Cuts, Act::SaysAndCuts("HTTP/1.1 20")]).await;
    let ours = clients(&server, Arc::default()).await;
    ours.klaviyo.send_bulk(&[&event()]).await.expect("accepted at the third try");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

#[tokio::test]
async fn an_accepted_event_stays_accepted_when_the_answer_breaks_off() {
    let cut = Act::SaysAndCuts("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\n{");
    let server = Server::start(&[cut]).await;
    clients(&server, Arc::default()).await.klaviyo.send_one(&event()).await.expect("accepted");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn nobody_listens_and_nothing_is_said_about_keys() {
    let server = Server { url: "http://127.0.0.1:1".to_owned(), requests: Arc::default() };
    let ours = clients(&server, Arc::default()).await;
    let error = ours.klaviyo.send_one(&event()).await.expect_err("nobody there");
    assert!(matches!(error, CallError::Unavailable { counts: true, .. }), "{error}");
    let text = format!("{error} {error:?} {ours:?}");
    assert!(text.contains("refused"), "{text}");
    assert!(!text.contains(KEY) && !text.contains(TOKEN) && !text.contains("acme"), "{text}");
}

#[tokio::test]
async fn a_server_that_hangs_or_trickles_is_given_up_in_time() {
    for act in [Act::Hangs, Act::Trickles] {
        let server = Server::start(&[act; 3]).await;
        let ours = clients(&server, Arc::default()).await;
        let started = Instant::now();
        let error = ours.intercom.contact(&ContactId::new("c1")).await.expect_err("no answer");
        assert!(matches!(&error, CallError::Unavailable { reason, .. } if reason == "no answer in time"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start(&[]).await;
    let answer = format!("HTTP/1.1 307 Go\r\nlocation: {}/api/events\r\ncontent-length: 0\r\n\r\n", elsewhere.url);
    let server = Server::start(&[Act::Says(answer.leak())]).await;
    let ours = clients(&server, Arc::default()).await;
    let error = ours.klaviyo.send_one(&event()).await.expect_err("stopped");
    assert!(matches!(error, CallError::Stopped { .. }), "{error}");
    assert!(ours.vendors.blocked().is_some());
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_told_wait_is_obeyed_by_the_next_process() {
    let throttled = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(&[Act::Says(throttled)]).await;
    let paper = Arc::new(Paper::default());
    let ours = clients(&server, paper.clone()).await;
    let started = Instant::now();
    let error = ours.klaviyo.send_one(&event()).await.expect_err("told to wait");
    assert!(matches!(error, CallError::Wait { .. }), "{error}");
    assert_eq!(ours.klaviyo.room().single_now, 0);

    let next = clients(&server, paper).await;
    assert!(next.vendors.throttled_until().is_some());
    while let Err(error) = next.klaviyo.send_one(&event()).await {
        let CallError::Wait { until, .. } = error else { panic!("{error}") };
        tokio::time::sleep(Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()).await;
    }
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_told_wait_is_obeyed_by_the_process_beside_and_seen_by_one_that_watches() {
    let throttled = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(&[Act::Says(throttled)]).await;
    let paper = Arc::new(Paper::default());
    let process = |holder: &str| Limits::Shared { holder: holder.to_owned() };
    let first = clients_with(&server, paper.clone(), process("first")).await;
    let second = clients_with(&server, paper.clone(), process("second")).await;
    let started = Instant::now();
    assert!(second.klaviyo.room().single_now > 10);
    let error = first.klaviyo.send_one(&event()).await.expect_err("told to wait");
    assert!(matches!(error, CallError::Wait { .. }), "{error}");
    let watched = stored_vendors(&*paper, Wall).await.expect("readable");
    assert_eq!(watched.throttled_until(), first.vendors.throttled_until());
    assert!(watched.throttled_until().is_some());

    while let Err(error) = second.klaviyo.send_one(&event()).await {
        let CallError::Wait { until, .. } = error else { panic!("{error}") };
        tokio::time::sleep(Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()).await;
    }
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_server_of_no_use_is_named_by_its_variable() {
    let config = ClientConfig::new("http://api.intercom.io", TOKEN.into(), "https://a.klaviyo.com", KEY.into());
    let error = connect(config, Arc::new(Wall), Arc::new(Half), Arc::new(Paper::default())).await.expect_err("refused");
    assert!(error.to_string().contains("INTERCOM_API_URL must begin with https://"), "{error}");
}
