//! CreatePartitions: one or two more.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::error::ErrorCode;
use std::rc::Rc;

const PARTITIONS_MAX: i32 = 8;

struct CreatePartitions;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(CreatePartitions)
}

impl Operation for CreatePartitions {
    fn name(&self) -> &'static str {
        "CreatePartitions"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let count = desk.catalog.topics().len();
        // They get as many replicas as the first one has, which may be moved to two, and one of these may be given to a broker
        // that lost its disk: such a partition takes nothing, as is right.
        let may_be_stuck = desk.catalog.are_reassigned && desk.catalog.routes.has_avoided();
        let (chosen, more) = (desk.rng.index(count), 1 + i32::from(desk.rng.below(2) == 0));
        let found = desk.catalog.topics().nth(chosen);
        let Some((topic, known)) =
            found.filter(|(_, known)| known.partitions + more <= PARTITIONS_MAX && !may_be_stuck)
        else {
            return;
        };
        let request =
            Request::CreatePartitions { topic, name: Rc::clone(&known.name), count: known.partitions + more };
        desk.ask(request);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::CreatePartitions(error)) = ended.outcome {
            // Another client's request, whose answer was lost, may have made as many already; and of a cluster, all
            // brokers may be fenced.
            let also = [ErrorCode::InvalidPartitions, ErrorCode::InvalidReplicationFactor];
            let count = if desk.catalog.routes.are_many() { 2 } else { 1 };
            desk.expect(error, &also[..count], "CreatePartitions");
        }
    }
}
