//! Vendors that are slow, broken or angry; a store that cannot be written.

mod intercom;
mod klaviyo;
mod store;
mod waits;
