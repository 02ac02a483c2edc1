//! Whether the data directory can be written, has room, is free, and how fast it syncs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use app::connect::Check;

use crate::token::make_data_dir;

/// Less free space than this is bad: the queue must be able to take days of webhooks.
const LEAST_FREE: u64 = 256 * 1024 * 1024;

/// A sync slower than this makes every webhook slow; Intercom lowers the priority of those who need half a second.
const SLOWEST_SYNC: Duration = Duration::from_millis(200);

pub(super) fn checks(data_dir: &Path) -> Vec<Check> {
    let place = data_dir.display();
    if let Err(problem) = make_data_dir(data_dir) {
        return vec![Check::bad("data directory", problem, "set DATA_DIR to a directory on a local disk")];
    }
    let write = match sync_time(data_dir) {
        Ok(time) if time <= SLOWEST_SYNC => {
            Check::good("data directory", format!("{place} can be written; a sync takes {:.1} ms", millis(time)))
        }
        Ok(time) => Check::note(
            "data directory",
            format!("{place} can be written, but a sync takes {:.0} ms", millis(time)),
            "use a faster local disk: every webhook waits for one sync",
        ),
        Err(error) => {
            Check::bad("data directory", format!("{place} cannot be written: {error}"), "set DATA_DIR to another place")
        }
    };
    vec![write, space_check(data_dir), lock_check(data_dir)]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The median of a few small synced writes.
fn sync_time(data_dir: &Path) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(data_dir)?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn space_check(data_dir: &Path) -> Check {
    let name = "free space";
    match rustix::fs::statvfs(data_dir) {
        Ok(room) => {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            let found = format!("{} MB", free / 1_000_000);
            match free >= LEAST_FREE {
                true => Check::good(name, found),
                false => Check::bad(name, found, "make room: a full disk makes the webhook answer 503"),
            }
        }
        Err(error) => Check::note(name, format!("cannot be found out: {error}"), "look with df"),
    }
}

/// The store keeps `state.db.lock` locked while it is open.
fn lock_check(data_dir: &Path) -> Check {
    let name = "state file";
    let lock = data_dir.join("state.db.lock");
    let file: File = match OpenOptions::new().read(true).write(true).open(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Check::good(name, "not made yet"),
        Err(error) => {
            return Check::bad(
                name,
                format!("{} cannot be opened: {error}", lock.display()),
                "run as the user who owns it",
            );
        }
    };
    match file.try_lock() {
        Ok(()) => Check::good(name, "no other process uses it"),
        Err(TryLockError::WouldBlock) => Check::note(
            name,
            "a running process uses it",
            "nothing, if that is your `run`; a second one would refuse to start",
        ),
        Err(TryLockError::Error(error)) => Check::bad(
            name,
            format!("cannot be locked: {error}"),
            "use a local disk; network file systems may not lock",
        ),
    }
}
