//! The guide for AWS, word by word: its commands run in one shell against the emulator. The functions are stand-ins
//! that answer with what they were given; what the real ones do is tested elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tests::emulator::Emulator;
use tests::{binary, emulator};

#[path = "support/echo.rs"]
mod echo;

/// What a person types when `sam deploy --guided` asks: the secret and the mail address, "yes" to roles and open URLs,
/// the default for the rest.
const ANSWERS: &str = r#"
answers() {
  printf '%s\n' "" "" "$SECRET_ARN" "" "" "" "" "shop@example.com" "y" "y" "n" "y" "y" "n" "y"
}
"#;

/// The changed one has its new value, one that was not named its old one.
const PARAMETERS_AFTER_A_CHANGE: &str = r#"
parameter() {
  aws cloudformation describe-stacks --stack-name intercom-klaviyo \
    --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" --output text
}
[ "$(parameter Settings)" = '{"metric_prefix":""}' ] && touch changed
[ "$(parameter SecretArn)" = "$SECRET_ARN" ] && touch kept
"#;

fn guide() -> String {
    fs::read_to_string(binary::workspace().join("docs/aws.md")).expect("docs/aws.md")
}

/// A block of commands; one that is not run says why in a comment above it.
struct Block {
    commands: String,
    not_run: Option<String>,
}

fn blocks(guide: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut above = "";
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let reason = above.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
            found.push(Block { commands: commands.join("\n"), not_run: reason.map(str::to_owned) });
        }
        if !line.is_empty() {
            above = line;
        }
    }
    found
}

/// What of the checkout the commands need, with a package in place of ours that has nothing to compile.
fn checkout(dir: &Path) -> PathBuf {
    let place = dir.join("checkout");
    let package = place.join("crates/lambdas");
    fs::create_dir_all(package.join("src/bin")).expect("a directory");
    fs::create_dir(place.join("infra")).expect("a directory");
    for file in ["template.yaml", "samconfig.toml", "infra/dashboard.yaml"] {
        fs::copy(binary::workspace().join(file), place.join(file)).expect("copies");
    }
    let manifest = "[package]\nname = \"lambdas\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).expect("writes");
    for name in echo::NAMES {
        fs::write(package.join(format!("src/bin/{name}.rs")), "fn main() {}\n").expect("writes");
    }
    place
}

/// `aws` of version 1 looks at `AWS_ENDPOINT_URL` in most of its calls only.
fn programs(dir: &Path) -> std::ffi::OsString {
    let sam = emulator::sam();
    let installed = sam.path().parent().expect("a directory");
    let bin = dir.join("bin");
    fs::create_dir(&bin).expect("a directory");
    let aws = format!("#!/bin/sh\nexec '{}/aws' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n", installed.display());
    echo::executable(&bin.join("aws"), aws.as_bytes());
    let mut path = vec![bin, installed.to_owned(), binary::workspace().join("infra/emulator")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(path).expect("a PATH")
}

fn run(emulator: &Emulator, script: &str) -> Output {
    let binaries = emulator.scratch().join("binaries");
    echo::functions(&binaries);
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(checkout(emulator.scratch()))
        .env("PATH", programs(emulator.scratch()))
        .envs(emulator.environment())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("BOOTSTRAPS", binaries)
        .env("CARGO_TARGET_DIR", emulator.scratch().join("cargo"))
        .envs([("INTERCOM_CLIENT_SECRET", "client-1"), ("INTERCOM_ACCESS_TOKEN", "access-1")])
        .env("KLAVIYO_API_KEY", "pk_1")
        .output()
        .expect("bash starts")
}

#[test]
fn every_command_of_the_guide_works_in_its_order() {
    let blocks = blocks(&guide());
    let run_here: Vec<_> = blocks.iter().filter(|block| block.not_run.is_none()).collect();
    assert!(run_here.len() >= 12, "the guide's blocks are not found");
    for reason in blocks.iter().filter_map(|block| block.not_run.as_deref()) {
        assert!(reason.split(' ').count() >= 4, "why not? {reason}");
    }

    let mut script = ANSWERS.to_owned();
    for (number, block) in run_here.iter().enumerate() {
        let commands = block.commands.replace("sam deploy --guided", "sam deploy --guided < <(answers)");
        script.push_str(&format!("echo '== block {number}'\n{commands}\n"));
        if block.commands.contains("--guided") {
            script.push_str("touch deployed\n");
        }
        if block.commands.contains("metric_prefix") {
            script.push_str(PARAMETERS_AFTER_A_CHANGE);
        }
    }
    let emulator = Emulator::start();
    let ended = run(&emulator, &script);
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success(), "{said}");
    for (file, what) in [
        ("deployed", "the guided deployment was not run"),
        ("changed", "the setting did not change"),
        ("kept", "the secret's ARN did not stay"),
    ] {
        assert!(emulator.scratch().join("checkout").join(file).exists(), "{what}:\n{said}");
    }

    // At its end everything is gone but the secret, which AWS keeps for a week.
    assert_eq!(emulator.call("DynamoDB_20120810.ListTables", &json!({}))["TableNames"], json!([]), "{said}");
    let queues = emulator.call("AmazonSQS.ListQueues", &json!({}));
    assert_eq!(queues["QueueUrls"].as_array().map_or(0, Vec::len), 0, "{queues}");
    for secret in ["client-1", "access-1", "pk_1"] {
        assert!(!said.contains(secret), "a secret was printed:\n{said}");
    }
}
