//! The consumer function from a full queue: events of one core, memory, what it asks of table and queues, and what Lambda bills.
//!
//! The function is the binary that is deployed. Lambda's runtime API, SQS, DynamoDB, Secrets Manager and both vendors are
//! stand-ins on the other core. First all of them answer at once: then the function's own time on its core is what an event costs
//! in computing. Then they take as long as the real ones: what an invocation takes beyond computing is waiting. Lambda gives 128 MB
//! a fourteenth of a core, so what is billed is about the waiting and fourteen times the computing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::cloud::{Cloud, Costs, Invocation, batch};
use benches::intercom::{Intercom, Past, WORKSPACE};
use benches::klaviyo::{Klaviyo, Terms};
use benches::{Line, Owned, build, cpu_time, notification, peak_memory_mib, pin, print};
use bytes::Bytes;

/// Part of a core that Lambda gives a function of 128 MB: 1,769 MB get a whole one
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const SHARE: f64 = 128.0 / 1_769.0;

/// What table, Intercom and Klaviyo take to answer: DynamoDB promises single-digit milliseconds; the others are taken to need a
/// tenth of a second, as in the benchmarks of history.
const TABLE: Duration = Duration::from_millis(6);
const VENDORS: Duration = Duration::from_millis(100);

const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> anyhow::Result<()> {
    let function = build("consumer", &["consumer"])?.join("consumer");
    let pinned = pin(std::process::id(), 1);
    let at_once = World::start(&function, Duration::ZERO, Duration::ZERO)?;
    let slow = World::start(&function, TABLE, VENDORS)?;
    let mut lines = Vec::new();
    let mut billed = Vec::new();
    for (size, times) in [(1, 200), (10, 200), (100, 60), (1_000, 20)] {
        let fast = at_once.measure(size, times)?;
        let waiting = slow.measure(size, times.min(10))?;
        let computing = fast.cpu.as_secs_f64() / times as f64;
        let waited = (waiting.median.as_secs_f64() - computing).max(0.0);
        billed.push((size as f64, (waited + computing / SHARE) * 1e3));
        lines.push(fast.throughput(size, times));
        lines.push(fast.asked(size, times));
        lines.push(Line {
            what: format!("  waiting, and billed at 128 MB, of {size} together"),
            seen: format!("{:.0} ms, {:.0} ms", waited * 1e3, (waited + computing / SHARE) * 1e3),
            budget: "(see `cost`)".to_owned(),
            holds: true,
        });
    }
    let whole = at_once.largest()?;
    for (what, peak) in [("1,000 of 3 KB", at_once.memory()?), ("6 of 1 MB, after that", whole)] {
        lines.push(Line {
            what: format!("peak memory, {what}"),
            seen: format!("{peak:.1} MiB"),
            budget: "< 64 MiB".to_owned(),
            holds: peak < 64.0,
        });
    }
    let cores = if pinned { "function on one core, stand-ins on the other" } else { "NOT pinned" };
    print(&format!("consumer function ({cores})"), &lines)?;
    print("what the bill assumes", &[line_through(&billed)])?;
    Ok(())
}

/// The straight line through batches of 1 and of 100: what each call needs, and what each event adds.
fn line_through(billed: &[(f64, f64)]) -> Line {
    let of = |size: f64| billed.iter().find(|(other, _)| *other == size).map_or(f64::NAN, |(_, millis)| *millis);
    let each = (of(100.0) - of(1.0)) / 99.0;
    Line {
        what: "billed: each call + each event, from 1 and 100 together".to_owned(),
        seen: format!("{:.0} ms + {each:.1} ms", of(1.0) - each),
        budget: "CONSUMER_MS + CONSUMER_MS_PER_EVENT".to_owned(),
        holds: true,
    }
}

/// A function and what is around it.
struct World {
    cloud: Cloud,
    klaviyo: Klaviyo,
    child: Owned,
    next: std::cell::Cell<usize>,
}

/// Some batches of one size.
struct Seen {
    cpu: Duration,
    all: Duration,
    median: Duration,
    costs: Costs,
}

