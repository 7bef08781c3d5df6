//! DeleteRecords below an offset that was seen to be committed.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::{error::ErrorCode, ids::Offset};

struct DeleteRecords;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(DeleteRecords)
}

impl Operation for DeleteRecords {
    fn name(&self) -> &'static str {
        "DeleteRecords"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        for (partition, topic) in desk.some_partitions(1) {
            let committed = desk.catalog.high_watermark(partition).0.unsigned_abs();
            let before = Offset(desk.rng.between(0, committed).cast_signed());
            desk.ask(Request::DeleteRecords { partition, topic, before });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        let Request::DeleteRecords { before, partition, topic } = ended.request else { return };
        let is_kept = desk.catalog.is_compacted(&topic) && !desk.catalog.is_passing(&topic);
        match &ended.outcome {
            Outcome::Answered(Answer::DeleteRecords(Ok(_))) => {
                desk.catalog.note_deleted_below(partition, before)
            }
            Outcome::Answered(_) | Outcome::Lost => desk.catalog.note_maybe_deleted(partition),
        }
        match ended.outcome {
            Outcome::Answered(Answer::DeleteRecords(Ok(_))) if is_kept => {
                desk.violated(format!("{partition}: deleted although its policy is to compact only"));
            }
            Outcome::Answered(Answer::DeleteRecords(Err(ErrorCode::PolicyViolation))) if is_kept => {}
            Outcome::Answered(Answer::DeleteRecords(Ok(low_watermark))) if low_watermark < before => {
                desk.violated(format!(
                    "{partition}: deleted below {before}, but it starts at {low_watermark}"
                ));
            }
            Outcome::Answered(Answer::DeleteRecords(Err(error))) => {
                desk.expect(error, &[], "DeleteRecords below the high watermark");
            }
            Outcome::Answered(_) | Outcome::Lost => {}
        }
    }
}
