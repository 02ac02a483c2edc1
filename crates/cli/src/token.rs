//! The console's token where the environment has none: made once, kept in the data directory for its owner's eyes only.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// File name inside the data directory.
const FILE: &str = "console-token";

/// File that says where the console of the running process is.
const ADDRESS_FILE: &str = "console-url";

/// Makes the data directory for its owner alone, where there is none.
pub(crate) fn make_data_dir(path: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        format!(
            "the data directory {} cannot be made: {error}; set DATA_DIR to a place that can be written",
            path.display()
        )
    })
}

/// Where the token is kept.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// The kept token, if there is one.
pub(crate) fn read(data_dir: &Path) -> io::Result<Option<SecretString>> {
    match fs::read_to_string(path(data_dir)) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(SecretString::from(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kept token, or a new one that is kept from now on.
pub(crate) fn read_or_make(data_dir: &Path) -> Result<SecretString, String> {
    let kept = read(data_dir).and_then(|kept| match kept {
        Some(token) => fs::set_permissions(path(data_dir), Permissions::from_mode(0o600)).map(|()| token),
        None => make(data_dir),
    });
    kept.map_err(|error| {
        format!("the console's token cannot be kept in {}: {error}; set CONSOLE_TOKEN", path(data_dir).display())
    })
}

fn make(data_dir: &Path) -> io::Result<SecretString> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let token = hex::encode(bytes);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path(data_dir))?;
    // The mode above is for new files only.
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok(SecretString::from(token))
}

/// Remembers where the console is, so that `status` and `dead-letters` find it.
pub(crate) fn note_console_url(data_dir: &Path, url: &str) {
    if let Err(error) = fs::write(data_dir.join(ADDRESS_FILE), url) {
        tracing::warn!(%error, "where the console is could not be noted; use --url");
    }
}

/// Where the console of the running, or last, process is.
pub(crate) fn console_url(data_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(data_dir.join(ADDRESS_FILE)).ok()?;
    text.starts_with("http://").then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("a/b");
        make_data_dir(&data).expect("is made");
        assert_eq!(fs::metadata(&data).expect("is there").permissions().mode() & 0o777, 0o700);
        let token = read_or_make(&data).expect("is made");
        assert_eq!(token.expose_secret().len(), 64);
        assert_eq!(fs::metadata(path(&data)).expect("is there").permissions().mode() & 0o777, 0o600);
        let again = read_or_make(&data).expect("is read");
        assert_eq!(token.expose_secret(), again.expose_secret());
    }

    #[test]
    fn an_empty_file_is_filled_and_a_readable_one_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(path(folder.path()), " \n").expect("is written");
        fs::set_permissions(path(folder.path()), Permissions::from_mode(0o644)).expect("is set");
        let token = read_or_make(folder.path()).expect("is made");
        assert_eq!(token.expose_secret().len(), 64);
        assert_eq!(fs::metadata(path(folder.path())).expect("is there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_address_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(console_url(folder.path()), None);
        note_console_url(folder.path(), "http://127.0.0.1:1");
        assert_eq!(console_url(folder.path()).as_deref(), Some("http://127.0.0.1:1"));
    }
}
