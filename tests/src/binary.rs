//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Builds `intercom-klaviyo` once, in the profile and target directory of the running test, and gives its path.
///
/// Cargo builds a binary for the tests of its own package only, so the tests of another package have to ask for it. With
/// `BINARY_UNDER_TEST` set, that one is tested instead.
///
/// # Panics
/// When it does not build.
pub fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = || build("intercom-klaviyo").join("intercom-klaviyo");
        std::env::var_os("BINARY_UNDER_TEST").map_or_else(built, PathBuf::from)
    })
}

/// The workspace's directory.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the four functions once, as [`path`] builds the binary, and gives the directory that holds them. With
/// `FUNCTIONS_UNDER_TEST` set, those of that directory are tested instead, such as what cargo-lambda has built.
///
/// # Panics
/// When they do not build.
pub fn functions() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("FUNCTIONS_UNDER_TEST").map_or_else(|| build("lambdas"), PathBuf::from))
}

/// Cargo's target directory, in which the running test lies.
///
/// # Panics
/// When the test was moved out of it.
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    test.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists()).expect("a target directory").to_owned()
}

/// Builds the workspace's binaries and gives the directory in which they end up.
///
/// Asked for as `cargo test --workspace` does, because every other choice of packages means other features of shared
/// dependencies, and with them the AWS SDK all over again. After that very command nothing is left to do.
fn build(package: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    // …/target/[triple/]debug/deps/e2e-0123
    let profile_dir = test.ancestors().nth(2).expect("a profile's directory").to_owned();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--no-run", "--quiet", "--profile", profile, "--target-dir"])
        .arg(target_dir())
        .current_dir(workspace())
        .status()
        .expect("cargo starts");
    assert!(built.success(), "{package} does not build");
    profile_dir
}
