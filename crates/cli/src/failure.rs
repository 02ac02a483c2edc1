//! How a command ends when it does not end well.

use std::fmt;

use crate::environment::EnvironmentError;

/// One sentence for people, and an exit code for scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The thing asked about is bad, or did not work: exit code 1.
    Bad(String),
    /// The command or the environment is wrong: exit code 2.
    Configuration(String),
}

impl Failure {
    pub(crate) fn bad(message: impl fmt::Display) -> Self {
        Self::Bad(message.to_string())
    }

    pub(crate) fn configuration(message: impl fmt::Display) -> Self {
        Self::Configuration(message.to_string())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Bad(_) => 1,
            Self::Configuration(_) => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(message) | Self::Configuration(message) => f.write_str(message),
        }
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        Self::Configuration(error.to_string())
    }
}
