//! The producers of a partition as bytes of a checkpoint.

use super::{
    AppendedBatch, BATCHES_KEPT_PER_PRODUCER, Ended, NO_COORDINATOR, Producer, ProducerStates, Spot,
};
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use smallvec::SmallVec;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{I16, I32, I64, U16, U32},
};

const VERSION: u16 = 2;
/// Before there were transactions: without the part about them.
const VERSION_1: u16 = 1;
/// No segment has this number: where a transaction begins in the files is not known.
const NO_SPOT: u32 = u32::MAX;
/// Stands for "no open transaction"; offsets are not negative.
const NO_TRANSACTION: i64 = -1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    version: U16,
    producers: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ProducerImage {
    id: I64,
    epoch: I16,
    last_seen_ms: I64,
    transaction_start: I64,
    batches: u8,
}

/// Behind the producers, one for each of them: what its transactions left.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CoordinatedImage {
    coordinator_epoch: I32,
    /// Of its open transaction.
    serial: U32,
    position: U32,
}

/// A transaction whose marker was not committed, in the order of the markers.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EndedImage {
    start: I64,
    marker: I64,
    producer: I64,
    epoch_before: I16,
    coordinator_before: I32,
    serial: U32,
    position: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BatchImage {
    base_sequence: I32,
    last_sequence: I32,
    base_offset: I64,
    last_offset: I64,
    timestamp_ms: I64,
}

/// Why bytes are not a snapshot of producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedProducers {
    /// Fewer or more bytes than the counts demand.
    #[error("producer snapshot has the wrong length")]
    Length,
    /// The checksum does not match.
    #[error("producer snapshot has a wrong checksum")]
    Checksum,
    /// Written by a version that this one does not know.
    #[error("producer snapshot has version {0}")]
    Version(u16),
    /// A producer id twice or out of order, or too many batches of one.
    #[error("producer snapshot contradicts itself")]
    Content,
}

impl ProducerStates {
    /// For a checkpoint: version, count, each producer with its batches, what their transactions left, and CRC32C,
    /// big-endian. The offset up to which the snapshot speaks is the checkpoint's to say.
    pub fn encode(&self) -> Vec<u8> {
        let producers = u32::try_from(self.len()).expect("bounded by the transactions that can be open");
        let mut out = Vec::new();
        out.extend_from_slice(Head { version: U16::new(VERSION), producers: U32::new(producers) }.as_bytes());
        for (id, producer) in self.iter() {
            let image = ProducerImage {
                id: I64::new(id.0),
                epoch: I16::new(producer.epoch.0),
                last_seen_ms: I64::new(producer.last_seen_ms),
                transaction_start: I64::new(producer.transaction_start.map_or(NO_TRANSACTION, |at| at.0)),
                batches: u8::try_from(producer.batches.len()).expect("at most five"),
            };
            out.extend_from_slice(image.as_bytes());
            for batch in &producer.batches {
                let image = BatchImage {
                    base_sequence: I32::new(batch.base_sequence),
                    last_sequence: I32::new(batch.last_sequence),
                    base_offset: I64::new(batch.base_offset.0),
                    last_offset: I64::new(batch.last_offset.0),
                    timestamp_ms: I64::new(batch.timestamp_ms),
                };
                out.extend_from_slice(image.as_bytes());
            }
        }
        self.encode_transactions(&mut out);
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }

    /// What [`encode`](Self::encode) wrote. Any other bytes are an error; then an older snapshot or the log itself
    /// is read. Allocates no more than a few times the input's length, whatever its counts say.
    pub fn decode(bytes: &[u8]) -> Result<ProducerStates, DamagedProducers> {
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or(DamagedProducers::Length)?;
        if u32::from_be_bytes(*crc) != crc32c::crc32c(content) {
            return Err(DamagedProducers::Checksum);
        }
        let (head, mut rest) = Head::ref_from_prefix(content).map_err(|_| DamagedProducers::Length)?;
        let version = head.version.get();
        if version != VERSION && version != VERSION_1 {
            return Err(DamagedProducers::Version(version));
        }
        let mut states = ProducerStates::new();
        for _ in 0..head.producers.get() {
            let (id, producer, behind) = decode_producer(rest)?;
            if states.producers.last_key_value().is_some_and(|(last, _)| *last >= id) {
                return Err(DamagedProducers::Content);
            }
            states.producers.insert(id, producer);
            rest = behind;
        }
        if version == VERSION_1 {
            let open = states.producers.iter();
            let open = open.filter_map(|(id, producer)| Some((*id, producer.transaction_start?)));
            for (id, start) in open {
                states.undecided.begin(start, id, None);
            }
        } else {
            rest = states.decode_transactions(rest)?;
        }
        if rest.is_empty() { Ok(states) } else { Err(DamagedProducers::Length) }
    }

