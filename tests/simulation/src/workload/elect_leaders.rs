//! ElectLeaders: preferred replicas lead again, so that leaderships are lost and regained within a run.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};

struct ElectLeaders;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(ElectLeaders)
}

impl Operation for ElectLeaders {
    fn name(&self) -> &'static str {
        "ElectLeaders"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        desk.ask(Request::ElectLeaders);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::ElectLeaders(error)) = ended.outcome {
            desk.expect(error, &[], "ElectLeaders");
        }
    }
}
