//! What the tests' records hold: who wrote them, which of its records each is, and filler by which every byte is
//! checked when it is read.

/// A record's identity, used once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Which producer wrote it.
    pub producer: u32,
    /// Its place among that producer's records to the same partition, from 0.
    pub number: u64,
}

/// Bytes of a value without filler.
pub const STAMP_BYTES: usize = 12;

impl Stamp {
    /// The record's value, of `length` bytes (at least [`STAMP_BYTES`]).
    pub fn value(self, length: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(length.max(STAMP_BYTES));
        value.extend_from_slice(&self.producer.to_be_bytes());
        value.extend_from_slice(&self.number.to_be_bytes());
        let mut filler = Filler::of(self);
        while value.len() < length {
            let word = filler.next().to_le_bytes();
            let rest = (length - value.len()).min(word.len());
            value.extend_from_slice(&word[..rest]);
        }
        value
    }

    /// The identity in a value, if each of its bytes is as it was written.
    pub fn of(value: &[u8]) -> Option<Stamp> {
        let (producer, rest) = value.split_first_chunk()?;
        let number = rest.first_chunk()?;
        let stamp = Stamp { producer: u32::from_be_bytes(*producer), number: u64::from_be_bytes(*number) };
        (stamp.value(value.len()) == value).then_some(stamp)
    }
}

/// SplitMix64: incompressible, and the same everywhere.
struct Filler(u64);

impl Filler {
    fn of(stamp: Stamp) -> Filler {
        Filler(stamp.number ^ u64::from(stamp.producer) << 40)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_stamp_and_any_changed_byte_is_noticed() {
        let stamp = Stamp { producer: 7, number: 1 << 33 };
        for length in [STAMP_BYTES, 13, 100, 1000] {
            let mut value = stamp.value(length);
            assert_eq!(value.len(), length);
            assert_eq!(Stamp::of(&value), Some(stamp));
            if length > STAMP_BYTES {
                value[length - 1] ^= 1;
                assert_eq!(Stamp::of(&value), None);
            }
        }
        assert_eq!(Stamp::of(&[0; 11]), None);
    }
}
