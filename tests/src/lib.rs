//! End-to-end tests live in `e2e/`; this library is what they share and what knows nothing of our own crates: the built
//! binary, processes, a plain HTTP client, waiting, AWS on this machine, a browser.

pub mod binary;
pub mod browser;
pub mod emulator;
pub mod http;
pub mod process;
pub mod proxy;
pub mod wait;
