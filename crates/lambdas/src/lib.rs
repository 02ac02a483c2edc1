//! The pipeline as AWS Lambda functions: webhook, consumer, backfill and console.
//!
//! The bins read the environment and hand it to what is here; what is here turns Lambda's events into calls of the use cases and
//! their results into Lambda's answers. Nothing is decided about events.
//!
//! A function that runs reads a rotated secret within minutes: what was built from the old one is built again.

pub mod backfill;
pub mod configuration;
pub mod console;
pub mod consumer;
pub mod deployment;
pub mod importer;
pub mod keys;
pub mod log;
pub mod metrics;
pub mod webhook;
