//! The scenarios of the pipeline once more, on AWS: the same files as in `main.rs`, around the deployed stack.
//!
//! Left out, with the reason: `start_up`, `commands`, `killed` and `memory` are about the process on one machine (`only::killed`
//! and the adapter's simulation have their counterparts, three days of a refused key among them, for which clocks have to be moved);
//! `bad_input::greedy` about a server of our own, which Lambda takes the place of; `bad_days::store` about SQLite's file; `oddities` is
//! about thousands of items, of which the emulator would make an hour.
//!
//! Done differently: there is less of everything (`FEWER`); what takes minutes on AWS is hastened (`Product::hasten`); a backlog comes
//! from an event source of the tests' own (`gatherer`), because the emulator's hands over ten messages at most.

#[path = "support/arithmetic.rs"]
mod arithmetic;
#[path = "pipeline/backlog.rs"]
mod backlog;
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
#[path = "support/gatherer.rs"]
mod gatherer;
mod history;
mod only;
mod pipeline;
#[path = "support/stack.rs"]
mod product;
#[path = "support/schedule.rs"]
mod schedule;
mod support;
