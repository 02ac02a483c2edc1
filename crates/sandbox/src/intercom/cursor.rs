//! Page cursors as Intercom makes them: base64 of a JSON list. They are positions in a live index, not snapshots.

use std::fmt;

use serde_json::{Value, json};

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Sort value of the last item, Unix seconds.
    pub(crate) value: i64,
    pub(crate) id: u64,
    /// Number of the page it leads to.
    pub(crate) page: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = json!([self.value.saturating_mul(1000), self.id.to_string(), self.page]);
        f.write_str(&encode(list.to_string().as_bytes()))
    }
}

impl Cursor {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let list: Vec<Value> = serde_json::from_slice(&decode(text)?).ok()?;
        let [value, id, page] = list.as_slice() else { return None };
        Some(Self { value: value.as_i64()?.div_euclid(1000), id: id.as_str()?.parse().ok()?, page: page.as_u64()? })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { '=' } else { char::from(symbol) });
        }
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.chunks(4) {
        let mut word = 0_u32;
        for symbol in chunk {
            let value = ALPHABET.iter().position(|known| known == symbol)?;
            word = word << 6 | u32::try_from(value).ok()?;
        }
        word <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_rubbish_does_not() {
        for id in [0, 7, 42, 215_472_621_202_693] {
            let cursor = Cursor { value: 1_768_032_620, id, page: 2 };
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        let published = "WzE3NjgwMzI2MjAwMDAsIjIxNTQ3MjYyMTIwMjY5MyIsMl0=";
        assert_eq!(Cursor::parse(published).map(|cursor| cursor.id), Some(215_472_621_202_693));
        for rubbish in ["", "?", "AAAA", "WzFd", "a"] {
            assert_eq!(Cursor::parse(rubbish), None);
        }
    }
}
