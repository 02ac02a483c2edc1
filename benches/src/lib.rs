//! What the benchmarks share: the table, pinning to a core, memory of a process, percentiles, notifications.
//!
//! None of them is a test: a shared machine is noisy. Each prints its figure beside its budget and what the figure depends on.

#![recursion_limit = "256"]

pub mod cloud;
pub mod http;
pub mod intercom;
pub mod klaviyo;
pub mod run;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::ClientSecrets;
use secrecy::SecretString;

/// One line of the table.
#[derive(Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What was promised.
    pub budget: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Prints the table.
pub fn print(title: &str, lines: &[Line]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{title}")?;
    for line in lines {
        let verdict = if line.holds { "holds" } else { "MISSED" };
        writeln!(out, "  {:<58} {:<34} budget {:<28} {verdict}", line.what, line.seen, line.budget)?;
    }
    Ok(())
}

/// Moves this process, or another, to one core. Does nothing where `taskset` is missing; the table then says two cores.
pub fn pin(pid: u32, core: usize) -> bool {
    Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &pid.to_string()])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Builds binaries of the workspace in the profile of benchmarks, together with the benchmark that asks, so that both have the
/// same dependencies with the same features and the AWS SDK is compiled once. Gives the folder they are in. The variable
/// `BENCH_BINARIES` names another folder, with an earlier build, to compare the two.
///
/// # Errors
/// When they do not build.
pub fn build(benchmark: &str, binaries: &[&str]) -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BENCH_BINARIES") {
        return Ok(folder.into());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--profile", "bench", "--bench", benchmark]);
    command.args(binaries.iter().flat_map(|binary| ["--bin", binary]));
    ensure!(command.status()?.success(), "{binaries:?} do not build");
    // A benchmark is target/release/deps/name-…; the binaries lie two levels up.
    let here = std::env::current_exe()?;
    Ok(here.parent().and_then(Path::parent).context("a target directory")?.to_owned())
}

/// A process of ours, which ends with its owner.
#[derive(Debug)]
pub struct Owned(pub Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has used of any core so far, in steps of 10 ms.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Peak resident memory of a process, in MiB.
pub fn peak_memory_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The `p`th part (0 to 1) of sorted durations.
pub fn percentile(sorted: &[Duration], p: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * p).round() as usize).copied().unwrap_or_default()
}

/// The secret that benchmarks sign with.
pub const SECRET: &str = "benchmark-secret";

/// Its typed form.
pub fn secrets() -> anyhow::Result<ClientSecrets> {
    Ok(ClientSecrets::parse(&SecretString::from(SECRET))?)
}

/// A reply notification of about 3 KB, different for each `n`, from one of `contacts` contacts.
pub fn notification(workspace: &str, n: usize, contacts: &[String], at: i64) -> Vec<u8> {
    let contact = &contacts[n % contacts.len()];
    let filler = "The parcel was due last week and the tracking page has not moved since. ".repeat(18);
    serde_json::json!({
        "type": "notification_event", "app_id": workspace, "topic": "conversation.user.replied",
        "id": format!("notif_{n:08}"), "created_at": at, "delivery_attempts": 1,
        "data": { "type": "notification_event_data", "item": {
            "type": "conversation", "id": format!("8{n:010}"), "created_at": at - 600, "updated_at": at,
            "source": {
                "type": "conversation", "id": "1", "delivered_as": "customer_initiated", "subject": "", "body": "<p>Hello</p>",
                "author": { "type": "user", "id": contact, "name": "A. Customer", "email": "" }, "attachments": [],
            },
            "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact, "external_id": null }] },
            "admin_assignee_id": null, "team_assignee_id": null, "open": true, "state": "open", "read": true,
            "tags": { "type": "tag.list", "tags": [{ "type": "tag", "id": "1", "name": "parcel" }] },
            "priority": "not_priority", "title": "Where is it?", "ticket": null,
            "statistics": { "type": "conversation_statistics", "count_reopens": 1, "count_assignments": 2,
                "count_conversation_parts": 7 },
            "conversation_rating": null, "custom_attributes": { "Order": n, "Carrier": "Post" },
            "conversation_parts": { "type": "conversation_part.list", "total_count": 1, "conversation_parts": [{
                "type": "conversation_part", "id": format!("5{n:010}"), "part_type": "comment", "created_at": at - 1,
                "body": format!("<p>{filler}</p>"), "author": { "type": "user", "id": contact, "name": "A. Customer" },
                "attachments": [], "redacted": false,
            }] },
        } },
    })
    .to_string()
    .into_bytes()
}
