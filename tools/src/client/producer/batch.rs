//! Records on their way to one partition.

use crate::client::error::{ClientError, Result};
use bytes::Bytes;
use corelane_core::{
    ids::{ProducerEpoch, ProducerId},
    records::{BatchBuilder, Codec, NewRecord},
};
use std::time::Instant;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// In its topic.
    pub partition: i32,
    /// -1 without acknowledgements.
    pub offset: i64,
}

/// Told when a record is acknowledged, or will never be.
pub type Done = Box<dyn FnOnce(Result<Acknowledged>) + Send>;

/// The place of a batch in the sequence of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub identity: Identity,
    pub base: i32,
}

/// Who an idempotent producer is. A transaction's coordinator may change it at the end of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
}

/// As Kafka prints it.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(producerId={}, epoch={})", self.producer.0, self.epoch.0)
    }
}

/// A batch.
pub struct Batch {
    builder: BatchBuilder,
    waiting: Vec<Done>,
    pub created: Instant,
    /// What it counts for in the buffer.
    pub bytes: usize,
    /// How often it was sent.
    pub attempts: u32,
    pub sequence: Option<Sequence>,
    /// Not before this.
    pub not_before: Option<Instant>,
}

impl Batch {
    pub fn new(codec: Codec, transactional: bool) -> Batch {
        let builder = BatchBuilder::new().codec(codec);
        Batch {
            builder: if transactional { builder.transactional() } else { builder },
            waiting: Vec::new(),
            created: Instant::now(),
            bytes: 0,
            attempts: 0,
            sequence: None,
            not_before: None,
        }
    }

    /// A first record always has room.
    pub fn has_room(&self, bytes: usize, most: usize) -> bool {
        self.waiting.is_empty() || self.builder.bytes() + bytes <= most
    }

    pub fn push(&mut self, record: NewRecord<'_>, bytes: usize, done: Done) {
        self.builder.push(record);
        self.waiting.push(done);
        self.bytes += bytes;
    }

    pub fn records(&self) -> i32 {
        self.builder.len()
    }

    /// Its bytes for the wire. Built anew for each attempt, which is rare, instead of kept.
    pub fn encode(&self) -> Bytes {
        match self.sequence {
            Some(Sequence { identity, base }) => {
                self.builder.clone().producer(identity.producer, identity.epoch, base).build()
            }
            None => self.builder.build(),
        }
    }

    pub fn acknowledge(self, partition: i32, base: i64) {
        for (offset, done) in (base..).zip(self.waiting) {
            let offset = if base < 0 { -1 } else { offset };
            done(Ok(Acknowledged { partition, offset }));
        }
    }

    pub fn fail(self, error: &ClientError) {
        for done in self.waiting {
            done(Err(error.clone()));
        }
    }
}
