//! What went wrong, in words, and whether it went wrong for one call or for all that share a transaction.

use app::ports::StoreError;
use rusqlite::{Error, ErrorCode};

/// Which store, for people.
const STORE: &str = "SQLite file";

/// A failure inside a transaction. Never carries values from rows: they may be personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Somebody else holds the write lock. The connection is fine.
    Locked,
    /// There is no room. The connection is fine, the transaction is not.
    Full,
    /// The connection or the file cannot be trusted until it was opened again.
    Broken(String),
    /// Nobody is there to do the work.
    Stopped(&'static str),
    /// One row cannot be read; other calls are not affected.
    Unreadable(String),
}

impl Trouble {
    /// Whether every call of the transaction shares it.
    pub(crate) fn is_for_all(&self) -> bool {
        !matches!(self, Self::Unreadable(_))
    }

    /// Whether a fresh connection is a better start for the next try.
    pub(crate) fn wants_reopening(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    fn detail(&self) -> String {
        match self {
            Self::Locked => "another program keeps it locked; close that program".to_owned(),
            Self::Full => "the disk is full; free some space".to_owned(),
            Self::Broken(detail) | Self::Unreadable(detail) => detail.clone(),
            Self::Stopped(detail) => (*detail).to_owned(),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail())
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        let detail = trouble.detail();
        match trouble {
            Trouble::Unreadable(_) => Self::Unreadable { store: STORE, detail },
            _ => Self::Unavailable { store: STORE, detail },
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        // Texts of conversion errors quote values, so of those only the column is told.
        match error {
            Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked,
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::ConstraintViolation => {
                    Self::Unreadable(format!("a row contradicts another one (code {})", failure.extended_code))
                }
                code => Self::Broken(format!("{} (code {})", sentence(code), failure.extended_code)),
            },
            Error::FromSqlConversionFailure(column, ..)
            | Error::IntegralValueOutOfRange(column, _)
            | Error::InvalidColumnType(column, ..) => {
                Self::Unreadable(format!("column {column} of a row holds a value of another kind"))
            }
            Error::QueryReturnedNoRows => Self::Unreadable("a row that must be there is missing".to_owned()),
            other => Self::Broken(format!("unexpected answer of the SQLite library: {}", kind(&other))),
        }
    }
}

fn sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::SystemIoFailure => "the disk answers with errors",
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => "it is read-only; check owner and mode of file and folder",
        ErrorCode::CannotOpen => "it cannot be opened; check the path, owner and mode of file and folder",
        ErrorCode::DatabaseCorrupt => "its content is damaged; stop, keep a copy, and restore it",
        ErrorCode::NotADatabase => "it is not an SQLite database; move it away or choose another path",
        ErrorCode::OutOfMemory => "the machine is out of memory",
        _ => "SQLite refused the call",
    }
}

/// The name of the variant alone: its fields may hold values or whole statements.
fn kind(error: &Error) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn errors_do_not_quote_values() {
        let connection = Connection::open_in_memory().expect("memory");
        let error = connection
            .query_row("SELECT 'jane@example.com'", [], |row| row.get::<_, i64>(0))
            .expect_err("a text is no number");
        let shown = StoreError::from(Trouble::from(error)).to_string();
        assert!(!shown.contains("jane"), "{shown}");
        assert!(shown.contains("column 0"), "{shown}");
    }

    #[test]
    fn only_what_concerns_one_row_spares_the_others() {
        assert!(!Trouble::Unreadable(String::new()).is_for_all());
        assert!(Trouble::Full.is_for_all() && Trouble::Locked.is_for_all());
        assert!(!Trouble::Full.wants_reopening(), "a full disk says nothing against the connection");
    }
}
