//! The binary explains itself.

use std::process::Command;

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let asked = Command::new(env!("CARGO_BIN_EXE_intercom-klaviyo")).arg("--help").output().expect("it starts");
    let help = String::from_utf8(asked.stdout).expect("text");
    assert!(asked.status.success());
    for command in ["demo", "run", "sandbox", "doctor", "send-sample", "explain", "dead-letters", "cost", "status"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    assert!(help.contains("Exit codes"), "{help}");
}
