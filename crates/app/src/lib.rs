//! Use cases of the pipeline and the ports they need. Async, but without a runtime, sockets or an SDK.

pub mod connect;
#[cfg(feature = "testing")]
pub mod contract;
pub mod deliver;
pub mod environment;
#[cfg(feature = "testing")]
pub mod fakes;
pub mod forget;
pub mod history;
pub mod hours;
pub mod housekeeping;
pub mod letters;
pub mod ports;
pub mod receive;
pub mod recent;
pub mod recipes;
pub mod settings;
pub mod status;
mod support;
pub mod topics;
