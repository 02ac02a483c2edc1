//! Intercom and Klaviyo as local HTTP servers, with the limits, errors and quirks that their documentation and their
//! users report: for the demo, for tests, and for trying the product without an account anywhere.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbox::{Sandbox, SandboxConfig, intercom::ContactSpec};
//!
//! let sandbox = Sandbox::start(SandboxConfig::default()).await?;
//! sandbox.intercom().set_webhook("http://127.0.0.1:8080/webhooks/intercom");
//! let ada = sandbox.intercom().add_contact(ContactSpec::user("ada@sandbox-shop.co", "Ada Byron"));
//! sandbox.intercom().start_conversation(&ada, "Where is my parcel?")?;
//! sandbox.intercom().idle().await;
//! println!("{} events", sandbox.klaviyo().events().len());
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Both servers also answer a control API under `/_sandbox/`, without a key, for a separate process:
//!
//! | call | vendor | what it does |
//! | --- | --- | --- |
//! | `GET /_sandbox/state` | both | counters |
//! | `POST`, `DELETE /_sandbox/faults` | both | adds one [`Fault`] or a list; removes all |
//! | `POST /_sandbox/clock` | both | `{"advance_seconds":n}` or `{"set":unix}`; the clock is shared |
//! | `POST /_sandbox/limits` | both | `{"enabled":bool}`; Intercom also `"calls"` per 10 s |
//! | `POST /_sandbox/settings` | both | Klaviyo `keep`, `discard_test_addresses`; Intercom `api_version`, `delivery`, `index_lag_seconds`, `search` ([`SearchQuirks`](intercom::SearchQuirks)), `topics` |
//! | `POST /_sandbox/webhook` | Intercom | `{"url":…}`; `null` stops deliveries |
//! | `POST /_sandbox/act` | Intercom | one [`Action`](intercom::Action) or a list, each with an optional `"at"` |
//! | `POST /_sandbox/seed` | Intercom | a [`SeedSpec`] |
//! | `GET /_sandbox/deliveries` | Intercom | every notification with its attempts |
//! | `GET /_sandbox/events`, `/_sandbox/profiles` | Klaviyo | what the account holds |
//! | `POST`, `DELETE /_sandbox/refuse` | Klaviyo | adds one [`Poison`](klaviyo::Poison) rule or a list; removes all |
//! | `POST /_sandbox/clear` | Klaviyo | forgets all that was sent |

mod clock;
mod control;
mod faults;
pub mod intercom;
pub mod klaviyo;
mod rng;
pub mod scenario;
mod seed;
mod server;
mod start;
mod traffic;

pub use crate::{
    clock::SandboxClock,
    faults::{Fault, FaultKind, Faults, Matcher, Times},
    intercom::IntercomSandbox,
    klaviyo::{Keep, KlaviyoSandbox},
    seed::SeedSpec,
    start::{Sandbox, SandboxConfig},
    traffic::{RecordedRequest, RequestCount},
};
