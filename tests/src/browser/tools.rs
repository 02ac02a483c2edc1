//! What a browser test needs on the machine: Chromium with its driver, and axe.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

/// axe 4.12.1, in the package that brings it.
const AXE: &str = "axe-playwright-python==0.1.8 \
    --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8\n";

/// Chromium and its driver; installed from Debian's packages where they are missing and this user may.
pub(super) fn chromium() -> (PathBuf, PathBuf) {
    let _lock = lock("chromium");
    found().or_else(|| install().and_then(|()| found())).expect(
        "the browser tests need Chromium and its driver: apt-get install chromium chromium-driver, or put chromium (or \
         google-chrome) and chromedriver of the same version on the PATH",
    )
}

fn found() -> Option<(PathBuf, PathBuf)> {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)?;
    Some((browser, on_path("chromedriver")?))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn install() -> Option<()> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root || on_path("apt-get").is_none() {
        return None;
    }
    let apt = |arguments: &[&str]| {
        let ran = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    let packages = ["install", "--yes", "--no-install-recommends", "chromium", "chromium-driver"];
    (apt(&packages) || (apt(&["update"]) && apt(&packages))).then_some(())
}

/// The file with axe, installed once below `target/`. Test processes run side by side: one installs, the others wait for its lock.
pub(super) fn axe() -> PathBuf {
    let _lock = lock("axe");
    let place = home().join("axe");
    let (list, done) = (home().join("axe.txt"), place.join("installed.txt"));
    if fs::read_to_string(&done).is_ok_and(|have| have == AXE) {
        return script(&place);
    }
    // Gone already when nothing was installed.
    let _ = fs::remove_dir_all(&place);
    fs::write(&list, AXE).expect("target/ can be written");
    run(Command::new("python3").args(["-m", "venv"]).arg(&place));
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"];
    run(Command::new(place.join("bin/python")).args(quiet).arg("--requirement").arg(&list));
    fs::write(done, AXE).expect("target/ can be written");
    script(&place)
}

fn script(place: &Path) -> PathBuf {
    let versions = fs::read_dir(place.join("lib")).expect("a virtual environment");
    let mut files =
        versions.flatten().map(|version| version.path().join("site-packages/axe_playwright_python/axe.min.js"));
    files.find(|file| file.is_file()).expect("the package brings axe")
}

fn home() -> PathBuf {
    let home = binary::target_dir().join("browser");
    fs::create_dir_all(&home).expect("target/ can be written");
    home
}

fn lock(name: &str) -> File {
    let lock = File::create(home().join(format!("{name}.lock"))).expect("target/ can be written");
    lock.lock().expect("the file system knows locks");
    lock
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(ended.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&ended.stderr));
}