    fn encode_transactions(&self, out: &mut Vec<u8>) {
        for (_, producer) in self.iter() {
            let spot = producer.transaction_start.and_then(|start| self.undecided.spot(start));
            let (serial, position) = spot.map_or((NO_SPOT, 0), |spot| (spot.serial, spot.position));
            let image = CoordinatedImage {
                coordinator_epoch: I32::new(producer.coordinator_epoch),
                serial: U32::new(serial),
                position: U32::new(position),
            };
            out.extend_from_slice(image.as_bytes());
        }
        let ended = self.undecided.ended();
        let count = u32::try_from(ended.len()).expect("bounded by the transactions that can be open");
        out.extend_from_slice(U32::new(count).as_bytes());
        for (start, transaction) in ended {
            let ended = transaction.ended.expect("it is among those that ended");
            let (serial, position) =
                transaction.spot.map_or((NO_SPOT, 0), |spot| (spot.serial, spot.position));
            let image = EndedImage {
                start: I64::new(start.0),
                marker: I64::new(ended.marker.0),
                producer: I64::new(transaction.producer.0),
                epoch_before: I16::new(ended.epoch_before.0),
                coordinator_before: I32::new(ended.coordinator_before),
                serial: U32::new(serial),
                position: U32::new(position),
            };
            out.extend_from_slice(image.as_bytes());
        }
    }

    fn decode_transactions<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], DamagedProducers> {
        let count = self.producers.len();
        let (images, rest) = <[CoordinatedImage]>::ref_from_prefix_with_elems(bytes, count)
            .map_err(|_| DamagedProducers::Length)?;
        for ((id, producer), image) in self.producers.iter_mut().zip(images) {
            producer.coordinator_epoch = image.coordinator_epoch.get();
            if let Some(start) = producer.transaction_start {
                self.undecided.begin(start, *id, spot(image.serial, image.position));
            }
        }
        let (count, rest) = U32::ref_from_prefix(rest).map_err(|_| DamagedProducers::Length)?;
        let count = usize::try_from(count.get()).map_err(|_| DamagedProducers::Length)?;
        let (images, rest) =
            <[EndedImage]>::ref_from_prefix_with_elems(rest, count).map_err(|_| DamagedProducers::Length)?;
        let mut before = i64::MIN;
        for image in images {
            let (start, marker) = (image.start.get(), image.marker.get());
            if start >= marker || marker <= before {
                return Err(DamagedProducers::Content);
            }
            before = marker;
            let producer = ProducerId(image.producer.get());
            self.undecided.begin(Offset(start), producer, spot(image.serial, image.position));
            let ended = Ended {
                marker: Offset(marker),
                epoch_before: ProducerEpoch(image.epoch_before.get()),
                coordinator_before: image.coordinator_before.get(),
            };
            self.undecided.end(Offset(start), ended);
        }
        Ok(rest)
    }
}

fn spot(serial: U32, position: U32) -> Option<Spot> {
    (serial.get() != NO_SPOT).then(|| Spot { serial: serial.get(), position: position.get() })
}

fn decode_producer(bytes: &[u8]) -> Result<(ProducerId, Producer, &[u8]), DamagedProducers> {
    let (image, rest) = ProducerImage::ref_from_prefix(bytes).map_err(|_| DamagedProducers::Length)?;
    let count = usize::from(image.batches);
    if count > BATCHES_KEPT_PER_PRODUCER {
        return Err(DamagedProducers::Content);
    }
    let (batches, rest) =
        <[BatchImage]>::ref_from_prefix_with_elems(rest, count).map_err(|_| DamagedProducers::Length)?;
    let batches: SmallVec<[AppendedBatch; BATCHES_KEPT_PER_PRODUCER]> = batches
        .iter()
        .map(|batch| AppendedBatch {
            base_sequence: batch.base_sequence.get(),
            last_sequence: batch.last_sequence.get(),
            base_offset: Offset(batch.base_offset.get()),
            last_offset: Offset(batch.last_offset.get()),
            timestamp_ms: batch.timestamp_ms.get(),
        })
        .collect();
    let start = image.transaction_start.get();
    let producer = Producer {
        epoch: ProducerEpoch(image.epoch.get()),
        batches,
        last_seen_ms: image.last_seen_ms.get(),
        transaction_start: (start != NO_TRANSACTION).then_some(Offset(start)),
        coordinator_epoch: NO_COORDINATOR,
    };
    Ok((ProducerId(image.id.get()), producer, rest))
}
