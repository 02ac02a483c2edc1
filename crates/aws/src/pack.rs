//! Making bytes smaller: SQS and DynamoDB both charge and refuse by size, and JSON deflates to a tenth.

use std::io::Read as _;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};

/// Deflated; `None` where that cannot be done, which no input is known to cause.
pub(crate) fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    DeflateEncoder::new(bytes, Compression::default()).read_to_end(&mut packed).ok()?;
    Some(packed)
}

/// What was packed; `None` for bytes that were not, and for more than `most` bytes: a few bytes can inflate to a million.
pub(crate) fn unpack(packed: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = DeflateDecoder::new(packed).take(most.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (read as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn what_was_packed_comes_back_and_no_more_than_that() {
        let bytes = vec![b'x'; 100_000];
        let packed = pack(&bytes).expect("packs");
        assert!(packed.len() < 1_000);
        assert_eq!(unpack(&packed, 100_000), Some(bytes));
        assert_eq!(unpack(&packed, 99_999), None);
        assert_eq!(unpack(b"not packed", 100), None);
    }
}
