//! Functions that answer with what they were given: copies of one script that speaks Lambda's runtime API.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::binary;

/// The four binaries of the stack.
pub(crate) const NAMES: [&str; 4] = ["webhook", "consumer", "backfill", "console"];

/// Puts them into a directory, which is made.
pub(crate) fn functions(dir: &Path) {
    let script = fs::read(binary::workspace().join("tests/e2e/support/echo.py")).expect("the script");
    fs::create_dir(dir).expect("a directory");
    for name in NAMES {
        executable(&dir.join(name), &script);
    }
}

/// Writes a file that can be executed.
pub(crate) fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("can be executed");
}
