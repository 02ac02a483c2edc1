//! Setting up, using and tidying, as a person or a script does it: recipes, connect, forget, and the smaller commands.

mod connect;
mod forget;
mod recipes;
mod small;

use serde_json::Value;
use tests::process::Ended;

/// What a command printed with `--json`.
fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("not JSON: {}{}", ended.stdout, ended.stderr))
}
