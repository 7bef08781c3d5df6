//! The quick way over what lies whole in one window of bytes: the reader behind it is asked once, not for every byte.
//!
//! It accepts what the byte-wise way accepts and gives no reasons. Before whatever is wrong, or reaches beyond the
//! window, it stops; the byte-wise way then goes over that part from its start.

use super::RecordFacts;

/// The record that `window` begins with, and the bytes it takes together with its length.
pub(super) fn record(window: &[u8], base_timestamp_ms: i64) -> Option<(usize, RecordFacts)> {
    let mut prefix = Cursor { window, at: 0 };
    let length = usize::try_from(prefix.varint()?).ok()?;
    let end = prefix.at.checked_add(length)?;
    // Behind the attributes, a byte of any value.
    let mut fields = Cursor { window: window.get(..end)?, at: prefix.at + 1 };
    let timestamp_ms = base_timestamp_ms.checked_add(fields.varlong()?)?;
    let offset_delta = fields.varint()?;
    let has_key = fields.skip_nullable()?;
    fields.skip_nullable()?;
    let count = usize::try_from(fields.varint()?).ok()?;
    let whole = fields.skip_headers(count) == count && fields.at == end;
    whole.then_some((end, RecordFacts { index: 0, offset_delta, timestamp_ms, has_key }))
}

/// How many of `count` headers lie whole at the start of `window`, and the bytes they take.
pub(super) fn headers(window: &[u8], count: usize) -> (usize, usize) {
    let mut cursor = Cursor { window, at: 0 };
    let skipped = cursor.skip_headers(count);
    (skipped, cursor.at)
}

/// A place in a window. A skipped field may lead beyond its end, from where nothing can be read.
///
/// The small steps are inlined by force: left to itself, the compiler calls some of them for every field.
struct Cursor<'a> {
    window: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Stops before the first that is not whole and right, and says how many it passed.
    fn skip_headers(&mut self, count: usize) -> usize {
        for index in 0..count {
            let from = self.at;
            // A batch has room for more of the smallest than of any other, empty with an empty value or none, so
            // they must cost the least. The other way, each length is waited for before the next place is known.
            if let Some([0, 0 | 1]) = self.window.get(from..).and_then(<[u8]>::first_chunk) {
                self.at = from + 2;
            } else if self.skip_nullable() != Some(true)
                || self.skip_nullable().is_none()
                || self.at > self.window.len()
            {
                self.at = from;
                return index;
            }
        }
        count
    }

    /// Whether the field is there (-1: null).
    #[inline(always)]
    fn skip_nullable(&mut self) -> Option<bool> {
        let length = self.varint()?;
        if length == -1 {
            return Some(false);
        }
        // Two halves of the address space at most: a place within the window, and an i32.
        self.at += usize::try_from(length).ok()?;
        Some(true)
    }

    #[inline(always)]
    fn varint(&mut self) -> Option<i32> {
        // What the fifth byte has beyond 32 bits is dropped, as byte by byte.
        let value = u32::try_from(self.unsigned(5)? & u64::from(u32::MAX)).ok()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline(always)]
    fn varlong(&mut self) -> Option<i64> {
        let value = self.unsigned(10)?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline(always)]
    fn unsigned(&mut self, bytes_max: usize) -> Option<u64> {
        let first = *self.window.get(self.at)?;
        self.at += 1;
        if first < 0x80 { Some(u64::from(first)) } else { self.rest_of_unsigned(first, bytes_max) }
    }

    fn rest_of_unsigned(&mut self, first: u8, bytes_max: usize) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        for index in 1..bytes_max {
            let byte = *self.window.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
