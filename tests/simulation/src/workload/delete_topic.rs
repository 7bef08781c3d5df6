//! DeleteTopics, as long as others are left.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use std::rc::Rc;

struct DeleteTopic;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(DeleteTopic)
}

impl Operation for DeleteTopic {
    fn name(&self) -> &'static str {
        "DeleteTopics"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let count = desk.catalog.topics().len();
        if count < 3 {
            return;
        }
        let chosen = desk.rng.index(count);
        let found = desk.catalog.topics().nth(chosen).map(|(topic, known)| (topic, Rc::clone(&known.name)));
        if let Some((topic, name)) = found {
            desk.ask(Request::DeleteTopic { topic, name });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::DeleteTopic(error)) = ended.outcome {
            desk.expect(error, &[], "DeleteTopics");
        }
    }
}
