//! What the records hold, and batches of it made at the cost of a copy and a checksum.

use crate::clock::unix_ms;
use bytes::Bytes;
use corelane_core::{
    ids::{ProducerEpoch, ProducerId},
    records::{Batch, BatchBuilder, Codec, NewRecord, compress},
};

/// Kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Payload {
    /// Random bytes, which no codec makes smaller.
    Random,
    /// English-like words and numbers, which codecs make about three times smaller.
    Text,
}

/// Bytes at the start of a value that carry its [`Stamp`]; a value with a stamp is no shorter.
pub const STAMP_BYTES: usize = 16;

/// What an end-to-end measurement carries in each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Scheduled arrival, on this process's clock.
    pub scheduled_ns: u64,
    /// Of the run: records of an earlier one in the same topic are not counted.
    pub run: u64,
}

impl Stamp {
    /// Reads the stamp of a value, if it is long enough for one.
    pub fn read(value: &[u8]) -> Option<Stamp> {
        let (scheduled, rest) = value.split_first_chunk()?;
        let (run, _) = rest.split_first_chunk()?;
        Some(Stamp { scheduled_ns: u64::from_be_bytes(*scheduled), run: u64::from_be_bytes(*run) })
    }

    fn write(self, value: &mut [u8]) {
        value[..8].copy_from_slice(&self.scheduled_ns.to_be_bytes());
        value[8..STAMP_BYTES].copy_from_slice(&self.run.to_be_bytes());
    }
}

/// A small generator of reproducible noise (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub struct Noise(u64);

impl Noise {
    /// From a seed.
    pub fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % bound as u64).expect("below a usize")
    }
}

impl Payload {
    /// Fills a value.
    pub fn fill(self, noise: &mut Noise, value: &mut Vec<u8>, bytes: usize) {
        const WORDS: [&str; 24] = [
            "order",
            "customer",
            "shipped",
            "the",
            "of",
            "and",
            "invoice",
            "amount",
            "pending",
            "warehouse",
            "a",
            "status",
            "created",
            "updated",
            "delivery",
            "address",
            "payment",
            "in",
            "priority",
            "normal",
            "retry",
            "session",
            "region",
            "event",
        ];
        value.clear();
        while value.len() < bytes {
            match self {
                Payload::Random => value.extend_from_slice(&noise.next_u64().to_le_bytes()),
                Payload::Text => {
                    value.extend_from_slice(WORDS[noise.below(WORDS.len())].as_bytes());
                    value.push(b' ');
                    if noise.below(6) == 0 {
                        value.extend_from_slice(noise.below(100_000).to_string().as_bytes());
                        value.push(b' ');
                    }
                }
            }
        }
        value.truncate(bytes);
    }
}

/// Who sends a batch, for idempotence: producer id, epoch, and sequence of the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Given by the broker.
    pub id: ProducerId,
    /// Given by the broker.
    pub epoch: ProducerEpoch,
    /// Of the first record.
    pub base_sequence: i32,
}

/// A full batch made once, of which any batch up to its number of records is a prefix with another header. Making
/// each record anew would cost more CPU than the broker needs to store it.
#[derive(Debug)]
pub struct Template {
    codec: Codec,
    value_bytes: usize,
    body: Vec<u8>,
    /// Where each record ends in `body`.
    ends: Vec<usize>,
    scratch: Vec<u8>,
}

/// Positions in the header of a v2 batch (KIP-98).
mod at {
    pub const LENGTH: usize = 8;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORD_COUNT: usize = 57;
    pub const RECORDS: usize = 61;
}

