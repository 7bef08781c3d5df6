//! The probe: after all faults are over, every partition takes a record under acks=all again.

use super::{Desk, Operation, is_passing};
use crate::client::{
    answer::Answer,
    history::Acks,
    model::{Ended, Outcome},
    record::{self, By},
    request::{Batch, Request},
};
use corelane_core::{error::ErrorCode, records::Codec};

/// Asked again when a broker that has just started is not ready yet.
const TRIES_MAX: u32 = 60;

/// See the module. A partition that refuses is a violation.
#[derive(Default)]
pub struct Probe {
    tries: u32,
}

impl Operation for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        for (partition, topic) in desk.catalog.partitions() {
            let records = desk.catalog.new_records(1);
            let keyed = desk.catalog.is_compacted(&topic);
            let bytes = record::batch(&records, 10, Codec::None, desk.unix_ms, By::Anyone, keyed);
            let batches = vec![Batch { partition, topic, records, bytes, producer: None }];
            desk.ask(Request::Produce { acks: Acks::All, by_id: true, batches, transaction: None });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        let why = match ended.outcome {
            Outcome::Answered(Answer::Produce(outcomes)) => match outcomes.first().map(|it| it.error) {
                Some(ErrorCode::None) | None => return,
                Some(error) if is_passing(error) => error.to_string(),
                Some(error) => return desk.violated(format!("a probe was answered {error}")),
            },
            Outcome::Answered(_) | Outcome::Lost => "lost".to_owned(),
        };
        self.tries += 1;
        if self.tries > TRIES_MAX {
            desk.violated(format!("a healthy broker takes no record, last {why}: {:?}", ended.request));
        } else {
            desk.ask_again(ended.request);
        }
    }
}
