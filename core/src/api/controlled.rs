//! Requests that the controller decides: one question, one answer.

use crate::{
    engine::{
        Ask, Context, ControllerRequest, ControllerResponse, Gather, OwnerResponse, Response, Start, Step,
    },
    error::ErrorCode,
};

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

/// An answer of another kind than was asked for: a bug of the desk, told to the client as such.
pub(super) const WRONG_KIND: ErrorCode = ErrorCode::UnknownServerError;
