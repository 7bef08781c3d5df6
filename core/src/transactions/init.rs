//! InitProducerId with a transactional id: a producer begins, or goes on after an error (KIP-360).

use super::{
    TRANSACTION_VERSION, Ticket,
    coordinator::{Change, Coordinator, Refusal, fresh_id, is_exhausted, layout, next_epoch},
    face::{InitProducer, Memory, Outcome, Producer, ProducerIdUse, Request, Response, Scene},
    partition_set::PartitionSet,
    records::{Transaction, TransactionalId},
    state::State,
};
use crate::{error::ErrorCode, ids::ProducerEpoch};
use std::sync::Arc;
use tracing::info;

/// The epoch of a producer that had none.
const NO_EPOCH: ProducerEpoch = ProducerEpoch(-1);

impl Coordinator {
    pub(super) fn init(&mut self, scene: Scene<'_>, ticket: Ticket, request: InitProducer) -> Outcome {
        let id = Arc::clone(&request.id);
        match self.decide_init(scene, &request) {
            Ok(change) => {
                // Who fences tells nobody the epoch, and the client asks again until the transaction is aborted.
                let reply = match change.next.state {
                    State::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
                    _ => Ok(Response::Initialised(change.next.producer())),
                };
                self.decided(&id, change, Some((ticket, reply)))
            }
            Err(Refusal::Because(error)) => Outcome::reply(ticket, Err(error)),
            Err(Refusal::WantsId) => Outcome {
                producer_id: ProducerIdUse::Wanted(Some(Box::new((ticket, Request::Init(request))))),
                ..Outcome::default()
            },
        }
    }

    fn decide_init(&self, scene: Scene<'_>, request: &InitProducer) -> Result<Change, Refusal> {
        // Two-phase commit is refused as in a Kafka with `transaction.two.phase.commit.enable=false`; prepared
        // transactions are kept by no Kafka yet.
        if request.two_phase {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
        }
        if request.keep_prepared {
            return Err(ErrorCode::UnsupportedVersion.into());
        }
        if request.timeout_ms <= 0 || request.timeout_ms > scene.config.transactions.timeout_max_ms {
            return Err(ErrorCode::InvalidTransactionTimeout.into());
        }
        if self.is_busy(&request.id) {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let Some(current) = self.transactions.get(&request.id) else {
            return first(scene, request);
        };
        let memory = self.memory(&request.id, current);
        if let Some(producer) = request.continues
            && !is_known(producer, current, memory)
        {
            return Err(ErrorCode::ProducerFenced.into());
        }
        match current.state {
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                next_producer(scene, request, current, memory)
            }
            State::Ongoing => {
                // Stricter than Kafka, where a producer that was fenced, or a request that comes late, can abort the
                // transaction of a successor.
                if request.continues.is_some_and(|producer| producer.epoch != current.epoch) {
                    return Err(ErrorCode::ProducerFenced.into());
                }
                fence(scene, &request.id, current)
            }
            State::PrepareCommit | State::PrepareAbort | State::Dead | State::PrepareEpochFence => {
                Err(ErrorCode::ConcurrentTransactions.into())
            }
        }
    }
}

/// Aborts the transaction of a producer that nobody waits for, under an epoch that nobody was told, so that the producer is
/// fenced from then on (`TransactionMetadata.prepareFenceProducerEpoch`).
pub(super) fn fence(
    scene: Scene<'_>,
    id: &TransactionalId,
    current: &Transaction,
) -> Result<Change, Refusal> {
    // Not a client's decision: the cluster's version of transactions counts.
    let v2 = scene.image.feature(TRANSACTION_VERSION) >= 2;
    let next_id = (v2 && is_exhausted(current.epoch)).then(|| fresh_id(scene)).transpose()?;
    info!(%id, producer = current.producer_id.0, epoch = current.epoch.0, "fenced, its transaction is aborted");
    let next = Transaction {
        epoch: next_epoch(current.epoch),
        previous_id: Some(current.producer_id),
        next_id,
        state: State::PrepareAbort,
        updated_ms: scene.now.unix_ms,
        client_version: if v2 { 2 } else { 0 },
        ..current.clone()
    };
    let memory = Memory { last_epoch: v2.then_some(current.epoch), previous_id: Some(current.producer_id) };
    Ok(Change { next: next.laid_out(layout(scene)), memory, took_id: next_id.is_some() })
}

/// A transactional id that nobody has used yet.
fn first(scene: Scene<'_>, request: &InitProducer) -> Result<Change, Refusal> {
    let producer_id = fresh_id(scene)?;
    let next = Transaction {
        layout: layout(scene),
        producer_id,
        epoch: ProducerEpoch(0),
        previous_id: Some(producer_id),
        next_id: None,
        timeout_ms: request.timeout_ms,
        state: State::Empty,
        partitions: PartitionSet::new(),
        updated_ms: scene.now.unix_ms,
        started_ms: -1,
        client_version: 0,
    };
    let memory = Memory { last_epoch: None, previous_id: Some(producer_id) };
    Ok(Change { next: next.laid_out(layout(scene)), memory, took_id: true })
}

/// Whether a producer that goes on is the one that this id has, or had until it was given another id of which it may not
/// have heard.
fn is_known(producer: Producer, current: &Transaction, memory: Memory) -> bool {
    current.epoch == NO_EPOCH
        || producer.id == current.producer_id
        || (memory.previous_id == Some(producer.id) && is_exhausted(producer.epoch))
}

/// The next epoch for a producer without a transaction, or another producer id where epochs are used up.
fn next_producer(
    scene: Scene<'_>,
    request: &InitProducer,
    current: &Transaction,
    memory: Memory,
) -> Result<Change, Refusal> {
    let expected = request.continues.map(|producer| producer.epoch);
    let mut next = Transaction {
        timeout_ms: request.timeout_ms,
        state: State::Empty,
        partitions: PartitionSet::new(),
        previous_id: Some(current.producer_id),
        updated_ms: scene.now.unix_ms,
        started_ms: -1,
        ..current.clone()
    };
    let mut last_epoch = expected.map(|_| current.epoch);
    let mut took_id = false;
    if expected.is_none_or(|epoch| epoch == current.epoch || current.epoch == NO_EPOCH) {
        if is_exhausted(current.epoch) {
            next.producer_id = fresh_id(scene)?;
            next.epoch = ProducerEpoch(0);
            took_id = true;
        } else {
            next.epoch = next_epoch(current.epoch);
        }
    } else if expected == memory.last_epoch {
        // The answer to its last request was lost. Whoever was initialised meanwhile would have no last epoch.
        next.previous_id = memory.previous_id;
        last_epoch = memory.last_epoch;
    } else {
        return Err(ErrorCode::ProducerFenced.into());
    }
    let memory = Memory { last_epoch, previous_id: next.previous_id };
    Ok(Change { next: next.laid_out(layout(scene)), memory, took_id })
}
