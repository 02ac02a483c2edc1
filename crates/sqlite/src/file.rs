//! The file itself: its mode, and the lock that keeps a second process out.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::trouble::Trouble;

/// Held as long as the store is open. The operating system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes `<path>.lock`. SQLite itself would let two processes share the file, but reopening gives out again what the other
    /// one has claimed, and both would obey the vendors' limits on their own.
    pub(crate) fn take(path: &Path) -> Result<Self, Trouble> {
        let lock = beside(path, ".lock");
        let file = private(&lock).map_err(|error| cannot("open", &lock, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Trouble::Broken(format!(
                "{} is in use by another process of this program; stop that one first or choose another DATA_DIR",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(cannot("lock", &lock, &error)),
        }
    }
}

/// Makes the database file before SQLite does, readable by its owner alone. SQLite gives the log files the same mode.
pub(crate) fn prepare(path: &Path) -> Result<(), Trouble> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| cannot("create", folder, &error))?;
    }
    private(path).map_err(|error| cannot("open", path, &error))?;
    sync_folder(path);
    Ok(())
}

/// The entry of a new file must survive a power cut as well, or all that is synced into it does not.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems refuse this for folders; they have nothing to sync then.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// `<path><suffix>`, also for names that are not UTF-8.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // A file that is there already keeps its mode when opened; it holds the same personal data.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Trouble {
    Trouble::Broken(format!("cannot {what} {}: {error}; check that the path exists and is writable", path.display()))
}
