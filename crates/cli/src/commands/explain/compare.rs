//! What other settings would change in what is sent: two explanations, line by line.

use std::path::Path;

use app::settings::Settings;

use crate::failure::Failure;

/// Settings of a file, checked as at a start.
pub(super) fn read_settings(path: &Path) -> Result<Settings, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::configuration(format!("the file {} cannot be read: {error}", path.display())))?;
    Settings::parse(&text).map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))
}

/// The second text against the first: `-` is no longer sent, `+` is new, the rest is shown around it. Empty when they are equal.
pub(super) fn difference(now: &str, planned: &str) -> String {
    if now == planned {
        return String::new();
    }
    let (now, planned): (Vec<&str>, Vec<&str>) = (now.lines().collect(), planned.lines().collect());
    let common = lengths(&now, &planned);
    let (mut at, mut to, mut lines) = (0, 0, Vec::new());
    while at < now.len() || to < planned.len() {
        if at < now.len() && to < planned.len() && now[at] == planned[to] {
            lines.push(format!("  {}", now[at]));
            (at, to) = (at + 1, to + 1);
        } else if to == planned.len() || (at < now.len() && common[at + 1][to] >= common[at][to + 1]) {
            lines.push(format!("- {}", now[at]));
            at += 1;
        } else {
            lines.push(format!("+ {}", planned[to]));
            to += 1;
        }
    }
    lines.join("\n")
}

/// Longest common rest of the lines from each place on.
fn lengths(now: &[&str], planned: &[&str]) -> Vec<Vec<u32>> {
    let mut common = vec![vec![0; planned.len() + 1]; now.len() + 1];
    for at in (0..now.len()).rev() {
        for to in (0..planned.len()).rev() {
            common[at][to] = match now[at] == planned[to] {
                true => common[at + 1][to + 1] + 1,
                false => common[at + 1][to].max(common[at][to + 1]),
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_goes_and_what_comes() {
        assert_eq!(difference("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d");
        assert_eq!(difference("a", "a"), "");
        assert_eq!(difference("", "a"), "+ a");
        assert_eq!(difference("a\nb", ""), "- a\n- b");
    }
}