impl Template {
    /// Of `records` records with values of `value_bytes` and keys of `key_bytes`; 0 is none.
    ///
    /// # Panics
    /// When `records` is 0, or the batch would be 2 GiB or longer: options are bounded far below.
    pub fn new(
        payload: Payload,
        codec: Codec,
        records: u64,
        (key_bytes, value_bytes): (usize, usize),
        seed: u64,
    ) -> Template {
        assert!(records > 0, "a batch without records");
        let mut noise = Noise::new(seed);
        let mut value = Vec::with_capacity(value_bytes + 16);
        let mut builder = BatchBuilder::new();
        let mut ends = Vec::new();
        let mut key = Vec::with_capacity(key_bytes + 8);
        for _ in 0..records {
            Payload::Random.fill(&mut noise, &mut key, key_bytes);
            payload.fill(&mut noise, &mut value, value_bytes);
            let key = (key_bytes > 0).then_some(&key[..]);
            builder.push(NewRecord { timestamp_ms: 0, key, value: Some(&value), headers: &[] });
            ends.push(builder.bytes() - at::RECORDS);
        }
        let whole = builder.build();
        Template { codec, value_bytes, body: whole[at::RECORDS..].to_vec(), ends, scratch: Vec::new() }
    }

    /// Records of the largest batch.
    pub fn records(&self) -> u64 {
        self.ends.len() as u64
    }

    /// A batch of `count` records with the time of now. `stamps` gives what the record in each place carries, if
    /// anything.
    ///
    /// # Panics
    /// When `count` is 0 or more than [`records`](Self::records), or a stamp does not fit into a value.
    pub fn batch(
        &mut self,
        count: u64,
        sender: Option<Sender>,
        stamps: Option<&dyn Fn(u64) -> Stamp>,
    ) -> Bytes {
        let places = usize::try_from(count).expect("no more than the template has");
        let end = self.ends[places - 1];
        if let Some(stamp_of) = stamps {
            for (place, end) in (0..count).zip(&self.ends) {
                // Behind the value stands only the number of headers, 0, in one byte.
                let value = end - 1 - self.value_bytes;
                stamp_of(place).write(&mut self.body[value..end - 1]);
            }
        }
        self.scratch.clear();
        self.scratch.resize(at::RECORDS, 0);
        match self.codec {
            Codec::None => self.scratch.extend_from_slice(&self.body[..end]),
            codec => compress::compress(codec, &mut &self.body[..end], &mut self.scratch)
                .expect("memory to memory"),
        }
        let records = i32::try_from(count).expect("records of a batch of less than 2 GiB");
        self.put_header(records, sender);
        Bytes::copy_from_slice(&self.scratch)
    }

