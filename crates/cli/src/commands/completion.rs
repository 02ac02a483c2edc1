//! `completion`: a script that completes commands and options, made from their definition.

use std::io::{Write as _, stdout};

use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionArguments};
use crate::failure::Failure;

/// Prints it.
pub(crate) fn completion(arguments: &CompletionArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "intercom-klaviyo", &mut script);
    // Whoever closed the pipe does not want it.
    let _ = stdout().lock().write_all(&script);
    Ok(())
}
