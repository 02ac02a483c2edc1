//! Text: HTML to plain, and cutting on character boundaries.

use std::borrow::Cow;

/// Longest string in an event or profile property, in bytes.
pub const MAX_STRING_BYTES: usize = 8 * 1024;

/// What is put at the end of a string that was cut.
pub const CUT_MARK: &str = "… [cut]";

/// Text without tags and entities. Bodies are HTML before API 2.15 and plain text since; plain text passes unchanged, and so
/// does a `<` that does not begin a tag.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.bytes().fold(false, |found, byte| found | (byte == b'<') | (byte == b'&')) {
        return Cow::Borrowed(text.trim());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('<') { skip_tag(rest, &mut out) } else { decode_entity(rest, &mut out) };
    }
    out.push_str(rest);
    Cow::Owned(collapse(&out))
}

/// Skips one tag; block ends become line breaks. A `<` that begins no tag is kept.
fn skip_tag<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let begins_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
    let Some(end) = rest.find('>').filter(|_| begins_tag) else {
        out.push('<');
        return &rest[1..];
    };
    let name: String = rest[1..end]
        .trim_start_matches('/')
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    if matches!(name.as_str(), "br" | "p" | "div" | "li" | "tr" | "ul" | "ol" | "h1" | "h2" | "h3") {
        out.push('\n');
    }
    &rest[end + 1..]
}

/// Decodes the entity at the start, or keeps the `&`.
fn decode_entity<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some(end) = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(at, _)| at) else {
        out.push('&');
        return &rest[1..];
    };
    let decoded = match &rest[1..end] {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" | "#39" => Some('\''),
        "nbsp" => Some(' '),
        name => numeric_entity(name),
    };
    match decoded {
        Some(c) => {
            out.push(c);
            &rest[end + 1..]
        }
        None => {
            out.push('&');
            &rest[1..]
        }
    }
}

fn numeric_entity(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

/// Trims every line and drops empty ones.
fn collapse(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Cuts to at most `max_bytes`, mark included, on a character boundary.
pub fn cut(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let mut end = max_bytes.saturating_sub(CUT_MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}{CUT_MARK}", &text[..end]))
}

/// Cuts to at most `max_chars` characters before the mark.
pub fn cut_chars(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}{CUT_MARK}", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_plain(html: &str, expected: &str) {
        assert_eq!(plain(html), expected);
    }

    #[test]
    fn html_becomes_text() {
        check_plain("<p class=\"no-margin\">Hello <b>you</b></p>\n<p>There &amp; here</p>", "Hello you\nThere & here");
        check_plain("a<br>b<br/>c", "a\nb\nc");
        check_plain("<p></p>", "");
        check_plain("&#39;x&#x27; &nbsp; &unknown; & co", "'x'   &unknown; & co");
    }

    #[test]
    fn plain_text_passes() {
        check_plain("1 < 2 and 3 > 2", "1 < 2 and 3 > 2");
        check_plain("I <3 you", "I <3 you");
        check_plain("  plain  ", "plain");
        check_plain("open <p", "open <p");
    }

    #[test]
    fn cuts_on_character_boundaries() {
        let text = "é".repeat(10);
        let short = cut(&text, 19);
        assert!(short.len() <= 19 && short.ends_with(CUT_MARK), "{short}");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut_chars("日本語", 2), "日本… [cut]");
        assert_eq!(cut_chars("日本", 2), "日本");
    }
}
