//! AlterPartition: the leader of partitions says who is in sync (KIP-497), with its followers' registrations, so that one
//! that restarted in between is not taken for in sync (KIP-903).

use super::{
    Controller, Decision,
    partition_change::{Electorate, Target, TopicRules},
};
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, TopicId},
    metadata::{LeaderChange, PartitionChangeRecord, PartitionImage, Precondition, Record, TopicImage},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a leader asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterPartitionsRequest {
    /// The leader.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: i64,
    /// Each is altered or refused for itself.
    pub partitions: Vec<AlterPartition>,
}

/// Who is in sync of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterPartition {
    /// Its topic.
    pub topic: TopicId,
    /// Its number.
    pub index: i32,
    /// The epoch in which the broker leads it.
    pub leader_epoch: LeaderEpoch,
    /// The state that is to be replaced.
    pub partition_epoch: i32,
    /// Who is in sync from now on, each with its registration as the leader knows it; -1 if it does not.
    pub isr: Vec<(NodeId, i64)>,
}

/// A partition as it is when the change is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlteredPartition {
    /// Who leads.
    pub leader: NodeId,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// Of this state.
    pub partition_epoch: i32,
}

/// What became of each partition of a request, in its order.
pub type AlteredPartitions = Vec<(TopicId, i32, Result<AlteredPartition, ErrorCode>)>;

impl Controller {
    /// Decides on changes of ISRs. Errors are those of Kafka's AlterPartition; a request of a registration that is not
    /// the present one is refused with STALE_BROKER_EPOCH for each partition, and a partition that is named again with
    /// OPERATION_NOT_ATTEMPTED.
    pub fn alter_partitions(&mut self, request: &AlterPartitionsRequest) -> Decision<AlteredPartitions> {
        let refuse_all = |code: ErrorCode| -> AlteredPartitions {
            request.partitions.iter().map(|it| (it.topic, it.index, Err(code))).collect()
        };
        if self.check_broker_epoch(request.broker, request.broker_epoch).is_err() {
            return self.unchanged(refuse_all(ErrorCode::StaleBrokerEpoch));
        }
        let rules = self.topic_rules();
        let (mut preconditions, mut records, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let results = request.partitions.iter().map(|asked| {
            let result = match seen.insert((asked.topic, asked.index)) {
                true => self.alter_partition(request.broker, asked, &rules, &mut preconditions, &mut records),
                false => Err(ErrorCode::OperationNotAttempted),
            };
            (asked.topic, asked.index, result)
        });
        let results: AlteredPartitions = results.collect();
        preconditions
            .push(Precondition::BrokerEpoch { id: request.broker, epoch: Some(request.broker_epoch) });
        // More than one batch holds is left for the next request: what was not attempted is asked for again.
        let error = |error: super::ApiError| match error.code {
            ErrorCode::PolicyViolation => ErrorCode::OperationNotAttempted,
            code => code,
        };
        match self.propose(preconditions, records, results) {
            Ok(decision) => decision,
            Err(refused) => self.unchanged(refuse_all(error(refused))),
        }
    }

    fn alter_partition(
        &self,
        broker: NodeId,
        asked: &AlterPartition,
        rules: &dyn Fn(&TopicImage) -> TopicRules,
        preconditions: &mut Vec<Precondition>,
        records: &mut Vec<Record>,
    ) -> Result<AlteredPartition, ErrorCode> {
        let topic = self.speculative.topic_by_id(asked.topic).ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partition(asked.index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.check_alteration(broker, asked, partition)?;
        let isr = asked.isr.iter().map(|(id, _)| *id).collect();
        let target = Target { isr, ..Target::of(partition) };
        let rules = rules(topic);
        let change = Electorate::of(&self.speculative).change(
            (topic.id, asked.index),
            partition,
            rules,
            target,
            rules.choice(),
        );
        let Some(change) = change else {
            return Ok(altered(
                broker,
                partition,
                &PartitionChangeRecord::default(),
                partition.partition_epoch,
            ));
        };
        let next = partition.partition_epoch.checked_add(1).ok_or(ErrorCode::UnknownServerError)?;
        let result = match change.leader {
            // The end of a reassignment can take the leadership away.
            LeaderChange::Offline => Err(ErrorCode::NewLeaderElected),
            LeaderChange::Leader(leader) if leader != broker => Err(ErrorCode::NewLeaderElected),
            LeaderChange::Leader(_) | LeaderChange::Unchanged => {
                Ok(altered(broker, partition, &change, next))
            }
        };
        preconditions.push(Precondition::PartitionEpoch {
            topic: topic.id,
            index: asked.index,
            epoch: partition.partition_epoch,
        });
        records.push(Record::PartitionChange(change));
        result
    }

    fn check_alteration(
        &self,
        broker: NodeId,
        asked: &AlterPartition,
        partition: &PartitionImage,
    ) -> Result<(), ErrorCode> {
        if asked.leader_epoch > partition.leader_epoch || asked.partition_epoch > partition.partition_epoch {
            // The leader knows more than this node, which has therefore lost the quorum's leadership.
            return Err(ErrorCode::NotController);
        }
        if asked.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if partition.leader != Some(broker) {
            return Err(ErrorCode::InvalidRequest);
        }
        if asked.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let isr: BTreeSet<NodeId> = asked.isr.iter().map(|(id, _)| *id).collect();
        let are_replicas = isr.iter().all(|id| partition.replicas.contains(id));
        if isr.len() != asked.isr.len() || !are_replicas || !isr.contains(&broker) {
            return Err(ErrorCode::InvalidRequest);
        }
        // A leader that hands over as it stops has no one to hand it to: it is in sync as long as it leads.
        let eligible = |(id, epoch): &(NodeId, i64)| {
            self.speculative.broker(*id).is_some_and(|known| {
                (known.is_active() || (*id == broker && !known.fenced))
                    && (*epoch == -1 || *epoch == known.epoch)
            })
        };
        if asked.isr.iter().all(eligible) { Ok(()) } else { Err(ErrorCode::IneligibleReplica) }
    }
}

fn altered(
    leader: NodeId,
    partition: &PartitionImage,
    change: &PartitionChangeRecord,
    partition_epoch: i32,
) -> AlteredPartition {
    let raised = i32::from(change.leader != LeaderChange::Unchanged);
    AlteredPartition {
        leader,
        leader_epoch: LeaderEpoch(partition.leader_epoch.0.saturating_add(raised)),
        isr: change.isr.clone().unwrap_or_else(|| partition.isr.clone()),
        partition_epoch,
    }
}

#[cfg(test)]
mod tests;
