//! The real binary against stand-ins of both vendors: started with environment variables, driven over HTTP, judged by what
//! Klaviyo holds in the end, by its own books, and by its log.

#[path = "pipeline/backlog.rs"]
mod backlog;
mod bad_days;
mod bad_input;
mod commands;
mod desk;
mod history;
mod killed;
mod memory;
mod oddities;
mod pipeline;
#[path = "support/machine.rs"]
mod product;
mod start_up;
mod support;
