//! Requests that the controller decides: one question, one answer.

use crate::{
    controller::{ApiError, CreateTopicsRequest, NewTopic},
    engine::{
        Ask, Context, ControllerRequest, ControllerResponse, Gather, OwnerResponse, Response, Start, Step,
    },
    error::ErrorCode,
};
use tracing::warn;

/// How long the creation of an internal topic is waited for.
const CREATION_MS_MAX: i32 = 5000;

/// What becomes of the controller's answer: the response, given the answer or why there is none.
type Finish = Box<dyn FnMut(&mut Context<'_>, Result<ControllerResponse, ErrorCode>) -> Response>;

struct Controlled {
    name: &'static str,
    finish: Finish,
}

/// Asks the controller; `finish` makes the response.
pub(super) fn ask(
    context: &Context<'_>,
    name: &'static str,
    timeout_ms: i32,
    request: ControllerRequest,
    finish: impl FnMut(&mut Context<'_>, Result<ControllerResponse, ErrorCode>) -> Response + 'static,
) -> Start {
    Start::Gather {
        gather: Box::new(Controlled { name, finish: Box::new(finish) }),
        asks: vec![Ask::Controller(request)],
        deadline: Some(context.after_ms(timeout_ms)),
    }
}

impl Gather for Controlled {
    fn answered(&mut self, _context: &mut Context<'_>, _response: OwnerResponse) -> Step {
        Step::Wait
    }

    fn controller_answered(&mut self, context: &mut Context<'_>, response: ControllerResponse) -> Step {
        let answer = match response {
            ControllerResponse::Unavailable(error) => Err(error),
            answer => Ok(answer),
        };
        Step::Done((self.finish)(context, answer))
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done((self.finish)(context, Err(ErrorCode::RequestTimedOut)))
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// An internal topic, if there is none of this name yet.
pub(super) fn missing_internal(
    context: &Context<'_>,
    name: &str,
    topic: impl FnOnce(&Context<'_>) -> NewTopic,
) -> Option<NewTopic> {
    context.image.topic(name).is_none().then(|| topic(context))
}

/// Replicas of an internal topic where nobody has said how many.
const INTERNAL_REPLICAS: i16 = 3;

/// How many replicas an internal topic gets. Kafka waits until there are as many brokers as it is told replicas of; where
/// nobody said how many, those that live will do.
pub(super) fn internal_replicas(context: &Context<'_>, configured: Option<i16>) -> i16 {
    let alive = context.image.brokers().filter(|broker| broker.is_active()).count();
    let brokers = i16::try_from(alive).unwrap_or(i16::MAX);
    configured.unwrap_or_else(|| INTERNAL_REPLICAS.min(brokers).max(1))
}

/// Has an internal topic created; `finish` makes the response, given why that failed, if it did.
pub(super) fn make_internal(
    context: &Context<'_>,
    name: &'static str,
    topic: NewTopic,
    mut finish: impl FnMut(&mut Context<'_>, Option<ErrorCode>) -> Response + 'static,
) -> Start {
    let topic_name = topic.name.clone();
    let creation = CreateTopicsRequest { topics: vec![topic], validate_only: false };
    let request = ControllerRequest::CreateTopics(creation);
    ask(context, name, CREATION_MS_MAX, request, move |context, answer| {
        let failed = match answer {
            Ok(ControllerResponse::CreateTopics(results)) => {
                let mut failed = results.into_iter().filter_map(|result| result.result.err());
                // Another connection may have been faster.
                failed.find(|error| error.code != ErrorCode::TopicAlreadyExists)
            }
            Ok(_) => Some(ApiError::new(WRONG_KIND, "")),
            Err(error) => Some(ApiError::new(error, "")),
        };
        if let Some(error) = &failed {
            warn!(
                "{topic_name} cannot be created, and nothing that lives in it: {}: {}",
                error.code, error.message
            );
        }
        finish(context, failed.map(|error| error.code))
    })
}

/// An answer of another kind than was asked for: a bug of the desk, told to the client as such.
pub(super) const WRONG_KIND: ErrorCode = ErrorCode::UnknownServerError;
