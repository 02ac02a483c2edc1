//! Writing to the terminal.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};

use serde::Serialize;

use crate::failure::Failure;

/// One line on stdout. Whoever closed the pipe does not want it.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// One line on stderr.
pub(crate) fn complaint(text: impl AsRef<str>) {
    let _ = writeln!(stderr().lock(), "{}", text.as_ref());
}

/// A value as indented JSON on stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::bad(format!("no JSON: {error}")))?;
    line(text);
    Ok(())
}

/// Whether a person watches stdout.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Replaces the line that the cursor is in. For terminals.
pub(crate) fn redraw(text: &str) {
    let mut out = stdout().lock();
    let _ = write!(out, "\r\x1b[2K{text}");
    let _ = out.flush();
}

/// Rows in columns, two blanks between them.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let row_text = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(row_text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()], vec!["x".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  c\nx");
        assert_eq!(table(&[]), "");
    }
}
