//! The webhook function as it is shipped, beside the least that a function with the same clients can be: time from the start of
//! the process to its first answer, peak memory, warm latency, size.
//!
//! Lambda's runtime API, SQS and Secrets Manager are stand-ins in this process that answer at once, so that what is measured is
//! the function. It has one core, the stand-ins the other. Both functions come out of one build, in the profile that is shipped.

#[path = "functions/stand_in.rs"]
mod stand_in;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::{Line, notification, percentile, pin, print, secrets};
use domain::signature::sign_hub;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use stand_in::{Measured, StandIn};

/// Starts of each function, in turn: the machine may be noisy.
const STARTS: usize = 15;

/// Calls after the first one, of each start.
const WARM: usize = 300;

fn main() -> anyhow::Result<()> {
    let folder = build()?;
    pin(std::process::id(), 1);
    let (webhook, floor) = (folder.join("webhook"), folder.join("function-floor"));
    let stand_in = StandIn::start()?;
    let event = event()?;
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        ours.push(stand_in.measure(&webhook, &event, WARM)?);
        least.push(stand_in.measure(&floor, &event, WARM)?);
    }
    let (ours, least) = (Summary::of(&ours), Summary::of(&least));
    let (size, least_size) = (zipped(&webhook)?, zipped(&floor)?);
    let lines = [
        ratio("start of the process to the first answer, median", millis(ours.first), millis(least.first), "ms", 1.25),
        ratio("peak memory", ours.memory, least.memory, "MiB", 1.15),
        ratio("zip", size, least_size, "MB", 1.15),
        Line {
            what: "warm, p50, queue at 0 ms".to_owned(),
            seen: format!("{:.2} ms (floor {:.2} ms)", millis(ours.warm), millis(least.warm)),
            budget: "<= 0.6 ms".to_owned(),
            holds: millis(ours.warm) <= 0.6,
        },
    ];
    print("webhook function (shipping profile, one core) beside a 20-line function with the same clients", &lines)?;
    Ok(())
}

/// The middle of several starts.
struct Summary {
    first: Duration,
    warm: Duration,
    memory: f64,
}

impl Summary {
    fn of(starts: &[Measured]) -> Self {
        let median = |pick: fn(&Measured) -> Duration| {
            let mut all: Vec<_> = starts.iter().map(pick).collect();
            all.sort_unstable();
            percentile(&all, 0.5)
        };
        let memory = starts.iter().map(|start| start.peak_memory_mib).fold(0.0, f64::max);
        Self { first: median(|start| start.first_answer), warm: median(|start| start.warm_p50), memory }
    }
}

fn ratio(what: &str, ours: f64, floor: f64, unit: &str, most: f64) -> Line {
    Line {
        what: what.to_owned(),
        seen: format!("{ours:.2} {unit} = {:.2} x {floor:.2} {unit}", ours / floor),
        budget: format!("<= {most} x"),
        holds: ours / floor <= most,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Builds both in one go, so that they have the same dependencies with the same features. Gives the folder they are in.
fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let packages = ["--package", "lambdas", "--package", "function-floor"];
    let arguments = ["build", "--release", "--bin", "webhook", "--bin", "function-floor"];
    ensure!(Command::new(cargo).args(arguments).args(packages).status()?.success(), "the functions do not build");
    // This benchmark is target/release/deps/functions-…; the functions lie two levels up.
    let here = std::env::current_exe()?;
    Ok(here.parent().and_then(Path::parent).context("a target directory")?.to_owned())
}

/// What a zip of the binary would hold, in MB.
fn zipped(binary: &Path) -> anyhow::Result<f64> {
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    deflated.write_all(&std::fs::read(binary)?)?;
    Ok(deflated.finish()?.len() as f64 / 1e6)
}

/// A signed notification of about 3 KB, as a function URL hands it over.
fn event() -> anyhow::Result<Vec<u8>> {
    let body = notification("bench", 1, &["contact".to_owned()], 1_800_000_000);
    let signature = sign_hub(&secrets()?, &body);
    let event = serde_json::json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "x-hub-signature": signature, "host": "id.lambda-url.eu-west-1.on.aws",
            "x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "198.51.100.7",
            "user-agent": "intercom-webhook-notifications/1.0", "accept-encoding": "gzip",
        },
        "requestContext": {
            "accountId": "anonymous", "apiId": "id", "domainName": "id.lambda-url.eu-west-1.on.aws", "domainPrefix": "id",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7", "userAgent": "x" },
            "requestId": "a-request", "routeKey": "$default", "stage": "$default",
            "time": "15/Jan/2027:08:00:00 +0000", "timeEpoch": 1_800_000_000_000_i64,
        },
        "body": String::from_utf8(body)?, "isBase64Encoded": false,
    });
    Ok(serde_json::to_vec(&event)?)
}
