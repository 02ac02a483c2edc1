//! Keeps the process small.
//!
//! glibc learns from every large block that is freed to keep the next ones for itself: after some large notifications the
//! process holds three times what it needs, for good. The thresholds can be fixed from safe code only by environment variables that
//! glibc reads when a process starts. Hence the program starts itself once more, under the same process id.

/// Returns in the process that has the thresholds, or at once where they mean nothing.
pub(crate) fn bound() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::bound();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    /// Larger blocks go back to the operating system as soon as they are freed.
    const THRESHOLD: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "262144");

    /// Free memory at the end of the heap that is kept. Fixing the one fixes the other, at a value that is too low.
    const TRIM: (&str, &str) = ("MALLOC_TRIM_THRESHOLD_", "1048576");

    /// Every thread otherwise gets a heap of its own.
    const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

    pub(super) fn bound() {
        // Set by us a moment ago, or by somebody who knows better.
        if std::env::var_os(THRESHOLD.0).is_some() {
            return;
        }
        let Ok(program) = std::env::current_exe() else { return };
        let mut arguments = std::env::args_os();
        let mut again = Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // Comes back only when it failed; then we go on as we are, with more memory.
        let _ = again.args(arguments).envs([THRESHOLD, TRIM, ARENAS]).exec();
    }
}
