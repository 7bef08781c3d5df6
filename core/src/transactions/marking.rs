//! A decided transaction is carried out: every partition gets its marker, then the end is written down.

use super::{
    alarms::Alarm,
    coordinator::{Change, Coordinator},
    face::{Markers, MarkersRound, Memory, Outcome, PartitionErrors, Producer, Scene},
    partition_set::PartitionSet,
    records::{Transaction, TransactionalId},
    state::State,
};
use crate::{
    error::ErrorCode,
    ids::{NodeId, ProducerEpoch},
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::{info, warn};

/// How long to wait after the first failure; twice as long after each further one, up to the most. Kafka asks again at
/// once, for a partition without a leader as fast as it can.
const RETRY_MS: u64 = 20;
const RETRY_MS_MAX: u64 = 1000;

/// Where a decided transaction stands.
#[derive(Debug)]
pub(super) struct Marking {
    round: MarkersRound,
    /// Partitions that are to be told.
    left: PartitionSet,
    /// Partitions that are being told.
    sent: PartitionSet,
    /// How often in a row something had to be tried again.
    failures: u32,
    /// Somebody knows better: another coordinator, or another epoch of the producer.
    stopped: bool,
}

/// What a partition's answer means.
enum Answer {
    Marked,
    Again,
    Stop,
}

impl Marking {
    /// Partitions of which it is not known that they have their markers.
    pub fn outstanding(&self) -> PartitionSet {
        let mut outstanding = self.left.clone();
        outstanding.insert_all(&self.sent);
        outstanding
    }
}

impl Coordinator {
    /// The decision is committed: the partitions are told.
    pub(super) fn begin_marking(&mut self, scene: Scene<'_>, id: &TransactionalId) -> Outcome {
        let Some(transaction) = self.transactions.get(id) else { return Outcome::default() };
        self.rounds += 1;
        self.soft.entry(Arc::clone(id)).or_default().marking = Some(Marking {
            round: MarkersRound(self.rounds),
            left: transaction.partitions.clone(),
            sent: PartitionSet::new(),
            failures: 0,
            stopped: false,
        });
        self.send_markers(scene, id)
    }

    /// What had to wait is tried again; what a log says was decided is carried out.
    pub(super) fn go_on_marking(&mut self, scene: Scene<'_>, id: &TransactionalId) -> Outcome {
        let prepared = self.transactions.get(id).is_some_and(|it| it.state.is_prepared());
        if !prepared || self.pending(id).is_some() {
            return Outcome::default();
        }
        if self.soft.get(id).is_some_and(|soft| soft.marking.is_some()) {
            self.send_markers(scene, id)
        } else {
            info!(%id, "its transaction was decided before, and is completed now");
            self.begin_marking(scene, id)
        }
    }

    /// Markers come back with what became of them: each partition's error, or why no answer came. Partitions that the
    /// answer does not name are asked again.
    pub fn marked(
        &mut self,
        scene: Scene<'_>,
        markers: &Markers,
        result: Result<PartitionErrors, ErrorCode>,
    ) -> Outcome {
        let id = &markers.id;
        let is_ours = markers.coordinator_epoch == self.epoch;
        let marking = self.soft.get_mut(id).and_then(|soft| soft.marking.as_mut());
        let marking = marking.filter(|it| is_ours && it.round == markers.round && !it.stopped);
        let Some(marking) = marking else { return Outcome::default() };
        for (topic, partition, error) in result.unwrap_or_default() {
            if !marking.sent.remove(&topic, partition) {
                continue;
            }
            match meaning(error) {
                Answer::Marked => {}
                Answer::Again => marking.left.insert(&topic, partition),
                Answer::Stop => {
                    let error = error.name();
                    warn!(%id, %topic, partition, error, "its markers are refused: they are sent no more");
                    marking.stopped = true;
                    return Outcome::default();
                }
            }
        }
        for (topic, partition) in markers.partitions.iter() {
            if marking.sent.remove(topic, partition) {
                marking.left.insert(topic, partition);
            }
        }
        if !marking.left.is_empty() {
            self.try_again_later(scene, id);
            Outcome::default()
        } else if marking.sent.is_empty() {
            self.complete(scene, id)
        } else {
            Outcome::default()
        }
    }

    pub(super) fn try_again_later(&mut self, scene: Scene<'_>, id: &TransactionalId) {
        let marking = self.soft.get_mut(id).and_then(|soft| soft.marking.as_mut());
        let Some(marking) = marking else { return };
        let ms = RETRY_MS.saturating_mul(1 << marking.failures.min(16)).min(RETRY_MS_MAX);
        marking.failures = marking.failures.saturating_add(1);
        self.alarms.set(Alarm::Markers(Arc::clone(id)), scene.now.monotonic.after_ms(ms));
    }

    /// Markers for whoever leads what is left. Partitions that are deleted need none.
    fn send_markers(&mut self, scene: Scene<'_>, id: &TransactionalId) -> Outcome {
        let marking = self.soft.get_mut(id).and_then(|soft| soft.marking.as_mut());
        let (Some(transaction), Some(marking)) = (self.transactions.get(id), marking) else {
            return Outcome::default();
        };
        if marking.stopped {
            return Outcome::default();
        }
        let mut by_leader: BTreeMap<NodeId, PartitionSet> = BTreeMap::new();
        for (topic, partition) in std::mem::take(&mut marking.left).iter() {
            let found = scene.image.topic(topic).and_then(|it| it.partition(partition));
            match found.map(|it| it.leader) {
                None => info!(%id, %topic, partition, "deleted: it gets no marker"),
                Some(None) => marking.left.insert(topic, partition),
                Some(Some(leader)) => {
                    marking.sent.insert(topic, partition);
                    by_leader.entry(leader).or_default().insert(topic, partition);
                }
            }
        }
        let round = marking.round;
        let to_leaders = by_leader.into_iter().map(|(to, partitions)| Markers {
            id: Arc::clone(id),
            round,
            to,
            coordinator_epoch: self.epoch,
            producer: transaction.producer(),
            commit: transaction.state == State::PrepareCommit,
            transaction_version: transaction.client_version,
            partitions,
        });
        let markers: Vec<Markers> = to_leaders.collect();
        if !marking.left.is_empty() {
            self.try_again_later(scene, id);
        } else if marking.sent.is_empty() {
            return self.complete(scene, id);
        }
        Outcome { markers, ..Outcome::default() }
    }

    /// Every partition knows: the end of the transaction is written down.
    fn complete(&mut self, scene: Scene<'_>, id: &TransactionalId) -> Outcome {
        let Some(current) = self.transactions.get(id) else { return Outcome::default() };
        let state = match current.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            _ => return Outcome::default(),
        };
        let producer = match current.next_id.filter(|_| current.is_v2()) {
            Some(next) => Producer { id: next, epoch: ProducerEpoch(0) },
            None => current.producer(),
        };
        let next = Transaction {
            producer_id: producer.id,
            epoch: producer.epoch,
            previous_id: Some(current.producer_id),
            next_id: None,
            state,
            partitions: PartitionSet::new(),
            updated_ms: scene.now.unix_ms,
            ..current.clone()
        };
        let memory = Memory { previous_id: Some(current.producer_id), ..self.memory(id, current) };
        // The layout stays: a transaction ends as it was decided, whatever the cluster's features are by now.
        let next = next.laid_out(current.layout);
        self.decided(id, Change { next, memory, took_id: false }, None)
    }
}

/// What a partition's answer to a marker means (`TransactionMarkerRequestCompletionHandler`). Kafka fails for good on errors
/// that should not happen; here they are tried again like any other.
fn meaning(error: ErrorCode) -> Answer {
    match error {
        // Partitions that cannot hold markers hold no records of transactions either.
        ErrorCode::None | ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion => {
            Answer::Marked
        }
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => Answer::Stop,
        _ => Answer::Again,
    }
}
