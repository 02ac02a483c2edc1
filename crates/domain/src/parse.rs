//! Small helpers of the parsers.

use serde::Deserialize;

/// Reads JSON. Checking the encoding once for all is much faster than once for each string; bytes that are not UTF-8
/// throughout still read, where the broken text is in a field of no interest.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// Says where JSON went wrong without quoting it: serde's own message can hold the offending value.
pub fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax => "not JSON",
        Category::Eof => "JSON that ends early",
        Category::Data => "JSON of another shape",
        Category::Io => "unreadable",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
