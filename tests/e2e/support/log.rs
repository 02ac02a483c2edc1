//! Law 6: personal data stays out of the log.

/// What people say in `sandbox::scenario` and in the tests' own notifications.
pub(super) const TEXTS_OF_THE_SCRIPT: [&str; 18] = [
    "Where is my parcel",
    "order number",
    "10-4711",
    "Courier says tomorrow",
    "It will be with you",
    "Quick and kind",
    "Wrong size",
    "Which size",
    "Size 42",
    "wrong one",
    "The zip is broken",
    "Broken zip",
    "send a photo",
    "How do the boots fit",
    "Like a glove",
    "We ordered together",
    "Do you ship",
    "Hello from the test",
];

/// Nothing of this stands in the text, and nothing panicked.
pub(super) fn check(log: &str, private: &[String]) {
    let panic = log.lines().find(|line| line.contains("panicked"));
    assert!(panic.is_none(), "{panic:?}");
    for line in log.lines() {
        for secret in private.iter().filter(|secret| !secret.is_empty()) {
            assert!(!holds_word(line, secret), "the log tells {secret:?}: {line}");
        }
    }
}

/// As a word of its own, in any case: names are short, and parts of other words are no names.
fn holds_word(line: &str, word: &str) -> bool {
    let (line, word) = (line.to_lowercase(), word.to_lowercase());
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(&word)
        .any(|(at, _)| !inside(line[..at].chars().next_back()) && !inside(line[at + word.len()..].chars().next()))
}

#[test]
fn names_are_found_and_words_are_not() {
    assert!(holds_word("event for Obi.", "obi"));
    assert!(!holds_word("mobile", "Obi"));
    let told = std::panic::catch_unwind(|| check("INFO sent to ann@shop.co", &["ann@shop.co".to_owned()]));
    assert!(told.is_err());
}
