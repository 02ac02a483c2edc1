//! What the deployed roles grant, as IAM has it after CloudFormation has put in every ARN.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Emulator, Stack};
use crate::emulator::witness::Permission;

/// The name of the only policy of each role in the template.
const POLICY: &str = "exactly-what-it-does";

impl Stack<'_> {
    /// For each function of this stack, by its whole name, what its role grants.
    ///
    /// # Panics
    /// When a role has no policy of the template's.
    pub fn granted(&self) -> BTreeMap<String, BTreeSet<Permission>> {
        let answer = self.emulator().request("GET", "/2015-03-31/functions/", &[], b"").json();
        let functions = answer["Functions"].as_array().cloned().unwrap_or_default();
        let ours = functions.iter().filter_map(|function| {
            let name = function["FunctionName"].as_str()?.to_owned();
            let role = function["Role"].as_str()?.rsplit('/').next()?.to_owned();
            name.starts_with(&format!("{}-", self.name())).then_some((name, role))
        });
        ours.map(|(name, role)| (name, of_role(self.emulator(), &role))).collect()
    }
}

fn of_role(emulator: &Emulator, role: &str) -> BTreeSet<Permission> {
    let query = format!("Action=GetRolePolicy&Version=2010-05-08&RoleName={role}&PolicyName={POLICY}");
    let text = emulator.query("iam", &query);
    let document = text.split_once("<PolicyDocument>").and_then(|(_, rest)| rest.split_once("</PolicyDocument>"));
    let document = document.unwrap_or_else(|| panic!("{role} has no policy {POLICY}: {text}")).0;
    let policy: Value = serde_json::from_str(&plain(document)).expect("a policy is JSON");
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    statements.iter().flat_map(pairs).collect()
}

fn pairs(statement: &Value) -> Vec<Permission> {
    assert_eq!(statement["Effect"], "Allow");
    let several = |value: &Value| match value {
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    };
    let (actions, resources) = (several(&statement["Action"]), several(&statement["Resource"]));
    actions.iter().flat_map(|action| resources.iter().map(|resource| (action.clone(), resource.clone()))).collect()
}

/// Without `%XX`, as IAM sends documents, and without XML's own entities.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits.filter(|_| first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).replace("&quot;", "\"").replace("&amp;", "&")
}

#[test]
fn a_policy_is_read_as_iam_sends_it() {
    assert_eq!(plain("%7B%22a%22%3A%20%22b%22%7D"), r#"{"a": "b"}"#);
    assert_eq!(plain("{&quot;a&quot;:1}"), r#"{"a":1}"#);
    let statement = serde_json::json!({"Effect": "Allow", "Action": ["a:B", "a:C"], "Resource": "r"});
    assert_eq!(pairs(&statement), [("a:B".to_owned(), "r".to_owned()), ("a:C".to_owned(), "r".to_owned())]);
}
