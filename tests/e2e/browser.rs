//! The console's page in a real browser, against the real binary and the sandbox. Screenshots are kept under `target/screenshots`.

#[path = "browser/connect.rs"]
mod connect;
#[path = "browser/fit_for_all.rs"]
mod fit_for_all;
#[path = "browser/history.rs"]
mod history;
#[path = "browser/hostile.rs"]
mod hostile;
#[path = "browser/letters.rs"]
mod letters;
#[path = "browser/signing_in.rs"]
mod signing_in;
#[path = "browser/trouble.rs"]
mod trouble;
#[path = "browser/world.rs"]
mod world;
