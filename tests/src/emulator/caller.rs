//! Calls from a thread of the test's own, which may outlive what it calls.

use serde_json::Value;

use super::{Emulator, Stack};
use crate::http::{Answer, Header, request};

/// Knows where the emulator is. `None` is the answer of one that refuses or is gone.
#[derive(Clone, Debug)]
pub struct Caller {
    address: String,
}

impl Emulator {
    /// For a thread of its own.
    pub fn caller(&self) -> Caller {
        Caller { address: self.address() }
    }
}

impl Stack<'_> {
    /// For a thread of its own.
    pub fn caller(&self) -> Caller {
        self.emulator().caller()
    }
}

impl Caller {
    /// An operation of a service that speaks JSON, as [`Emulator::try_call`] names it.
    pub fn call(&self, operation: &str, input: &Value) -> Option<Value> {
        let headers = super::json_headers(operation);
        let answer = self.send("/", &headers, input).filter(|answer| answer.status == 200)?;
        Some(if answer.body.is_empty() { Value::Null } else { answer.json() })
    }

    /// Calls a function, and gives what it returned.
    pub fn post(&self, path: &str, input: &Value) -> Option<Value> {
        let answer = self.send(path, &[], input)?;
        let failed = answer.status != 200 || answer.header("x-amz-function-error").is_some();
        (!failed).then(|| answer.json())
    }

    fn send(&self, path: &str, headers: &[Header<'_>], input: &Value) -> Option<Answer> {
        request(&self.address, "POST", path, headers, input.to_string().as_bytes()).ok()
    }
}
