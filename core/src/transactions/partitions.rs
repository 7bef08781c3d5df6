//! AddPartitionsToTxn and AddOffsetsToTxn: what a transaction has written to, or is about to.

use super::{
    Ticket,
    alarms::Alarm,
    coordinator::{Change, Coordinator, HeldAddition, Pending, layout},
    face::{AddPartitions, Memory, Outcome, PartitionErrors, Producer, Reply, Response, Scene},
    partition_set::PartitionSet,
    records::{Transaction, TransactionalId},
    state::State,
};
use crate::{error::ErrorCode, groups::OFFSETS_TOPIC, ids, metadata::Image};
use std::sync::Arc;

/// The last version in which clients ask; in later ones brokers do.
const CLIENTS_UP_TO: i16 = 3;

impl Coordinator {
    pub(super) fn add_partitions(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        request: AddPartitions,
    ) -> Outcome {
        let until = scene.now.monotonic.after_ms(scene.config.transactions.add_wait_max_ms);
        self.add_or_hold(scene, HeldAddition { ticket, request, until })
    }

    /// Adds partitions. A broker that asks while the transaction before is being completed waits for that a moment: its
    /// producer was told that it may begin the next (KIP-890), and would have to ask again. Kafka asks the coordinator
    /// again every 20 ms.
    fn add_or_hold(&mut self, scene: Scene<'_>, addition: HeldAddition) -> Outcome {
        let HeldAddition { ticket, request, until } = addition;
        let is_broker = request.version > CLIENTS_UP_TO;
        if is_broker && until > scene.now.monotonic && self.is_completing(&request.id) {
            let id = Arc::clone(&request.id);
            let held = self.held.entry(Arc::clone(&id)).or_default();
            held.push_back(HeldAddition { ticket, request, until });
            if held.len() == 1 {
                self.alarms.set(Alarm::Additions(id), until);
            }
            return Outcome::default();
        }
        self.add_now(scene, ticket, &request)
    }

    /// The next of those that wait.
    pub(super) fn add_held(&mut self, scene: Scene<'_>, id: &TransactionalId) -> Outcome {
        let Some(held) = self.held.get_mut(id) else { return Outcome::default() };
        let next = held.pop_front();
        match held.front() {
            Some(_) => self.alarms.set(Alarm::Additions(Arc::clone(id)), scene.now.monotonic),
            None => drop(self.held.remove(id)),
        }
        let Some(HeldAddition { ticket, request, .. }) = next else { return Outcome::default() };
        self.add_now(scene, ticket, &request)
    }

    fn add_now(&mut self, scene: Scene<'_>, ticket: Ticket, request: &AddPartitions) -> Outcome {
        if let Some(errors) = unknown(scene.image, &request.partitions) {
            return Outcome::reply(ticket, Ok(Response::Partitions(errors)));
        }
        let all_added = request.partitions.iter();
        let all_added =
            all_added.map(|(topic, partition)| (Arc::clone(topic), partition, ErrorCode::None)).collect();
        let reply = Response::Partitions(all_added);
        // Whoever asks in a later version knows version 2 of transactions.
        let client_version = if request.version > CLIENTS_UP_TO { 2 } else { 0 };
        let added = (&request.partitions, client_version);
        self.add(scene, ticket, &request.id, request.producer, added, reply)
    }

    pub(super) fn add_offsets(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        id: &TransactionalId,
        producer: Producer,
        group: &str,
    ) -> Outcome {
        // Whoever asked made the topic first. Metadata that does not know it yet will soon.
        let Some(topic) = scene.image.topic(OFFSETS_TOPIC) else {
            return Outcome::reply(ticket, Err(ErrorCode::UnknownTopicOrPartition));
        };
        let partition = ids::partition_of_name(group, topic.partition_count());
        let partitions = PartitionSet::from_iter([(Arc::clone(&topic.name), partition)]);
        // Clients that know version 2 of transactions never ask this.
        self.add(scene, ticket, id, producer, (&partitions, 0), Response::OffsetsAdded)
    }

