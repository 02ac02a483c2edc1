//! `template.yaml` held to what is agreed: names, figures, and what each role may do.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tests::{binary, emulator};

#[path = "template/alarms.rs"]
mod alarms;
#[path = "template/deploys.rs"]
mod deploys;
#[path = "support/echo.rs"]
mod echo;
#[path = "template/names.rs"]
mod names;
#[path = "template/policies.rs"]
mod policies;
#[path = "template/resources.rs"]
mod resources;

fn path() -> PathBuf {
    binary::workspace().join("template.yaml")
}

/// The template as it is written, under `source`, and as SAM deploys it, under `deployed`.
fn read() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| {
        let script = binary::workspace().join("infra/emulator/read_template.py");
        let output = Command::new(emulator::ministack()).arg(script).arg(path()).output().expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    })
}

/// A resource as SAM deploys it.
fn resource(name: &str) -> &'static Value {
    let found = &read()["deployed"]["Resources"][name];
    assert!(found.is_object(), "no resource {name}");
    found
}

fn properties(name: &str) -> &'static Value {
    &resource(name)["Properties"]
}

/// Every resource of a type, with its name.
fn all(kind: &str) -> Vec<(&'static String, &'static Value)> {
    let resources = read()["deployed"]["Resources"].as_object().expect("resources");
    let found: Vec<_> = resources.iter().filter(|(_, resource)| resource["Type"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

fn arn(name: &str) -> Value {
    json!({"Fn::GetAtt": [name, "Arn"]})
}

fn reference(name: &str) -> Value {
    json!({"Ref": name})
}

/// How long a message is hidden: one figure, which queues and consumer both look up.
fn visibility() -> Value {
    json!({"Fn::FindInMap": ["Queues", "Visibility", "Seconds"]})
}

#[test]
fn sam_and_cfn_lint_find_nothing() {
    for template in ["template.yaml", "infra/dashboard.yaml", "infra/books.yaml"] {
        let checked = emulator::sam()
            .command()
            .args(["validate", "--lint", "--region", emulator::REGION, "--template-file"])
            .arg(binary::workspace().join(template))
            .output()
            .expect("sam starts");
        let said = [checked.stdout, checked.stderr].concat();
        assert!(checked.status.success(), "{template}: {}", String::from_utf8_lossy(&said));
    }
}
