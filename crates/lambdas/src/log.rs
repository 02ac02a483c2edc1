//! The log: JSON lines on stdout, as Lambda's own are, so that CloudWatch can search their fields.

use tracing::level_filters::LevelFilter;

/// Starts logging at the level that the function's configuration names (`AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`), or at `info`.
///
/// No filter language: it would be a third of the webhook function.
pub fn start(lookup: impl Fn(&str) -> Option<String>) {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].into_iter().find_map(lookup).and_then(|level| level.parse().ok());
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // It fails only when somebody started logging before; then that stays.
    let _ = log.with_max_level(level.unwrap_or(LevelFilter::INFO)).with_ansi(false).try_init();
}

/// Says why a function does not start, as a line of the log, and passes the reason on: what the runtime prints of it is not for
/// people.
pub fn told<E: std::fmt::Display>(result: Result<(), E>) -> Result<(), E> {
    result.inspect_err(|error| tracing::error!(%error, "the function ends"))
}
