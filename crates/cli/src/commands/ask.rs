//! Asking the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use secrecy::SecretString;

use crate::failure::Failure;

/// Goes on only after a yes. `otherwise` says how a script says it; `refused` what a no means.
pub(crate) fn confirm(question: &str, otherwise: &str, refused: &str) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::configuration(otherwise));
    }
    match line(&format!("{question} [y/N] ")).as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::bad(refused)),
    }
}

/// One line, without blanks around it. No answer is an empty one.
pub(crate) fn line(prompt: &str) -> String {
    let _ = write!(stderr().lock(), "{prompt}");
    let mut answer = String::new();
    let _ = stdin().lock().read_line(&mut answer);
    answer.trim().to_owned()
}

/// One line that is not shown while it is typed. Where stdin is no terminal it is read as it is.
pub(crate) fn hidden(prompt: &str) -> Result<SecretString, String> {
    let echo = Echo::off().map_err(|error| format!("the terminal cannot hide what is typed: {error}"))?;
    let typed = SecretString::from(line(prompt));
    drop(echo);
    // The line break was not shown either.
    let _ = writeln!(stderr().lock());
    Ok(typed)
}

/// The terminal as it was, to be put back.
struct Echo(Option<rustix::termios::Termios>);

impl Echo {
    fn off() -> std::io::Result<Self> {
        let input = stdin();
        if !input.is_terminal() {
            return Ok(Self(None));
        }
        let before = rustix::termios::tcgetattr(&input)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Flush, &quiet)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing can be done about a terminal that has gone away.
            let _ = rustix::termios::tcsetattr(stdin(), rustix::termios::OptionalActions::Flush, before);
        }
    }
}
