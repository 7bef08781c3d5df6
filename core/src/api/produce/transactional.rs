//! Batches of transactions (KIP-98, KIP-890). Before a partition takes the first batch of a transaction its coordinator is
//! asked, or a batch that comes late could begin a transaction that nobody ends: a client of version 2 has the partition
//! added by that, one before must have added it.
//!
//! The owners of the partitions are asked first; where the transaction has begun already they append, which is most of
//! the time. The others give a guard, which goes with the batch when it comes again.

use super::Produce;
use crate::{
    api::transactions::{WRONG_KIND, Wish, ask_for_partitions, told_to_writers},
    engine::{
        AppendPartition, AppendRequest, AppendResult, Context, Gather, Guard, OwnerRequest, OwnerResponse,
        Step, What,
    },
    error::ErrorCode,
    ids::PartitionId,
    records::{BatchHeader, ProducerBatch},
    transactions::{AddPartitions, Producer, Reply, Response as Answer, TransactionalId},
};
use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use std::{collections::BTreeMap, sync::Arc};

/// The first version whose partitions are added to the transaction by producing to them.
const ADDS_FROM: i16 = 12;

/// The first version whose clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE_FROM: i16 = 11;

/// The transaction of a request.
pub(super) struct Transaction {
    id: TransactionalId,
    producer: Producer,
    batches: BTreeMap<u32, Batch>,
}

/// A batch that may have to come again.
struct Batch {
    partition: PartitionId,
    topic: Arc<str>,
    records: Bytes,
}

/// A request whose transaction may have to be checked.
pub(super) struct Transactional {
    produce: Produce,
    transaction: Transaction,
    wish: Wish,
    /// Owners that have not answered.
    left: usize,
    guards: Vec<(u32, Guard)>,
}

/// The transaction of a request, if its batches are of one.
///
/// # Errors
/// Of the whole request. Whoever sends batches of a transaction without saying whose they are has no right to (as in
/// Kafka's `handleProduceRequest`).
pub(super) fn of(request: &ProduceRequest) -> Result<Option<Transaction>, ErrorCode> {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let mut producers = partitions.filter_map(|partition| producer(partition.records.as_deref()?));
    let Some(first) = producers.next() else { return Ok(None) };
    let Some(id) = &request.transactional_id else {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    };
    if producers.any(|other| other != first) {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    Ok(Some(Transaction { id: id.as_str().into(), producer: first, batches: BTreeMap::new() }))
}

/// The producer of a batch of a transaction.
fn producer(records: &[u8]) -> Option<Producer> {
    let batch = BatchHeader::view(records).filter(|batch| batch.is_transactional())?;
    let ProducerBatch { id, epoch, .. } = batch.producer()?;
    Some(Producer { id, epoch })
}

impl Transaction {
    /// Whether its coordinator is asked about it at all.
    pub fn is_checked(&self, context: &Context<'_>, version: i16) -> bool {
        version >= ADDS_FROM || context.config.transactions.verifies_partitions
    }

    /// A batch for a partition that is led here.
    pub fn keep(&mut self, place: u32, partition: PartitionId, topic: &Arc<str>, records: &Bytes) {
        let (topic, records) = (Arc::clone(topic), records.clone());
        self.batches.insert(place, Batch { partition, topic, records });
    }

    /// `owners` are being asked.
    pub fn checked_first(self, produce: Produce, owners: usize) -> Transactional {
        let wish = Wish::of(produce.reply_to.version, ADDS_FROM);
        Transactional { produce, transaction: self, wish, left: owners, guards: Vec::new() }
    }
}

impl Transactional {
    fn appended(&mut self, context: &mut Context<'_>, results: Vec<(u32, AppendResult)>) -> Step {
        for (place, result) in results {
            match result.unchecked {
                Some(guard) => self.guards.push((place, guard)),
                None => self.produce.places.set(place, result),
            }
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return Step::Wait;
        }
        if self.guards.is_empty() {
            return Step::Done(self.produce.finish(context));
        }
        let batches = &self.transaction.batches;
        let partitions = self.guards.iter().filter_map(|(place, _)| batches.get(place));
        let request = AddPartitions {
            id: Arc::clone(&self.transaction.id),
            producer: self.transaction.producer,
            partitions: partitions.map(|it| (Arc::clone(&it.topic), it.partition.index)).collect(),
            version: self.wish.version(),
        };
        match ask_for_partitions(context, self.wish, request) {
            Ok(ask) => Step::Ask(vec![ask]),
            Err(error) => self.checked(context, &Err(error)),
        }
    }

    /// The coordinator has answered: what is in the transaction goes to its owners again.
    fn checked(&mut self, context: &mut Context<'_>, reply: &Reply) -> Step {
        let mut by_owner = super::ByOwner::default();
        for (place, guard) in std::mem::take(&mut self.guards) {
            let Some(batch) = self.transaction.batches.remove(&place) else { continue };
            let (error, message) = match reply {
                Ok(Answer::Partitions(errors)) => {
                    let is_this = |(topic, index, _): &&(Arc<str>, i32, ErrorCode)| {
                        *topic == batch.topic && *index == batch.partition.index
                    };
                    self.told(errors.iter().find(is_this).map_or(WRONG_KIND, |(.., error)| *error))
                }
                Ok(_) => self.told(WRONG_KIND),
                Err(error) => self.told(*error),
            };
            if error.is_none() {
                let what = What::Verified(batch.records, self.wish.guard(guard));
                let append = AppendPartition { place, id: batch.partition, what };
                by_owner.push(context.owner(batch.partition), append);
            } else {
                self.produce.places.set(place, AppendResult::failed(error, message));
            }
        }
        if by_owner.is_empty() {
            return Step::Done(self.produce.finish(context));
        }
        let (acks, version) = (self.produce.acks, self.produce.reply_to.version);
        let asks = by_owner.into_asks(|partitions| {
            OwnerRequest::Append(AppendRequest { partitions, acks, version, checks_transactions: true })
        });
        self.left = asks.len();
        Step::Ask(asks)
    }

    /// What producers are told of a coordinator's error (`AddPartitionsToTxnManager`, `ReplicaManager.handleProduceAppend`):
    /// what an older client does not know becomes NOT_ENOUGH_REPLICAS, upon which it tries again.
    fn told(&self, error: ErrorCode) -> (ErrorCode, Option<String>) {
        let not_known = |error: ErrorCode| {
            let text = "Unable to verify the partition has been added to the transaction. Underlying error: ";
            (ErrorCode::NotEnoughReplicas, Some(format!("{text}{error}")))
        };
        let knows_abortable = self.produce.reply_to.version >= KNOWS_ABORTABLE_FROM;
        match told_to_writers(error, knows_abortable) {
            ErrorCode::InvalidTxnState => {
                (ErrorCode::InvalidTxnState, Some("Partition was not added to the transaction".to_owned()))
            }
            ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => not_known(error),
            ErrorCode::ConcurrentTransactions if self.wish == Wish::Verify => not_known(error),
            error => (error, None),
        }
    }
}

impl Gather for Transactional {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        match response {
            OwnerResponse::Append(results) => self.appended(context, results),
            OwnerResponse::Transaction(_, reply) => self.checked(context, &reply),
            _ => Step::Wait,
        }
    }

    fn enlisted(&mut self, context: &mut Context<'_>, reply: Reply) -> Step {
        self.checked(context, &reply)
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.produce.finish(context))
    }

    fn name(&self) -> &'static str {
        "Produce of a transaction"
    }
}
