//! IncrementalAlterConfigs of settings that move segments' ends and index entries.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use std::rc::Rc;

struct AlterConfig;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(AlterConfig)
}

impl Operation for AlterConfig {
    fn name(&self) -> &'static str {
        "IncrementalAlterConfigs"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let chosen = desk.rng.index(desk.catalog.topics().len());
        let Some(name) = desk.catalog.topics().nth(chosen).map(|(_, known)| Rc::clone(&known.name)) else {
            return;
        };
        let (key, value) = match desk.rng.below(3) {
            0 => ("segment.ms", desk.rng.between(20, 10_000)),
            1 => ("segment.bytes", 1_048_576),
            _ => ("index.interval.bytes", desk.rng.below(5_000)),
        };
        desk.ask(Request::AlterConfig { name: Some(name), key, value: value.to_string() });
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::AlterConfig(error)) = ended.outcome {
            desk.expect(error, &[], "IncrementalAlterConfigs");
        }
    }
}
