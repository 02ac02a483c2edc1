//! What notifications and REST items become, from the outside: fixtures in, requests to Klaviyo out.

mod agreement;
mod catalog;
mod contract;
mod explaining;
mod hostile;
mod model;
mod odd_shapes;
mod output_limits;
mod payloads;
mod samples;
mod support;
mod support_state;
mod trimming;
