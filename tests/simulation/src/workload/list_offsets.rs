//! ListOffsets: earliest, latest, by time and of the largest time.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::{Request, Spec},
};

struct ListOffsets;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(ListOffsets)
}

impl Operation for ListOffsets {
    fn name(&self) -> &'static str {
        "ListOffsets"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        for (partition, topic) in desk.some_partitions(2) {
            let spec = match desk.rng.below(4) {
                0 => Spec::Earliest,
                1 => Spec::Latest,
                2 => Spec::MaxTimestamp,
                _ => Spec::Timestamp(desk.unix_ms - desk.rng.below(20_000).cast_signed()),
            };
            desk.ask(Request::ListOffsets { partition, topic, spec });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::ListOffsets(Err(error))) = ended.outcome {
            desk.expect(error, &[], "ListOffsets");
        }
    }
}
