//! Queues and state in one SQLite file: every storage port of `app` for a deployment on one machine.
//!
//! One thread owns the only connection that writes. It takes all calls that wait, runs them in one transaction, syncs once
//! and answers them all: many webhooks share one sync ("group commit"), and no two writers ever meet. A few more threads
//! read. The async runtime never blocks on the disk.
//!
//! What it refuses to do: share the file with a second process (see [`SqliteStore::open`]), answer before the commit is
//! on the disk, or count rows to know the books.

mod cache;
mod connection;
mod dead_letters;
mod documents;
mod file;
mod forget;
mod history;
mod inbox;
mod items;
mod job;
mod ledger;
mod overview;
mod pace;
mod parked;
#[cfg(test)]
mod plans;
mod queue;
mod readers;
mod schema;
mod settle;
mod store;
mod support;
mod time;
mod totals;
mod trouble;
mod upkeep;
mod writer;

pub use store::{SqliteOptions, SqliteStore};
