//! What an Intercom notification means in Klaviyo.
//!
//! Everything here is pure: no clock, no environment, no randomness, no I/O, no async.

pub mod activity;
pub mod contact;
pub mod cost;
pub mod delivery;
pub mod directory;
pub mod explain;
pub mod forget;
pub mod history;
pub mod identity;
pub mod ids;
pub mod intercom;
pub mod klaviyo;
pub mod lenient;
pub mod limits;
pub mod mapping;
pub mod metric;
pub mod parse;
pub mod recipes;
pub mod retry;
pub mod rules;
pub mod signature;
pub mod skip;
pub mod support;
pub mod text;
pub mod topics;
pub mod trim;
pub mod written;

pub use identity::Identity;
pub use ids::{ContactId, EventKey, KeyHash, MessageId, WorkspaceId};
pub use metric::Metric;
pub use rules::Rules;
pub use signature::{ClientSecrets, SignatureScheme, Verified};
pub use skip::Skip;
