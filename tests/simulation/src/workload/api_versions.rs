//! ApiVersions, as every client asks first.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};

struct ApiVersions;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(ApiVersions)
}

impl Operation for ApiVersions {
    fn name(&self) -> &'static str {
        "ApiVersions"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        desk.ask(Request::ApiVersions);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::ApiVersions(error)) = ended.outcome
            && !error.is_none()
        {
            desk.violated(format!("ApiVersions was answered {error}"));
        }
    }
}
