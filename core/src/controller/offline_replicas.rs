//! Replicas that are offline: a broker's disk keeps it from one partition, while it goes on with all others. Kafka has this for
//! whole log directories only (KIP-858).

use super::{
    ApiError, Controller, Decision,
    partition_change::{Electorate, Target},
};
use crate::{
    ids::{NodeId, TopicId},
    metadata::{LeaderChange, Record},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A broker can neither store nor serve these any more, until it starts again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineReplicasRequest {
    /// The broker.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: i64,
    /// By topic and number.
    pub partitions: Vec<(TopicId, i32)>,
}

impl Controller {
    /// Decides what becomes of partitions of which a broker's replicas are offline: others lead, and it is not in sync. What no
    /// other can lead stays as it is, since only that broker has all of it. The errors are those of a registration that is not
    /// the present one, and of the quorum.
    pub fn offline_replicas(&mut self, request: &OfflineReplicasRequest) -> Decision<Result<(), ApiError>> {
        let OfflineReplicasRequest { broker, broker_epoch, partitions } = request;
        if let Err(error) = self.check_broker_epoch(*broker, *broker_epoch) {
            return self.unchanged(Err(error));
        }
        let electorate = Electorate::without(&self.speculative, *broker);
        let rules = self.topic_rules();
        let named: BTreeSet<&(TopicId, i32)> = partitions.iter().collect();
        let changes = named.into_iter().filter_map(|(id, index)| {
            let topic = self.speculative.topic_by_id(*id)?;
            let partition = topic.partition(*index).filter(|partition| partition.isr.contains(broker))?;
            let rules = rules(topic);
            let target = Target::without(partition, *broker);
            electorate.change((*id, *index), partition, rules, target, rules.choice())
        });
        let kept = changes.filter(|change| change.leader != LeaderChange::Offline);
        let records = kept.map(Record::PartitionChange).collect();
        self.of_broker(*broker, *broker_epoch, records, ())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{committed, controller, id, state, with_replicas},
        *,
    };
    use crate::error::ErrorCode;

    fn report(controller: &mut Controller, broker: i32, topics: &[u128]) -> Result<bool, ErrorCode> {
        let broker = NodeId(broker);
        let broker_epoch = controller.committed().broker(broker).map_or(-1, |known| known.epoch);
        let partitions = topics.iter().map(|topic| (id(*topic), 0)).collect();
        let decision =
            controller.offline_replicas(&OfflineReplicasRequest { broker, broker_epoch, partitions });
        let changes = decision.batch.is_some();
        committed(controller, decision).map(|()| changes).map_err(|error| error.code)
    }

    #[test]
    fn others_lead_and_hold_up_what_one_broker_cannot_serve_any_more() {
        let mut controller = controller(3);
        let min = [("min.insync.replicas", "2")];
        with_replicas(&mut controller, "led", 0x200, &[1, 2, 3], &min);
        with_replicas(&mut controller, "followed", 0x201, &[2, 1], &min);
        with_replicas(&mut controller, "alone", 0x202, &[1], &[]);
        with_replicas(&mut controller, "well", 0x203, &[1, 2], &[]);
        let named = [0x200, 0x201, 0x202, 0x200, 0x999];
        assert_eq!(report(&mut controller, 1, &named), Ok(true));
        assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2, 3], vec![]));
        assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![1]));
        assert_eq!(state(&controller, 0x202, 0), (Some(1), vec![1], vec![]), "only it has that");
        assert_eq!(state(&controller, 0x203, 0), (Some(1), vec![1, 2], vec![]));
        assert_eq!(report(&mut controller, 1, &named), Ok(false), "once");
        // Of the others the last stays too.
        assert_eq!(report(&mut controller, 2, &[0x200]), Ok(true));
        assert_eq!(state(&controller, 0x200, 0), (Some(3), vec![3], vec![2]));
        assert_eq!(report(&mut controller, 9, &[0x200]), Err(ErrorCode::StaleBrokerEpoch));
    }
}
