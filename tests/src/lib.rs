//! End-to-end tests live in `e2e/`; this library is what they share and what knows nothing of our own crates: the built
//! binary, processes, a plain HTTP client, waiting.

pub mod binary;
pub mod http;
pub mod process;
pub mod wait;
