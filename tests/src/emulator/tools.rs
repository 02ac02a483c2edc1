//! The Python programs that the tests use, installed once below `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

/// AWS's SAM command line.
#[derive(Clone, Debug)]
pub struct Sam(PathBuf);

impl Sam {
    /// A command that begins with `sam`; it reports nothing to anybody.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.env("SAM_CLI_TELEMETRY", "0").current_dir(binary::workspace());
        command
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Installs the emulator if need be and gives its Python.
///
/// # Panics
/// When python3 is missing or a package cannot be had.
pub fn ministack() -> PathBuf {
    installed("ministack").join("bin/python")
}

/// Installs the SAM command line if need be.
///
/// # Panics
/// When python3 is missing or a package cannot be had.
pub fn sam() -> Sam {
    Sam(installed("sam").join("bin/sam"))
}

/// Everything of the emulator's that outlives a test.
pub(super) fn home() -> PathBuf {
    let home = binary::target_dir().join("emulator");
    fs::create_dir_all(&home).expect("target/ can be written");
    home
}

/// A virtual environment with the packages of `infra/emulator/{name}.txt`.
///
/// Test processes run side by side: one installs, the others wait for its lock. The list is copied in as the last
/// step, so an installation that was cut off, or one of an older list, is made anew.
fn installed(name: &str) -> PathBuf {
    let wanted = binary::workspace().join(format!("infra/emulator/{name}.txt"));
    let list = fs::read(&wanted).expect("the list of packages");
    let place = home().join(name);
    let done = place.join("installed.txt");
    let lock = File::create(home().join(format!("{name}.lock"))).expect("target/ can be written");
    lock.lock().expect("the file system knows locks");
    if fs::read(&done).is_ok_and(|have| have == list) {
        return place;
    }
    // Gone already when nothing was installed.
    let _ = fs::remove_dir_all(&place);
    run(Command::new("python3").args(["-m", "venv"]).arg(&place));
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(place.join("bin/python")).args(quiet).arg(&wanted));
    fs::write(done, list).expect("target/ can be written");
    place
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(ended.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&ended.stderr));
}
