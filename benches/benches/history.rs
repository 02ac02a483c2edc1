//! The import of the past through `run`: how fast it reads, how fast events arrive, what it holds in memory, and what live events
//! notice of it.
//!
//! The binary has one core; both vendors, which share no code with it and compute what they answer, have the other. `run` obeys the
//! limits that they tell. With an argument one part runs alone: `reading`, `ceiling`, `latency`, or `memory` with a number of items.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use benches::intercom::{DOCUMENTED, Intercom, Past, WORKSPACE};
use benches::klaviyo::{Klaviyo, Terms};
use benches::run::{Run, Webhook};
use benches::{Line, build, notification, percentile, pin, print};

/// What Intercom and Klaviyo take to answer.
const LATENCY: Duration = Duration::from_millis(100);

/// `SETTINGS` may not be blank.
const DEFAULTS: &str = "history_share = 0.8";

const KEEPS_LIMITS: Terms = Terms { latency: LATENCY, limits: true, watched: None };
const AT_ONCE: Terms = Terms { latency: Duration::ZERO, limits: false, watched: None };

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let binary = build("history", &["intercom-klaviyo"])?.join("intercom-klaviyo");
    pin(std::process::id(), 1);
    let wanted = |part: &str| arguments.first().is_none_or(|first| first == part);
    let title = |part: &str| format!("history, {part} (run on one core, stand-ins on the other)");
    if wanted("reading") {
        print(&title("reading"), &reading(&binary).await?)?;
    }
    if wanted("ceiling") {
        print(&title("end to end at the documented limits"), &ceiling(&binary).await?)?;
    }
    if wanted("latency") {
        print(&title("and live events"), &latency(&binary).await?)?;
    }
    if wanted("memory") {
        let sizes: Vec<u64> = arguments.iter().filter_map(|size| size.parse().ok()).collect();
        let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
        let mut lines = Vec::new();
        for size in sizes {
            lines.extend(memory(&binary, size).await?);
        }
        print(&title("memory"), &lines)?;
    }
    Ok(())
}

/// A binary with its own store and its own vendors.
struct World {
    run: Run,
    intercom: Intercom,
    klaviyo: Klaviyo,
    _data: tempfile::TempDir,
}

impl World {
    fn start(binary: &Path, settings: &str, past: Past, terms: Terms) -> anyhow::Result<Self> {
        let (intercom, klaviyo) = (Intercom::start(past)?, Klaviyo::start(terms)?);
        let data = tempfile::tempdir()?;
        let run = Run::start(binary, data.path(), settings, [&intercom.url(), &klaviyo.url()])?;
        Ok(Self { run, intercom, klaviyo, _data: data })
    }

    /// Every event once, none refused.
    fn check(&self, events: u64) -> anyhow::Result<()> {
        let came = self.klaviyo.came();
        ensure!((came.events, came.distinct) == (events, events), "{came:?} instead of {events}");
        Ok(())
    }
}

/// Conversations with their parts, each of which is a call, from an Intercom that keeps its limit.
async fn reading(binary: &Path) -> anyhow::Result<Vec<Line>> {
    const SETTINGS: &str = "history_share = 1\n[history_metrics]\nreplied_to_conversation = true";
    let past = Past { latency: LATENCY, limit: DOCUMENTED, ..Past::of(12_000) };
    let world = World::start(binary, SETTINGS, past, AT_ONCE)?;
    world.run.import(Duration::from_secs(300)).await?;
    world.check(past.events(true))?;
    let asked = world.intercom.asked();
    // Six windows, without the first one: the quota of that is used up in a burst, and would flatter.
    let rate = world.intercom.read_between(10, 70) as f64 / 60.0;
    Ok(vec![
        Line {
            what: "conversations with parts, 100 ms a call, share 1".to_owned(),
            seen: format!("{rate:.0}/s, {} refused", asked.refused),
            budget: ">= 150/s, 0 refused".to_owned(),
            holds: rate >= 150.0 && asked.refused == 0,
        },
        Line {
            what: "calls for each conversation (each is read once)".to_owned(),
            seen: format!("{:.3}", asked.calls as f64 / past.conversations as f64),
            budget: "(1.03 with full pages)".to_owned(),
            holds: true,
        },
    ])
}

