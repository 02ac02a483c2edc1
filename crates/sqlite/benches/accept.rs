//! How many webhooks a second the file takes, each durable before its answer, and how the rest of a message's life compares.
//!
//! `taskset -c 0 cargo bench -p sqlite` measures one core. Set `BENCH_DIR` to the disk in question. Beside the result stands what
//! the disk itself does, because that is the other half of every number here.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use app::ports::{Accepted, Clock, End, Inbox, Lane, Settlement, WorkQueue};
use bytes::Bytes;
use domain::SignatureScheme;
use jiff::Timestamp;
use sqlite::{SqliteOptions, SqliteStore};

const CALLERS: usize = 64;
const BODY: usize = 3 * 1024;
const TIME: Duration = Duration::from_secs(5);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn main() -> io::Result<()> {
    let folder = match std::env::var_os("BENCH_DIR") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = io::stdout();
    let fsync = fsync_micros(folder.path())?;
    writeln!(out, "the disk: write and fsync of 4 KB takes {fsync} µs (median)")?;

    let store = SqliteStore::open(&folder.path().join("bench.db"), SqliteOptions::default(), SystemClock)
        .map_err(io::Error::other)?;
    let (count, mut times) = runtime.block_on(accept(&store));
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    writeln!(
        out,
        "accept: {:.0}/s with {CALLERS} callers and {BODY} byte bodies; p50 {:?}, p99 {:?}, p99.9 {:?}",
        count as f64 / TIME.as_secs_f64(),
        at(500),
        at(990),
        at(999),
    )?;
    let start = Instant::now();
    let done = runtime.block_on(drain(&store)).map_err(io::Error::other)?;
    writeln!(out, "claim and settle: {:.0}/s in batches of 500", done as f64 / start.elapsed().as_secs_f64())?;
    let start = Instant::now();
    drop(store);
    writeln!(out, "close: {:?}", start.elapsed())
}

async fn accept(store: &SqliteStore) -> (usize, Vec<Duration>) {
    let end = Instant::now() + TIME;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    let body = Bytes::from(vec![b'x'; BODY]);
                    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: Timestamp::now(), body };
                    if store.accept(accepted).await.is_ok() {
                        times.push(start.elapsed());
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.unwrap_or_default());
    }
    (times.len(), times)
}

async fn drain(store: &SqliteStore) -> Result<usize, app::ports::StoreError> {
    let mut done = 0;
    loop {
        let claimed = store.claim(Lane::Live, 500, 4 << 20, Duration::from_secs(60)).await?;
        if claimed.is_empty() {
            return Ok(done);
        }
        done += claimed.len();
        let settle = |claimed: app::ports::Claimed| Settlement {
            keys: Vec::new(),
            id: claimed.id,
            receipt: claimed.receipt,
            end: End::Delivered,
            events: Vec::new(),
            profiles: 0,
            item: None,
        };
        store.settle(claimed.into_iter().map(settle).collect()).await?;
    }
}

fn fsync_micros(folder: &Path) -> io::Result<u128> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