    fn put_header(&mut self, records: i32, sender: Option<Sender>) {
        let now_ms = unix_ms();
        let none = Sender { id: ProducerId(-1), epoch: ProducerEpoch(-1), base_sequence: -1 };
        let sender = sender.unwrap_or(none);
        let length = i32::try_from(self.scratch.len() - at::LENGTH - 4).expect("a batch of less than 2 GiB");
        let mut put = |position: usize, bytes: &[u8]| {
            self.scratch[position..position + bytes.len()].copy_from_slice(bytes);
        };
        put(at::LENGTH, &length.to_be_bytes());
        put(at::LENGTH + 4, &(-1_i32).to_be_bytes()); // leader epoch: the broker's to set
        put(at::CRC - 1, &[2]);
        put(at::ATTRIBUTES, &self.codec.number().to_be_bytes());
        put(at::LAST_OFFSET_DELTA, &(records - 1).to_be_bytes());
        put(at::BASE_TIMESTAMP, &now_ms.to_be_bytes());
        put(at::MAX_TIMESTAMP, &now_ms.to_be_bytes());
        put(at::PRODUCER_ID, &sender.id.0.to_be_bytes());
        put(at::PRODUCER_EPOCH, &sender.epoch.0.to_be_bytes());
        put(at::BASE_SEQUENCE, &sender.base_sequence.to_be_bytes());
        put(at::RECORD_COUNT, &records.to_be_bytes());
        let crc = crc32c::crc32c(&self.scratch[at::ATTRIBUTES..]);
        self.scratch[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Calls `visit` with the value of each record of an uncompressed batch (empty for null).
///
/// # Errors
/// A text, when the records are not what the header says.
pub fn values<'a>(batch: &Batch<'a>, mut visit: impl FnMut(&'a [u8])) -> Result<(), &'static str> {
    const CUT_OFF: &str = "a record is cut off";
    if batch.header().codec() != Ok(Codec::None) {
        return Err("a compressed batch where none was sent");
    }
    let mut rest = batch.body();
    for _ in 0..batch.header().record_count() {
        let length = usize::try_from(varint(&mut rest).ok_or(CUT_OFF)?).map_err(|_| CUT_OFF)?;
        let (mut record, behind) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
        rest = behind;
        record = record.get(1..).ok_or(CUT_OFF)?; // attributes
        varint(&mut record).ok_or(CUT_OFF)?; // timestamp delta
        varint(&mut record).ok_or(CUT_OFF)?; // offset delta
        nullable(&mut record).ok_or(CUT_OFF)?;
        visit(nullable(&mut record).ok_or(CUT_OFF)?);
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn nullable<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(bytes)?;
    let (field, rest) = bytes.split_at_checked(usize::try_from(length.max(0)).ok()?)?;
    *bytes = rest;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::records::{Batches, Scratch, walk};
    use std::ops::ControlFlow;

    fn only(bytes: &Bytes) -> Batch<'_> {
        let batches: Vec<_> = Batches::new(bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(batches.len(), 1);
        batches[0]
    }

    #[test]
    fn every_prefix_of_a_template_is_a_valid_batch_in_every_codec() {
        for codec in Codec::ALL {
            let mut template = Template::new(Payload::Text, codec, 150, (0, 40), 1);
            for count in [1, 2, 64, 65, 150] {
                let bytes = template.batch(count, None, None);
                let batch = only(&bytes);
                assert!(batch.checksum_matches(), "{codec:?}");
                assert_eq!(i64::from(batch.header().record_count()), count as i64);
                assert_eq!(i64::from(batch.header().last_offset_delta()), count as i64 - 1);
                assert_eq!(batch.header().producer(), None);
                let mut next = 0;
                walk::walk(&batch, &mut Scratch::new(), |facts| {
                    assert_eq!(facts.offset_delta, next);
                    assert_eq!(facts.timestamp_ms, batch.header().max_timestamp_ms());
                    next += 1;
                    ControlFlow::Continue(())
                })
                .unwrap();
                assert_eq!(i64::from(next), count as i64);
            }
        }
    }

    #[test]
    fn sender_and_stamps_arrive_as_given_beside_keys_or_none() {
        for key_bytes in [0, 1, 16] {
            let mut template = Template::new(Payload::Random, Codec::None, 300, (key_bytes, STAMP_BYTES), 7);
            let sender = Sender { id: ProducerId(9), epoch: ProducerEpoch(2), base_sequence: 77 };
            let stamp = |place| Stamp { scheduled_ns: 1000 + place, run: 5 };
            let bytes = template.batch(300, Some(sender), Some(&stamp));
            let batch = only(&bytes);
            assert!(batch.checksum_matches());
            let producer = batch.header().producer().unwrap();
            assert_eq!((producer.id, producer.epoch, producer.base_sequence), (sender.id, sender.epoch, 77));
            let mut read = Vec::new();
            values(&batch, |value| read.push(Stamp::read(value).unwrap())).unwrap();
            assert_eq!(read, (0..300).map(stamp).collect::<Vec<_>>());
        }
    }

    #[test]
    fn random_payload_does_not_compress_and_text_does() {
        let bytes =
            |payload, codec| Template::new(payload, codec, 100, (0, 1000), 3).batch(100, None, None).len();
        assert!(bytes(Payload::Random, Codec::Zstd) > 99_000);
        assert!(bytes(Payload::Text, Codec::Zstd) < 50_000);
    }

    #[test]
    fn values_of_a_damaged_batch_are_an_error() {
        let mut template = Template::new(Payload::Random, Codec::None, 2, (0, 20), 3);
        let mut bytes = template.batch(2, None, None).to_vec();
        bytes[60] = 3; // one record more than there is
        let bytes = Bytes::from(bytes);
        assert!(values(&only(&bytes), |_| ()).is_err());
    }
}
