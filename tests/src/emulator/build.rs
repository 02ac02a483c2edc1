//! `sam build` of `template.yaml` as it is; only the compiler is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::tools;
use crate::binary;

/// Where the built template of these binaries is. Built once in a process: it is the same for every stack.
///
/// # Panics
/// When SAM fails; with all that it said.
pub(super) fn built(binaries: &Path) -> PathBuf {
    static BUILT: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
    // Others wait here: two builds at a time would take longer than one after the other.
    let mut known = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = known.get(binaries) {
        return place.clone();
    }
    let place = tools::home().join(format!("built-{}-{}", std::process::id(), known.len()));
    remove_what_the_dead_left();
    build(binaries, &place);
    known.insert(binaries.to_owned(), place.clone());
    place
}

fn build(binaries: &Path, place: &Path) {
    let mut path = vec![binary::workspace().join("infra/emulator")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let ended = tools::sam()
        .command()
        .args(["build", "--build-dir"])
        .arg(place)
        .env("PATH", std::env::join_paths(path).expect("a PATH"))
        .env("BOOTSTRAPS", binaries)
        .env("CARGO_TARGET_DIR", place.with_extension("cargo"))
        .output()
        .expect("sam starts");
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "sam build:\n{}", String::from_utf8_lossy(&said));
    let script = binary::workspace().join("infra/emulator/pack.py");
    let packed = Command::new(tools::ministack()).arg(script).arg(place).output().expect("python starts");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    // Both hold the same binaries, and SAM has copied them.
    let _ = fs::remove_dir_all(place.with_extension("cargo"));
}

/// A test's process does not clean up behind itself, so the next one does.
fn remove_what_the_dead_left() {
    let Ok(entries) = fs::read_dir(tools::home()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("built-").and_then(|rest| rest.split(['-', '.']).next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
