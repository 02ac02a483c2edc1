//! The log: to stderr, filtered by `RUST_LOG`, as JSON with `LOG_FORMAT=json`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging. `default` is the level where `RUST_LOG` says nothing.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that cannot be written (disk full, pipe closed) would be complained about on stderr, which panics when that is
    // the place that cannot be written.
    let log = log.log_internal_errors(false);
    // It fails only when somebody started logging before; then that stays.
    let _ = match std::env::var("LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).try_init(),
        _ => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}
