//! AlterPartitionReassignments by a simulated administrator: a partition to other brokers, or to the same in another
//! order, and back.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::error::ErrorCode;

/// `min.insync.replicas` of all clusters: with fewer replicas nothing would be taken any more.
const REPLICAS_MIN: usize = 2;

/// As many as a topic gets at first.
const REPLICAS_MAX: usize = 3;

struct Reassign;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(Reassign)
}

impl Operation for Reassign {
    fn name(&self) -> &'static str {
        "AlterPartitionReassignments"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let back = desk.rng.below(6) == 0;
        for (partition, topic) in desk.some_partitions(1) {
            let mut nodes = desk.catalog.routes.nodes();
            let most = nodes.len().min(REPLICAS_MAX);
            // More often than not the number of replicas stays.
            let count = if desk.rng.below(4) == 0 { REPLICAS_MIN } else { most };
            let replicas = (0..count).map(|_| nodes.swap_remove(desk.rng.index(nodes.len()))).collect();
            let replicas = (!back).then_some(replicas);
            desk.catalog.are_reassigned = true;
            desk.ask(Request::Reassign { partition, topic, replicas });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        let Request::Reassign { replicas, .. } = &ended.request else { return };
        if let Outcome::Answered(Answer::Reassign(error)) = ended.outcome {
            // Until all brokers have registered for the first time some are unknown. Where all that is left was being
            // added, there is no way back.
            let also = match replicas {
                Some(_) => &[ErrorCode::InvalidReplicaAssignment][..],
                None => &[ErrorCode::NoReassignmentInProgress, ErrorCode::InvalidReplicaAssignment][..],
            };
            desk.expect(error, also, "AlterPartitionReassignments");
        }
    }
}
