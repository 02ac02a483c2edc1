//! The scenarios of the pipeline once more, on AWS: the same files as in `main.rs`, around the deployed stack.
//!
//! Left out, with the reason: `start_up`, `commands`, `killed` and `memory` are about the process on one machine (`only` and
//! the adapter's simulation have their counterparts); `bad_input::greedy` about a server of our own, which Lambda takes the place
//! of; `bad_days::store` about SQLite's file; `backlog` about bulk requests, which need more than the ten messages that the emulator
//! hands over at a time.

mod bad_days {
    mod intercom;
    mod klaviyo;
    mod waits;
}
mod bad_input {
    mod bodies;
    mod signatures;
}
#[path = "support/gateway.rs"]
mod gateway;
mod history;
mod only;
mod pipeline;
#[path = "support/stack.rs"]
mod product;
#[path = "support/schedule.rs"]
mod schedule;
mod support;
