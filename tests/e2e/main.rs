//! The real binary against stand-ins of both vendors: started with environment variables, driven over HTTP, judged by what
//! Klaviyo holds in the end, by its own books, and by its log.

mod bad_days;
mod bad_input;
mod commands;
mod history;
mod killed;
mod memory;
mod pipeline;
mod start_up;
mod support;