    fn add(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        id: &TransactionalId,
        producer: Producer,
        added: (&PartitionSet, i16),
        reply: Response,
    ) -> Outcome {
        match self.decide_add(scene, id, producer, added) {
            Ok(Some(change)) => self.decided(id, change, Some((ticket, Ok(reply)))),
            Ok(None) => Outcome::reply(ticket, Ok(reply)),
            Err(error) => Outcome::reply(ticket, Err(error)),
        }
    }

    /// Whether a transaction is decided, and not completed.
    fn is_completing(&self, id: &str) -> bool {
        self.pending(id) == Some(Pending::Changing)
            || self.transactions.get(id).is_some_and(|it| it.state.is_prepared())
    }

    /// `None`: they are in the transaction already.
    fn decide_add(
        &self,
        scene: Scene<'_>,
        id: &TransactionalId,
        producer: Producer,
        (added, client_version): (&PartitionSet, i16),
    ) -> Result<Option<Change>, ErrorCode> {
        let current = self.transactions.get(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        // First, because the producer may have been given an id that is still on its way.
        if self.is_completing(id) {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        self.is_of(producer, current)?;
        if current.state == State::Ongoing && current.partitions.contains_all(added) {
            return Ok(None);
        }
        let mut partitions = current.partitions.clone();
        partitions.insert_all(added);
        let now_ms = scene.now.unix_ms;
        let next = Transaction {
            previous_id: Some(current.producer_id),
            state: State::Ongoing,
            partitions,
            updated_ms: now_ms,
            started_ms: if current.state.is_idle() { now_ms } else { current.started_ms },
            client_version,
            ..current.clone()
        };
        let memory = Memory { previous_id: Some(current.producer_id), ..self.memory(id, current) };
        Ok(Some(Change { next: next.laid_out(layout(scene)), memory, took_id: false }))
    }

    /// Whether partitions are in a transaction (KIP-890): asked by their leaders before they take its records.
    pub(super) fn verify_partitions(&self, scene: Scene<'_>, request: &AddPartitions) -> Reply {
        if let Some(errors) = unknown(scene.image, &request.partitions) {
            return Ok(Response::Partitions(errors));
        }
        let current = self.transactions.get(&request.id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        self.is_of(request.producer, current)?;
        if current.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let judged = request.partitions.iter().map(|(topic, partition)| {
            let is_in = current.partitions.contains(topic, partition);
            let error = if is_in { ErrorCode::None } else { ErrorCode::TransactionAbortable };
            (Arc::clone(topic), partition, error)
        });
        Ok(Response::Partitions(judged.collect()))
    }

    /// Whether a producer is the one that this transactional id has.
    fn is_of(&self, producer: Producer, current: &Transaction) -> Result<(), ErrorCode> {
        if producer.id != current.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        #[cfg(test)]
        if self.bug == Some(super::tests::Bug::OldEpochsAreLetIn) {
            return Ok(());
        }
        if producer.epoch != current.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(())
    }
}

/// Each partition's error, if there is one that does not exist: then none is added.
///
/// It is looked up here, under the metadata of this coordinator, so that a partition of a transaction is one that this
/// coordinator, and any after it, knows of as long as it exists.
fn unknown(image: &Image, partitions: &PartitionSet) -> Option<PartitionErrors> {
    let exists =
        |topic: &str, partition| image.topic(topic).is_some_and(|it| it.partition(partition).is_some());
    if partitions.iter().all(|(topic, partition)| exists(topic, partition)) {
        return None;
    }
    let judged = partitions.iter().map(|(topic, partition)| {
        let known = exists(topic, partition);
        let error = if known { ErrorCode::OperationNotAttempted } else { ErrorCode::UnknownTopicOrPartition };
        (Arc::clone(topic), partition, error)
    });
    Some(judged.collect())
}
