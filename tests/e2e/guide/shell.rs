//! The shell of a person who follows the guide, on this machine and against the emulator.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sandbox::{Sandbox, SandboxConfig};
use tests::emulator::Emulator;
use tests::{binary, emulator};

use crate::origin;

/// For git, which wants to know who commits.
pub(crate) const AS_SOMEBODY: [&str; 4] = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];

/// Where on this machine a function URL is, whose name leads to AWS only.
pub(crate) fn reachable(emulator: &Emulator, url: &str) -> String {
    let id = url.trim_start_matches("https://").split('.').next().expect("a name");
    format!("{}/_aws/lambda-url/{id}", emulator.endpoint())
}

/// A shell that runs the script, in an empty directory and with nothing of the test's own environment but the path.
pub(crate) fn bash(emulator: &Emulator, sandbox: &Sandbox, script: &str) -> Command {
    let home = emulator.scratch().join("home");
    fs::create_dir(&home).expect("a directory");
    let keys = SandboxConfig::default();
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(&home)
        .env_clear()
        .env("HOME", &home)
        .env("PATH", programs(emulator))
        .envs(emulator.environment())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("BOOTSTRAPS", binary::functions())
        .env("CARGO_TARGET_DIR", emulator.scratch().join("cargo"))
        .env("PLACES", emulator.scratch())
        .env("REPOSITORY", origin(emulator.scratch()))
        .envs([("INTERCOM_API_URL", sandbox.intercom_url()), ("KLAVIYO_API_URL", sandbox.klaviyo_url())])
        .envs([("TYPED_CLIENT_SECRET", keys.client_secret), ("TYPED_ACCESS_TOKEN", keys.access_token)])
        .env("TYPED_KLAVIYO_KEY", keys.klaviyo_key);
    for name in ["RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN", "LANG", "LC_ALL"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// The programs of the guide: `sam` as it is; `aws` of version 1, which looks at `AWS_ENDPOINT_URL` in most of its calls only;
/// `cargo-lambda`, which hands over what is built; and our own, which is told where function URLs are.
fn programs(emulator: &Emulator) -> OsString {
    let sam = emulator::sam();
    let installed = sam.path().parent().expect("a directory");
    let bin = emulator.scratch().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let program = |name: &str, lines: &str| {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/bash\n{lines}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("can be executed");
    };
    program("aws", &format!("exec '{}/aws' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"", installed.display()));
    program("somebody", &format!("exec git -C \"$REPOSITORY\" {} \"$@\"", AS_SOMEBODY.join(" ")));
    let there = "sed -E \"s|^https://([a-z0-9-]+)\\.lambda-url\\..*|$AWS_ENDPOINT_URL/_aws/lambda-url/\\1|\"";
    let each = format!("for one; do given+=(\"$(printf '%s' \"$one\" | {there})\"); done");
    program("intercom-klaviyo", &format!("{each}\nexec '{}' \"${{given[@]}}\"", binary::path().display()));
    let mut path = vec![bin, installed.to_owned(), binary::workspace().join("infra/emulator")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(path).expect("a PATH")
}
