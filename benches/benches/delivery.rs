//! Delivery: from a full queue to Klaviyo, through the real consumer, the real clients and the real store.
//!
//! Klaviyo is the sandbox on the other core: without limits, counting only, it takes several times what we send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{MemoryStore, NoJitter};
use app::ports::{Accepted, Clock, ConsumerStore, Inbox, Jitter, Lane, Overview};
use benches::{Line, notification, peak_memory_mib, pin, print};
use bytes::Bytes;
use clients::{ClientConfig, Limits};
use domain::activity::{Context, Finding, from_notification};
use domain::contact::Contact;
use domain::directory::Directory;
use domain::intercom::{Call, read};
use domain::klaviyo::PreparedEvent;
use domain::mapping::{Mapping, Origin, identity_of};
use domain::{Rules, SignatureScheme, Verified};
use jiff::Timestamp;
use sandbox::intercom::ContactSpec;
use sandbox::{Keep, Sandbox, SandboxConfig};
use sqlite::{SqliteOptions, SqliteStore};

#[derive(Clone, Copy, Debug)]
struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Jitter for RealClock {
    fn unit(&self) -> f64 {
        0.5
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--sandbox") {
        return serve_sandbox(&arguments);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pinned = pin(std::process::id(), 0);
    let lines = [
        runtime.block_on(client_only())?,
        memory_line(),
        runtime.block_on(whole(Store::Memory))?,
        runtime.block_on(whole(Store::Sqlite))?,
        runtime.block_on(limited())?,
    ];
    let cores = if pinned { "product on one core, stand-in on the other" } else { "NOT pinned" };
    print(&format!("delivery ({cores})"), &lines)?;
    Ok(())
}

/// The stand-ins run in a process of their own, so that neither their memory nor their time counts.
struct StandIns {
    child: std::process::Child,
    intercom: String,
    klaviyo: String,
    contacts: Vec<String>,
}

impl Drop for StandIns {
    fn drop(&mut self) {
        // It is ours, and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve_sandbox(arguments: &[String]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let limits = arguments.iter().any(|argument| argument == "--limits");
    let sandbox = Sandbox::start_on_thread(SandboxConfig::default())?;
    sandbox.klaviyo().set_limits_enabled(limits);
    sandbox.klaviyo().set_keep(Keep::CountsOnly);
    sandbox.intercom().set_rate_limit(0);
    let contacts: Vec<String> = (0..500)
        .map(|n| sandbox.intercom().add_contact(ContactSpec::user(format!("c{n}@bench.test"), format!("Customer {n}"))))
        .collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {} {}", sandbox.intercom_url(), sandbox.klaviyo_url(), contacts.join(","))?;
    out.flush()?;
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {
        let early = sandbox.klaviyo().early_requests().len();
        let requests: u64 = sandbox.klaviyo().requests().iter().map(|r| r.count).sum();
        writeln!(out, "{} {} {early} {requests}", sandbox.klaviyo().accepted(), sandbox.klaviyo().refused())?;
        out.flush()?;
        line.clear();
    }
    Ok(())
}

fn stand_ins(limits: bool) -> anyhow::Result<StandIns> {
    use std::io::BufRead as _;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("--sandbox").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    if limits {
        command.arg("--limits");
    }
    let mut child = command.spawn()?;
    pin(child.id(), 1);
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().context("piped")?).read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut next = || words.next().context("the stand-ins did not start");
    let (intercom, klaviyo) = (next()?, next()?);
    let contacts = next()?.split(',').map(str::to_owned).collect();
    Ok(StandIns { child, intercom, klaviyo, contacts })
}

impl StandIns {
    /// Accepted events, refused requests, requests before a told wait ran out, all requests.
    fn counts(&mut self) -> anyhow::Result<[u64; 4]> {
        use std::io::{BufRead as _, Write as _};
        self.child.stdin.as_mut().context("piped")?.write_all(b"?\n")?;
        let mut line = String::new();
        std::io::BufReader::new(self.child.stdout.as_mut().context("piped")?).read_line(&mut line)?;
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        numbers?.try_into().map_err(|_| anyhow::anyhow!("four numbers"))
    }

    fn config(&self, limits: Limits) -> ClientConfig {
        let defaults = SandboxConfig::default();
        let mut config =
            ClientConfig::new(&self.intercom, defaults.access_token.into(), &self.klaviyo, defaults.klaviyo_key.into());
        config.limits = limits;
        config
    }
}

const WORKSPACE: &str = "sandbox1";

/// Read, map, serialise and send, a thousand at a time: the part that the vendors' own kits do.
async fn client_only() -> anyhow::Result<Line> {
    use app::ports::Klaviyo as _;
    const EVENTS: usize = 200_000;
    let stand_ins = stand_ins(false)?;
    let documents = Arc::new(MemoryStore::new(RealClock));
    let config = stand_ins.config(Limits::Off);
    let clients = clients::connect(config, Arc::new(RealClock), Arc::new(NoJitter), documents).await?;
    let at = Timestamp::now().as_second();
    let bodies: Vec<Vec<u8>> = (0..2_000).map(|n| notification(WORKSPACE, n, &stand_ins.contacts, at)).collect();
    let rules = Rules::default();
    let directory = Directory::default();
    let people: Vec<Contact> = stand_ins.contacts.iter().enumerate().map(|(n, id)| person(id, n)).collect();
    let mapping =
        Mapping { rules: &rules, directory: &directory, app_url: "https://app.intercom.com", origin: Origin::Live };
    let started = Instant::now();
    for batch in 0..EVENTS / 1_000 {
        let events: Vec<PreparedEvent> = (0..1_000)
            .filter_map(|n| event(&mapping, &bodies[(batch * 1_000 + n) % bodies.len()], &people[n % people.len()]))
            .collect();
        ensure!(events.len() == 1_000, "every notification is an event");
        clients.klaviyo.send_bulk(&events.iter().collect::<Vec<_>>()).await?;
    }
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    Ok(Line {
        what: "read + map + serialise + send in bulk, limits off".to_owned(),
        seen: format!("{rate:.0} events/s"),
        budget: ">= 60,000 events/s".to_owned(),
        holds: rate >= 60_000.0,
    })
}

fn person(id: &str, n: usize) -> Contact {
    Contact { email: Some(format!("c{n}@bench.test")), ..Contact::with_id(domain::ContactId::new(id)) }
}

fn event(mapping: &Mapping<'_>, body: &[u8], person: &Contact) -> Option<PreparedEvent> {
    let Ok(Call::Notification(notification)) = read(Verified::from_queue(SignatureScheme::Hub, body)) else {
        return None;
    };
    let context = Context { workspace: WORKSPACE, rules: mapping.rules, now: Timestamp::now() };
    let activity = from_notification(&context, &notification).into_iter().find_map(|finding| match finding {
        Finding::Event(activity) => Some(activity),
        _ => None,
    })?;
    Some(mapping.event(&activity, person, &identity_of(person, mapping.rules)))
}

enum Store {
    Memory,
    Sqlite,
}

/// The whole consumer, ledger and settlement included.
async fn whole(kind: Store) -> anyhow::Result<Line> {
    const EVENTS: usize = 100_000;
    let mut stand_ins = stand_ins(false)?;
    let (name, elapsed) = match kind {
        Store::Memory => {
            let store = MemoryStore::new(RealClock);
            fill(&store, EVENTS, &stand_ins.contacts).await?;
            ("in memory", drain(store, &mut stand_ins, Limits::Off, EVENTS).await?)
        }
        Store::Sqlite => {
            let directory = tempfile::tempdir()?;
            let store = SqliteStore::open(&directory.path().join("bench.db"), SqliteOptions::default(), RealClock)?;
            fill(&store, EVENTS, &stand_ins.contacts).await?;
            ("in SQLite, durable", drain(store, &mut stand_ins, Limits::Off, EVENTS).await?)
        }
    };
    let rate = EVENTS as f64 / elapsed.as_secs_f64();
    Ok(Line {
        what: format!("the whole consumer, queue and ledger {name}"),
        seen: format!("{rate:.0} events/s"),
        budget: "(Klaviyo's ceiling: 2,500/s)".to_owned(),
        holds: rate >= 2_500.0,
    })
}

async fn fill<S: Inbox>(store: &S, events: usize, contacts: &[String]) -> anyhow::Result<()> {
    let at = Timestamp::now().as_second();
    for chunk in (0..events).collect::<Vec<_>>().chunks(500) {
        let accepts = chunk.iter().map(|n| {
            store.accept(Accepted {
                scheme: SignatureScheme::Hub,
                received_at: Timestamp::now(),
                body: Bytes::from(notification(WORKSPACE, *n, contacts, at)),
            })
        });
        let mut pending: Vec<_> = accepts.map(Box::pin).collect();
        for accept in &mut pending {
            accept.await?;
        }
    }
    Ok(())
}

async fn drain<S>(store: S, stand_ins: &mut StandIns, limits: Limits, events: usize) -> anyhow::Result<Duration>
where
    S: ConsumerStore + Overview + Clone + 'static,
{
    let config = stand_ins.config(limits);
    let clients = clients::connect(config, Arc::new(RealClock), Arc::new(NoJitter), Arc::new(store.clone())).await?;
    let deps = Deps {
        store: store.clone(),
        intercom: clients.intercom,
        klaviyo: clients.klaviyo,
        clock: RealClock,
        jitter: RealClock,
    };
    let consumer = Consumer::new(deps, Arc::new(Rules::default()), ConsumerOptions::default());
    let started = Instant::now();
    let worker = || async {
        loop {
            let report = consumer.step(Lane::Live).await;
            match report.next_wake {
                Some(wake) => {
                    let pause = Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default();
                    tokio::time::sleep(pause.min(Duration::from_millis(200))).await;
                }
                None if report.claimed == 0 => return,
                None => {}
            }
        }
    };
    tokio::join!(worker(), worker(), worker(), worker());
    let elapsed = started.elapsed();
    let books = store.books().await?;
    ensure!(books.delivered == events as u64 && books.in_flight == 0, "not all was delivered: {books:?}");
    ensure!(stand_ins.counts()?[0] == events as u64, "Klaviyo does not hold all of them");
    Ok(elapsed)
}

/// Before the runs that keep their whole queue in memory.
fn memory_line() -> Line {
    let peak = peak_memory_mib(std::process::id()).unwrap_or(f64::NAN);
    Line {
        what: "peak memory of that, notifications included".to_owned(),
        seen: format!("{peak:.0} MiB"),
        budget: "<= 40 MiB".to_owned(),
        holds: peak <= 40.0,
    }
}

/// 100,000 events into a Klaviyo that enforces its limits.
async fn limited() -> anyhow::Result<Line> {
    const EVENTS: usize = 100_000;
    let mut stand_ins = stand_ins(true)?;
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(&directory.path().join("bench.db"), SqliteOptions::default(), RealClock)?;
    fill(&store, EVENTS, &stand_ins.contacts).await?;
    let elapsed = drain(store, &mut stand_ins, Limits::Documented, EVENTS).await?;
    let [_, refused, early, requests] = stand_ins.counts()?;
    let share = refused as f64 / requests.max(1) as f64;
    Ok(Line {
        what: "100,000 events into Klaviyo's limits (10/s, 150/min)".to_owned(),
        seen: format!("{:.1} s, {refused} refused, {early} early", elapsed.as_secs_f64()),
        budget: "<= 12 s, <= 0.1 %, 0 early".to_owned(),
        holds: elapsed.as_secs_f64() <= 12.0 && share <= 0.001 && early == 0,
    })
}
