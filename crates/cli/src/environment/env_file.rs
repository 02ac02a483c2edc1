//! Writing variables into a `.env` file: for its owner alone, all or nothing, and without touching other lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

/// A name and what it is to be.
pub(crate) type Assignment = (&'static str, SecretString);

/// The names that have another value in the text: whoever replaces those has to be asked.
pub(crate) fn differing(text: &str, wanted: &[Assignment]) -> Vec<&'static str> {
    let values: Vec<(String, String)> = dotenvy::from_read_iter(text.as_bytes()).flatten().collect();
    let other = |(name, value): &&Assignment| {
        values.iter().any(|(known, there)| known == name && there != value.expose_secret() && !there.trim().is_empty())
    };
    wanted.iter().filter(other).map(|(name, _)| *name).collect()
}

/// The text with these values: a line of the same name is replaced in its place, the others stay, new ones come at the end.
pub(crate) fn merged(text: &str, wanted: &[Assignment]) -> Result<String, String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, value) in wanted {
        let line = format!("{name}={}", quoted(name, value)?);
        let mut places = (0..lines.len()).filter(|at| assigns(&lines[*at], name)).collect::<Vec<_>>().into_iter();
        match places.next() {
            Some(at) => lines[at] = line,
            None => lines.push(line),
        }
        // The last of several lines would win.
        for at in places.rev() {
            lines.remove(at);
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn assigns(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// Inside single quotes nothing has a meaning.
fn quoted(name: &str, value: &SecretString) -> Result<String, String> {
    let value = value.expose_secret();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'') {
        return Err(format!("{name} holds blanks, quotes or characters beyond ASCII; copy it again"));
    }
    Ok(format!("'{value}'"))
}

/// The text of the file; empty where there is none.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

/// Replaces the file, mode 600. If we die before the rename, the old file is there as it was, and a leftover beside it.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link stays a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(folder, &path)?;
    let written = fill(&beside, text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // The leftover holds secrets.
        let _ = fs::remove_file(&beside);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn fill(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn beside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let random = getrandom::u64().map_err(io::Error::other)?;
    Ok(folder.join(format!("{name}.{random:016x}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn wanted() -> Vec<Assignment> {
        vec![("KEY", SecretString::from("new$1")), ("TOKEN", SecretString::from("t"))]
    }

    #[test]
    fn other_lines_stay_where_they_are() {
        let before = "# mine\nexport KEY = \"old\"\nOTHER=1\nKEY=older\nKEYRING=x";
        let after = merged(before, &wanted()).expect("fits");
        assert_eq!(after, "# mine\nKEY='new$1'\nOTHER=1\nKEYRING=x\nTOKEN='t'\n");
        assert_eq!(merged(&after, &wanted()).expect("fits"), after, "again changes nothing");
        assert_eq!(differing(before, &wanted()), ["KEY"]);
        assert!(differing(&after, &wanted()).is_empty());
        assert!(differing("KEY=\n", &wanted()).is_empty(), "a blank one may be filled");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = merged("", &wanted()).expect("fits");
        let read: Vec<(String, String)> =
            dotenvy::from_read_iter(text.as_bytes()).map(|line| line.expect("a line")).collect();
        assert_eq!(read, [("KEY".to_owned(), "new$1".to_owned()), ("TOKEN".to_owned(), "t".to_owned())]);
        for bad in ["", "two words", "it's", "ü"] {
            let error = merged("", &[("KEY", SecretString::from(bad))]).expect_err("refused");
            assert!(error.contains("KEY") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
    }

    #[test]
    fn the_file_is_its_owner_s_alone_and_a_link_stays_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("real"), folder.path().join(".env"));
        fs::write(&file, "A=1\n").expect("is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("is set");
        std::os::unix::fs::symlink(&file, &link).expect("is made");
        write(&link, "B=2\n").expect("is written");
        assert!(fs::symlink_metadata(&link).expect("is there").is_symlink());
        assert_eq!(read(&file).expect("is read"), "B=2\n");
        assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("is listed").count(), 2, "no leftover");
        assert_eq!(read(&folder.path().join("none")).expect("no error"), "");
    }
}
