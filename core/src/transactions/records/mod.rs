//! What `__transaction_state` holds: Kafka's records, in Kafka's layouts, so that every tool that reads the topic reads ours
//! (`transaction-coordinator/src/main/resources/common/message`, `TransactionLog`, Kafka 4.3).
//!
//! A key begins with its type as an int16, a value with its version. A record without a value deletes the transactional id
//! that its key names, and compaction drops both.

#[cfg(test)]
mod tests;

pub use crate::message_format::RecordFault;

use super::{partition_set::PartitionSet, state::State};
use crate::{
    ids::{ProducerEpoch, ProducerId},
    message_format::{Reader, Writer, versioned},
};
use std::{collections::BTreeSet, sync::Arc};

/// The name under which a producer continues after a restart.
pub type TransactionalId = Arc<str>;

/// The longest transactional id: keys have lengths of 16 bits.
pub const ID_BYTES_MAX: usize = 32_767;

/// One record. `None` as a value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which transactional id.
    pub id: TransactionalId,
    /// Where it stands.
    pub value: Option<Transaction>,
}

/// The layout of a value: its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 0, where `transaction.version` is 0. It has neither the other producer ids nor the client's version of
    /// transactions.
    Plain,
    /// Version 1.
    Flexible,
}

/// What is durable of a transactional id and of its transaction (`TransactionLogValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// In which layout it is written.
    pub layout: Layout,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch; between a decision to commit or abort and its completion that of the markers.
    pub epoch: ProducerEpoch,
    /// Its producer before the last change. `None` in the plain layout.
    pub previous_id: Option<ProducerId>,
    /// Its producer after the transaction, when the epochs of the present one are used up. `None` in the plain layout.
    pub next_id: Option<ProducerId>,
    /// How long a transaction may go on. The largest integer: for ever (two-phase commit, KIP-939).
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: State,
    /// What was added to the transaction; empty when there is none.
    pub partitions: PartitionSet,
    /// When it last changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// When the transaction began, in milliseconds since 1970; -1 before the first.
    pub started_ms: i64,
    /// The client's version of transactions: from 2 on every transaction has an epoch of its own. 0 in the plain layout.
    pub client_version: i16,
}

/// The only type of keys.
const TRANSACTION: i16 = 0;
const NO_PRODUCER: i64 = -1;

/// Tags of the flexible layout.
const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

impl Record {
    /// The key's bytes.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Writer::new(TRANSACTION, false);
        key.text(&self.id);
        key.finish()
    }

    /// The value's bytes; `None` for a tombstone.
    pub fn value(&self) -> Option<Vec<u8>> {
        self.value.as_ref().map(Transaction::encode)
    }

    /// The record of a key and value; `None` for types that this broker does not know.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordFault> {
        let mut key = Reader::new(key, false);
        if key.i16()? != TRANSACTION {
            return Ok(None);
        }
        let id = key.name()?;
        Ok(Some(Record { id, value: value.map(Transaction::decode).transpose()? }))
    }
}

impl Transaction {
    /// Whether every transaction of its client has an epoch of its own (KIP-890).
    pub fn is_v2(&self) -> bool {
        self.client_version >= 2
    }

    /// In `layout`, which may not hold everything.
    pub fn laid_out(mut self, layout: Layout) -> Transaction {
        self.layout = layout;
        if layout == Layout::Plain {
            (self.previous_id, self.next_id, self.client_version) = (None, None, 0);
        }
        self
    }

    fn encode(&self) -> Vec<u8> {
        let (version, flexible) = match self.layout {
            Layout::Plain => (0, false),
            Layout::Flexible => (1, true),
        };
        let mut value = Writer::new(version, flexible);
        value.i64(self.producer_id.0);
        value.i16(self.epoch.0);
        value.i32(self.timeout_ms);
        value.i8(self.state.number());
        // Kafka writes no list where there cannot be one.
        let topics: Option<Vec<(&Arc<str>, &BTreeSet<i32>)>> =
            (self.state != State::Empty).then(|| self.partitions.topics().collect());
        value.nullable_array(topics.as_deref(), |value, (topic, partitions)| {
            value.text(topic);
            let partitions: Vec<i32> = partitions.iter().copied().collect();
            value.array(&partitions, |value, partition| value.i32(*partition));
            value.tags(&[]);
        });
        value.i64(self.updated_ms);
        value.i64(self.started_ms);
        let id = |tag, id: Option<ProducerId>| id.map(|id| (tag, Writer::field(|field| field.i64(id.0))));
        let version = (self.client_version != 0)
            .then(|| (CLIENT_VERSION, Writer::field(|field| field.i16(self.client_version))));
        let tags = [id(PREVIOUS_ID, self.previous_id), id(NEXT_ID, self.next_id), version];
        value.tags(&tags.into_iter().flatten().collect::<Vec<_>>());
        value.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Transaction, RecordFault> {
        let (version, mut value) = versioned(bytes, 1, 1)?;
        let layout = if version == 0 { Layout::Plain } else { Layout::Flexible };
        let producer_id = ProducerId(value.i64()?);
        let epoch = ProducerEpoch(value.i16()?);
        let timeout_ms = value.i32()?;
        let state = State::from_number(value.i8()?).filter(|state| state.is_durable());
        let state = state.ok_or(RecordFault::Number)?;
        let mut partitions = PartitionSet::new();
        value.nullable_array(|value| {
            let topic = value.name()?;
            let numbers = value.array(Reader::i32)?;
            numbers.into_iter().for_each(|partition| partitions.insert(&topic, partition));
            value.no_tags()
        })?;
        let (updated_ms, started_ms) = (value.i64()?, value.i64()?);
        let (mut previous_id, mut next_id, mut client_version) = (None, None, 0);
        let id = |field: &mut Reader<'_>| {
            let id = field.i64()?;
            Ok((id != NO_PRODUCER).then_some(ProducerId(id)))
        };
        value.tags(|tag, field| {
            match tag {
                PREVIOUS_ID => previous_id = id(field)?,
                NEXT_ID => next_id = id(field)?,
                CLIENT_VERSION => client_version = field.i16()?,
                // NextProducerEpoch (3) belongs to prepared transactions that are kept (KIP-939), which Kafka 4.3 has not.
                _ => {}
            }
            Ok(())
        })?;
        Ok(Transaction {
            layout,
            producer_id,
            epoch,
            previous_id,
            next_id,
            timeout_ms,
            state,
            partitions: if state == State::Empty { PartitionSet::new() } else { partitions },
            updated_ms,
            started_ms,
            client_version,
        })
    }
}