impl World {
    fn start(function: &Path, table: Duration, vendors: Duration) -> anyhow::Result<Self> {
        let cloud = Cloud::start(table)?;
        let intercom = Intercom::start(Past { latency: vendors, ..Past::of(0) })?;
        let klaviyo = Klaviyo::start(Terms { latency: vendors, limits: false, watched: None })?;
        let mut command = Command::new(function);
        command.env_clear().envs(cloud.environment(&intercom.url(), &klaviyo.url()));
        let child = Owned(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        pin(child.0.id(), 0);
        let world = Self { cloud, klaviyo, child, next: std::cell::Cell::new(0) };
        // Warm: the secret is read, connections stand, the limits of both vendors are shared.
        world.measure(10, 3)?;
        Ok(world)
    }

    /// Batches of events that nobody has seen, each of a contact that nobody has asked for.
    fn measure(&self, size: usize, times: usize) -> anyhow::Result<Seen> {
        let bodies = |first: usize| -> Vec<Bytes> {
            let at = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs().cast_signed();
            let one = |n| Bytes::from(notification(WORKSPACE, n, &[format!("c{n:012}")], at));
            (first..first + size).map(one).collect()
        };
        let batches = (0..times).map(|_| {
            let first = self.next.replace(self.next.get() + size);
            batch(&bodies(first), first, "live", "hub")
        });
        self.run(batches.collect(), size * times)
    }

    fn run(&self, batches: Vec<Bytes>, events: usize) -> anyhow::Result<Seen> {
        self.cloud.costs();
        let (came, cpu) = (self.klaviyo.came(), self.cpu()?);
        let invocations = self.cloud.invoke(batches, PATIENCE)?;
        let left: usize = invocations.iter().map(|one| one.failures).sum();
        let delivered = self.klaviyo.came().distinct - came.distinct;
        ensure!(left == 0 && delivered == events as u64, "{left} stay on the queue, {delivered} of {events} delivered");
        let mut took: Vec<Duration> = invocations.iter().map(|Invocation { took, .. }| *took).collect();
        took.sort_unstable();
        Ok(Seen {
            cpu: self.cpu()? - cpu,
            all: took.iter().sum(),
            median: benches::percentile(&took, 0.5),
            costs: self.cloud.costs(),
        })
    }

    /// As large as Lambda hands over: six notifications of nearly a megabyte.
    fn largest(&self) -> anyhow::Result<f64> {
        let at = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs().cast_signed();
        let one = |_| {
            let number = self.next.replace(self.next.get() + 1);
            let body = notification(WORKSPACE, number, &[format!("c{number:012}")], at);
            let text = String::from_utf8_lossy(&body).replacen("<p>Hello</p>", &"Hello again. ".repeat(75_000), 1);
            Bytes::from(text)
        };
        let first = self.next.get();
        let batches = (0..5).map(|_| {
            let bodies: Vec<Bytes> = (0..6).map(one).collect();
            batch(&bodies, self.next.get() - 6, "live", "hub")
        });
        let batches: Vec<Bytes> = batches.collect();
        self.run(batches, self.next.get() - first)?;
        self.memory()
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_time(self.child.0.id()).context("time of the function")
    }

    fn memory(&self) -> anyhow::Result<f64> {
        peak_memory_mib(self.child.0.id()).context("memory of the function")
    }
}

impl Seen {
    fn throughput(&self, size: usize, times: usize) -> Line {
        let events = (size * times) as f64;
        Line {
            what: format!("{size} together: events of one core; as the clock went"),
            seen: format!("{:.0}/s; {:.0}/s", events / self.cpu.as_secs_f64(), events / self.all.as_secs_f64()),
            budget: "(Klaviyo's ceiling: 2,500/s)".to_owned(),
            holds: size < 1_000 || events / self.cpu.as_secs_f64() >= 2_500.0,
        }
    }

    /// What an event costs at AWS beside computing. Reading from the queue and deleting is Lambda's: two requests for ten messages.
    fn asked(&self, size: usize, times: usize) -> Line {
        let events = (size * times) as f64;
        let queue = ["SendMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"];
        let queue = benches::cloud::calls_of(&self.costs, &queue) as f64;
        let depth = benches::cloud::calls_of(&self.costs, &["GetQueueAttributes"]) as f64;
        let table: f64 = self.costs.calls.values().sum::<u64>() as f64 - queue - depth;
        Line {
            what: "  table: requests, KB, write units; queue: requests".to_owned(),
            seen: format!(
                "{:.2}, {:.2}, {:.2}; {:.2} an event",
                table / events,
                (self.costs.table_sent + self.costs.table_received) as f64 / events / 1e3,
                self.costs.write_units as f64 / events,
                (queue + depth) / events,
            ),
            budget: "one write an event and a few a batch".to_owned(),
            holds: self.costs.write_units as f64 <= events + 8.0 * times as f64,
        }
    }
}
