//! The import of the past.

/// Name of the document that holds the import's checkpoint.
pub const CHECKPOINT: &str = "history";
