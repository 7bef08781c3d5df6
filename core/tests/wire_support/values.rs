//! Random requests of every served API key, in every version that the protocol crate has of it, made as values of
//! the crate's own types: what its encoders then write owes nothing to the guard's table.

mod administration;
mod groups;
mod requests;

use bytes::Bytes;
use kafka_protocol::protocol::{Request, StrBytes};
use std::{collections::BTreeMap, fmt::Debug};
use uuid::Uuid;

pub use requests::visit_served;

/// Something to do with each served key.
pub trait Visitor {
    /// `random` makes a request of this key.
    fn request<T: Request + Debug + PartialEq>(&mut self, random: fn(&mut Values) -> T);
}

/// A source of random values (splitmix64): the same from the same seed, for one version.
pub struct Values {
    state: u64,
    pub version: i16,
}

impl Values {
    pub fn new(seed: u64, version: i16) -> Values {
        Values { state: seed, version }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn i8(&mut self) -> i8 {
        self.next() as i8
    }

    fn i16(&mut self) -> i16 {
        self.next() as i16
    }

    fn i32(&mut self) -> i32 {
        self.next() as i32
    }

    fn i64(&mut self) -> i64 {
        self.next().cast_signed()
    }

    fn boolean(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    fn text(&mut self) -> StrBytes {
        let letters = ["a", "topic-", "_", "é", "日本", "\u{1f980}"];
        let length = if self.next().is_multiple_of(50) { 200 } else { self.below(6) };
        StrBytes::from_string((0..length).map(|_| letters[self.below(letters.len())]).collect())
    }

    fn bytes(&mut self) -> Bytes {
        let length = if self.next().is_multiple_of(20) { 20_000 } else { self.below(130) };
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn nullable<V>(&mut self, value: impl FnOnce(&mut Values) -> V) -> Option<V> {
        if self.boolean() { Some(value(self)) } else { None }
    }

    fn list<V>(&mut self, mut element: impl FnMut(&mut Values) -> V) -> Vec<V> {
        let length = if self.next().is_multiple_of(50) { 130 } else { self.below(4) };
        // Long lists of long lists would only take time.
        let length = if length > 10 && self.state.is_multiple_of(3) { 3 } else { length };
        (0..length).map(|_| element(self)).collect()
    }

    /// Seldom any; tags from `first_unknown`, below which this version or another knows them.
    fn tagged_fields(&mut self, first_unknown: i32) -> BTreeMap<i32, Bytes> {
        let count = if self.next().is_multiple_of(8) { self.below(8) } else { 0 };
        (0..count)
            .map(|_| {
                let tag = first_unknown + self.below(1000) as i32;
                let length = self.below(20);
                (tag, (0..length).map(|_| self.next() as u8).collect())
            })
            .collect()
    }
}
