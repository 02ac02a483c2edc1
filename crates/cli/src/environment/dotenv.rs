//! The process environment above a `.env` file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

/// Variables of both sources; the environment wins.
#[derive(Default)]
pub(crate) struct Variables {
    file: HashMap<String, String>,
}

impl Variables {
    /// Reads `.env` in the working directory, where there is one.
    pub(crate) fn load() -> Result<Self, String> {
        Self::read(Path::new(".env"))
    }

    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Ok(Self::default()),
            Err(_) => return Err(format!("{} cannot be read; make it readable or remove it", path.display())),
        };
        let mut file = HashMap::new();
        for line in lines {
            // The error would repeat the line, and the line may hold a secret.
            let (name, value) = line.map_err(|_| {
                let last = if file.is_empty() { String::new() } else { format!(" (after {} good ones)", file.len()) };
                format!("{} holds a line that is not NAME=value{last}; put the value in single quotes", path.display())
            })?;
            file.insert(name, value);
        }
        Ok(Self { file })
    }

    /// The value that counts.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).or_else(|| self.file.get(name).map(OsString::from))
    }
}
