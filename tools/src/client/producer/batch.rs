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
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub base: i32,
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
    pub fn new(codec: Codec) -> Batch {
        Batch {
            builder: BatchBuilder::new().codec(codec),
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
            Some(Sequence { producer, epoch, base }) => {
                self.builder.clone().producer(producer, epoch, base).build()
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
