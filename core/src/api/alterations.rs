//! Configurations that are altered: what IncrementalAlterConfigs and AlterConfigs have in common.

use super::{
    configs::{BROKER_LOGGER, resource_to_alter},
    controlled::WRONG_KIND,
    loggers,
};
use crate::{
    controller::{AlterConfigsRequest, AlterResource, ApiError, ConfigOp, ResourceResult},
    engine::{
        Ask, Context, ControllerRequest, ControllerResponse, Gather, LoggersChange, OwnerResponse, Response,
        Start, Step,
    },
    error::ErrorCode,
};

/// The requests name no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

/// A refusal of a resource, by code and words.
pub(super) type Refusal = (ErrorCode, String);

/// What a request wants of one resource.
pub(super) struct Wanted {
    pub kind: i8,
    pub name: String,
    pub ops: Result<Vec<ConfigOp>, Refusal>,
}

/// What became of one resource.
pub(super) struct Altered {
    pub kind: i8,
    pub name: String,
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// The results of a response: the two codecs have a type each, of the same fields.
macro_rules! responses {
    ($response:ty, $altered:expr) => {
        $altered
            .into_iter()
            .map(|$crate::api::alterations::Altered { kind, name, error, message }| {
                <$response>::default()
                    .with_error_code(error.code())
                    .with_error_message(message.map($crate::api::respond::text))
                    .with_resource_type(kind)
                    .with_resource_name($crate::api::respond::text(name))
            })
            .collect()
    };
}
pub(super) use responses;

/// How a request alters.
pub(super) struct Mode {
    /// The key, for the trace.
    pub name: &'static str,
    /// What is set and not named gets its default again. Of loggers there is no such thing.
    pub replaces: bool,
    pub validate_only: bool,
}

/// Who decides on a resource, and its place among those it is asked about.
#[derive(Clone, Copy)]
enum Decider {
    Controller(usize),
    Loggers(u32),
}

type Encode = Box<dyn FnMut(Vec<Altered>) -> Response>;

struct Alterations {
    name: &'static str,
    /// An error found here, or who decides.
    outcomes: Vec<(i8, String, Result<Decider, Refusal>)>,
    /// `None` while it is not known, or is not asked for.
    controller: Option<Result<Vec<ResourceResult>, ErrorCode>>,
    loggers: Option<Vec<(u32, Result<(), ApiError>)>>,
    waiting: usize,
    encode: Encode,
}

/// Asks who decides; `encode` gets one result per resource, in the request's order.
pub(super) fn ask(
    context: &Context<'_>,
    mode: Mode,
    wanted: Vec<Wanted>,
    encode: impl FnMut(Vec<Altered>) -> Response + 'static,
) -> Start {
    let mut resources: Vec<AlterResource> = Vec::new();
    let mut changes: Vec<LoggersChange> = Vec::new();
    let loggers_named: Vec<String> =
        wanted.iter().filter(|it| it.kind == BROKER_LOGGER).map(|it| it.name.clone()).collect();
    let mut outcomes = Vec::new();
    for Wanted { kind, name, ops } in wanted {
        let decider = ops.and_then(|ops| {
            if kind == BROKER_LOGGER && !mode.replaces {
                if loggers_named.iter().filter(|other| **other == name).count() > 1 {
                    let text = "Each resource must appear at most once.".to_owned();
                    return Err((ErrorCode::InvalidRequest, text));
                }
                loggers::alterable(context, &name)?;
                let place = u32::try_from(changes.len()).expect("a request names few");
                changes.push(LoggersChange { place, ops });
                return Ok(Decider::Loggers(place));
            }
            let resource = resource_to_alter(context, kind, &name)?;
            resources.push(AlterResource { resource, ops, replaces: mode.replaces });
            Ok(Decider::Controller(resources.len() - 1))
        });
        outcomes.push((kind, name, decider));
    }
    let mut asks = Vec::new();
    if !changes.is_empty() {
        asks.push(loggers::ask_to_alter(changes, mode.validate_only));
    }
    if !resources.is_empty() {
        let request = AlterConfigsRequest { resources, validate_only: mode.validate_only };
        asks.push(Ask::Controller(ControllerRequest::AlterConfigs(request)));
    }
    let mut gather = Alterations {
        name: mode.name,
        outcomes,
        controller: None,
        loggers: None,
        waiting: asks.len(),
        encode: Box::new(encode),
    };
    if asks.is_empty() {
        return Start::Ready(gather.finish());
    }
    Start::Gather { gather: Box::new(gather), asks, deadline: Some(context.after_ms(TIMEOUT_MS)) }
}

impl Alterations {
    fn one_less(&mut self) -> Step {
        self.waiting -= 1;
        if self.waiting == 0 { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn finish(&mut self) -> Response {
        let altered = self.outcomes.iter().map(|(kind, name, outcome)| {
            let decided = match outcome {
                Err((error, message)) => Err((*error, Some(message.clone()))),
                Ok(decider) => self.decided(*decider),
            };
            let (error, message) = decided.err().unwrap_or((ErrorCode::None, None));
            Altered { kind: *kind, name: name.clone(), error, message }
        });
        let altered = altered.collect();
        (self.encode)(altered)
    }

    fn decided(&self, decider: Decider) -> Result<(), (ErrorCode, Option<String>)> {
        let result = match decider {
            Decider::Controller(place) => match &self.controller {
                None => return Err((ErrorCode::RequestTimedOut, None)),
                Some(Err(error)) => return Err((*error, None)),
                Some(Ok(results)) => results.get(place).map(|result| &result.result),
            },
            Decider::Loggers(place) => match &self.loggers {
                None => return Err((ErrorCode::RequestTimedOut, None)),
                Some(results) => results.iter().find(|(at, _)| *at == place).map(|(_, result)| result),
            },
        };
        match result {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err((error.code, Some(error.message.clone()))),
            None => Err((WRONG_KIND, None)),
        }
    }
}

impl Gather for Alterations {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::LoggersAltered(results) = response else { return Step::Wait };
        self.loggers = Some(results);
        self.one_less()
    }

    fn controller_answered(&mut self, _context: &mut Context<'_>, response: ControllerResponse) -> Step {
        self.controller = Some(match response {
            ControllerResponse::AlterConfigs(results) => Ok(results),
            ControllerResponse::Unavailable(error) => Err(error),
            _ => Err(WRONG_KIND),
        });
        self.one_less()
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        self.name
    }
}