/// From Intercom's limit to Klaviyo's, both at their documented values, default settings.
async fn ceiling(binary: &Path) -> anyhow::Result<Vec<Line>> {
    const CEILING: f64 = 150_000.0;
    let past = Past { latency: LATENCY, limit: DOCUMENTED, ..Past::of(240_000) };
    let world = World::start(binary, DEFAULTS, past, KEEPS_LIMITS)?;
    let took = world.run.import(Duration::from_secs(900)).await?;
    world.check(past.events(false))?;
    let (came, asked) = (world.klaviyo.came(), world.intercom.asked());
    let share = world.klaviyo.within(120) as f64 / (2.0 * CEILING);
    Ok(vec![
        Line {
            what: "events in the first two minutes, of what Klaviyo takes".to_owned(),
            seen: format!("{} = {:.0} %", world.klaviyo.within(120), share * 100.0),
            budget: ">= 90 %".to_owned(),
            holds: share >= 0.9,
        },
        Line {
            what: format!("all {} events; events in a bulk request; refused", came.events),
            seen: format!(
                "{:.0} s; {:.0}; {} and {}",
                took.as_secs_f64(),
                came.events as f64 / came.bulk.max(1) as f64,
                asked.refused,
                came.refused
            ),
            budget: "0 and 0 refused".to_owned(),
            holds: asked.refused + came.refused == 0,
        },
    ])
}

/// As fast as the binary can, so that whatever grows with the history shows.
async fn memory(binary: &Path, items: u64) -> anyhow::Result<Vec<Line>> {
    let past = Past::of(items);
    let world = World::start(binary, "history_share = 1", past, AT_ONCE)?;
    let took = world.run.import(Duration::from_secs(3_600)).await?;
    world.check(past.events(false))?;
    let (peak, cpu) = (world.run.peak_memory()?, world.run.cpu_time()?);
    Ok(vec![
        Line {
            what: format!("peak memory of `run`, {items} items"),
            seen: format!("{peak:.1} MiB"),
            budget: "< 64 MiB, flat".to_owned(),
            holds: peak < 64.0,
        },
        Line {
            what: "  items as the clock went; computing for each item".to_owned(),
            seen: format!(
                "{:.0}/s; {:.0} us",
                items as f64 / took.as_secs_f64(),
                cpu.as_secs_f64() * 1e6 / items as f64
            ),
            budget: "flat".to_owned(),
            holds: true,
        },
    ])
}

/// From the webhook's 200 to Klaviyo's 202, alone and while the import runs at the vendors' full speed.
async fn latency(binary: &Path) -> anyhow::Result<Vec<Line>> {
    let past = Past { latency: LATENCY, limit: DOCUMENTED, ..Past::of(1_000_000) };
    let terms = Terms { watched: Some("conversation-replied:5"), ..KEEPS_LIMITS };
    let world = World::start(binary, DEFAULTS, past, terms)?;
    // Names are asked for once, and connections are made.
    live(&world, 0..40).await?;
    let alone = live(&world, 1_000..2_200).await?;
    world.run.api("POST", "/api/history/start").await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = (world.klaviyo.came().bulk, Instant::now());
    let beside = live(&world, 3_000..4_200).await?;
    let bulk = (world.klaviyo.came().bulk - before.0) as f64 / before.1.elapsed().as_secs_f64() * 60.0;
    let (p50_alone, p50_beside) = (percentile(&alone, 0.5), percentile(&beside, 0.5));
    let (p99_alone, p99_beside) = (percentile(&alone, 0.99), percentile(&beside, 0.99));
    let ratio = p50_beside.as_secs_f64() / p50_alone.as_secs_f64();
    Ok(vec![
        Line {
            what: "from the webhook's 200 to Klaviyo's 202, alone".to_owned(),
            seen: format!("p50 {p50_alone:.0?}, p99 {p99_alone:.0?}"),
            budget: "(a look-up and a send: 200 ms)".to_owned(),
            holds: true,
        },
        Line {
            what: format!("  with the import at {bulk:.0} bulk requests a minute"),
            seen: format!("p50 {p50_beside:.0?} = {ratio:.2} x, p99 {p99_beside:.0?}"),
            budget: "p50 <= 1.2 x, p99 < 2 s".to_owned(),
            holds: ratio <= 1.2 && p99_beside < Duration::from_secs(2),
        },
    ])
}

/// Twenty a second, each from another contact. Gives their latencies, sorted.
async fn live(world: &World, numbers: std::ops::Range<usize>) -> anyhow::Result<Vec<Duration>> {
    let mut webhook = Webhook::connect(&world.run).await?;
    let mut accepted = HashMap::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for number in numbers {
        ticks.tick().await;
        let at = std::time::UNIX_EPOCH.elapsed()?.as_secs().cast_signed();
        webhook.post(notification(WORKSPACE, number, &[format!("c{:012}", 100_000 + number)], at)).await?;
        accepted.insert(format!("5{number:010}"), Instant::now());
    }
    let patience = Instant::now();
    let mut latencies = Vec::with_capacity(accepted.len());
    while !accepted.is_empty() {
        ensure!(patience.elapsed() < Duration::from_secs(60), "{} events did not arrive", accepted.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
        for (id, arrived) in world.klaviyo.watched() {
            let part = id.rsplit(':').next().context("a key")?;
            // It may have arrived before the client saw the 200.
            latencies.extend(accepted.remove(part).map(|at| arrived.saturating_duration_since(at)));
        }
    }
    latencies.sort_unstable();
    Ok(latencies)
}
