//! Where each key stands last, in a memory of fixed size (Kafka's `SkimpyOffsetMap`).
//!
//! The keys themselves are not kept, only 128 bits of a hash under a secret of this boot: two keys with the same hash
//! would lose one of their records, and whoever may choose keys (the names of consumer groups among them) must not be
//! able to find such a pair.

use crate::ids::Offset;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// Two words of hash, and the offset plus one; all zero where nothing is. An array, because a vector of zeroed arrays
/// is memory that the kernel gives only as it is touched.
type Entry = [u64; 3];

const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;
/// However small the memory is, so many keys fit: a map for none would never get anywhere.
const ENTRIES_MIN: u64 = 16;

/// See the module.
pub(crate) struct OffsetMap {
    entries: Vec<Entry>,
    used: usize,
    most: usize,
    key: [u64; 2],
    /// The last offset that the map speaks of: what lies behind it is not known here.
    latest: Option<Offset>,
}

impl std::fmt::Debug for OffsetMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OffsetMap({} of {} keys, to {:?})", self.used, self.most, self.latest)
    }
}

/// The map is full, and the key is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl OffsetMap {
    /// Of at most `bytes_max` of memory, filled up to `load_max`, for at most `keys_max` keys.
    pub fn new(bytes_max: u64, load_max: f64, keys_max: u64, secret: u64) -> OffsetMap {
        let load = if load_max.is_finite() { load_max.clamp(0.01, 1.0) } else { 0.9 };
        let wanted = (keys_max.min(1 << 40) as f64 / load) as u64 + 1;
        let entries = (bytes_max / ENTRY_BYTES).min(wanted).max(ENTRIES_MIN);
        let entries = usize::try_from(entries).expect("memory is addressed by a usize");
        // One is always free, so that every search ends.
        let most = ((entries as f64 * load) as usize).clamp(1, entries - 1);
        OffsetMap {
            entries: vec![[0; 3]; entries],
            used: 0,
            most,
            key: [secret, secret.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15],
            latest: None,
        }
    }

    /// Notes that `key` stands at `offset`, which is the largest so far.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.entries[at][2] == 0 {
            if self.used == self.most {
                return Err(Full);
            }
            self.used += 1;
        }
        let value = u64::try_from(offset.0).expect("offsets are not negative") + 1;
        self.entries[at] = [hash[0], hash[1], value];
        self.latest = self.latest.max(Some(offset));
        Ok(())
    }

    /// Where the key stands last, if it is known.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let value = self.entries[self.find(self.hash(key))][2];
        Some(Offset(value.checked_sub(1)?.cast_signed()))
    }

    /// Everything through `offset` was gone over.
    pub fn passed(&mut self, offset: Offset) {
        self.latest = self.latest.max(Some(offset));
    }

    /// The last offset that the map speaks of.
    pub fn latest(&self) -> Option<Offset> {
        self.latest
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }

    /// The place of a hash, or the free one where it would go.
    fn find(&self, hash: [u64; 2]) -> usize {
        let spread = u128::from(hash[0]) * self.entries.len() as u128;
        let mut at = usize::try_from(spread >> 64).expect("below the number of entries");
        loop {
            let entry = &self.entries[at];
            if entry[2] == 0 || entry[..2] == hash {
                return at;
            }
            at = if at + 1 == self.entries.len() { 0 } else { at + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_known_up_to_the_bound() {
        let mut map = OffsetMap::new(100 * ENTRY_BYTES, 0.9, u64::MAX, 5);
        for round in 0..3 {
            for key in 0..90_i64 {
                assert_eq!(map.put(&key.to_be_bytes(), Offset(round * 90 + key)), Ok(()));
            }
        }
        for key in 0..90_i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(180 + key)));
        }
        assert_eq!(map.put(b"one more", Offset(300)), Err(Full));
        assert_eq!(map.put(&7_i64.to_be_bytes(), Offset(301)), Ok(()), "a known key needs no room");
        assert_eq!((map.get(b"one more"), map.latest()), (None, Some(Offset(301))));
    }

    #[test]
    fn the_empty_key_is_a_key() {
        let mut map = OffsetMap::new(0, 0.9, 1, 0);
        assert_eq!(map.get(b""), None);
        map.put(b"", Offset(0)).expect("there is room");
        assert_eq!(map.get(b""), Some(Offset(0)));
    }

    #[test]
    fn a_map_is_no_larger_than_the_keys_that_can_come_and_never_too_small_for_one() {
        assert_eq!(OffsetMap::new(u64::MAX, 0.5, 100, 0).entries.len(), 201);
        for load in [0.0, -1.0, f64::NAN, 1.0, 7.0] {
            let mut map = OffsetMap::new(1, load, u64::MAX, 0);
            assert_eq!(map.put(b"k", Offset(1)), Ok(()), "{load}");
            assert_eq!(map.get(b"other"), None, "{load}");
        }
    }
}
