//! Metadata of all topics: how clients find what another client's lost CreateTopics made after all.

use super::{Desk, Operation};
use crate::client::{model::Ended, request::Request};

struct Metadata;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(Metadata)
}

impl Operation for Metadata {
    fn name(&self) -> &'static str {
        "Metadata"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        desk.ask(Request::Metadata);
    }

    fn ended(&mut self, _: Ended, _: &mut Desk<'_>) {}
}
