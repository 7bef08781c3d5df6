//! DescribeConfigs (key 32), versions 1-4 (KIP-133, KIP-226; levels of loggers: KIP-412; types and documentation from v3: KIP-569).

use super::{
    alterations::Refusal,
    configs::{BROKER_LOGGER, CLIENT_METRICS, GROUP, describe},
    loggers,
    respond::{ReplyTo, text, too_many},
};
use crate::{
    config::DescribedConfig,
    engine::{Context, Gather, OwnerResponse, Start, Step},
    error::ErrorCode,
    limits,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
    protocol::StrBytes,
};
use std::collections::BTreeSet;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeConfigsRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.resources.len()) {
        return Ok(end);
    }
    let version = header.api_version;
    let detail = Detail {
        synonyms: request.include_synonyms,
        config_type: version >= 3,
        documentation: version >= 3 && request.include_documentation,
    };
    let mut once = Once::default();
    let mut of_loggers = Vec::new();
    let results = request.resources.into_iter().enumerate().map(|(place, resource)| {
        let keys: Option<Vec<&str>> =
            resource.configuration_keys.as_ref().map(|keys| keys.iter().map(|key| key.as_str()).collect());
        let result = DescribeConfigsResult::default().with_resource_type(resource.resource_type);
        let (kind, name) = (resource.resource_type, &resource.resource_name);
        let described = once.admit(kind, name).and_then(|()| {
            if kind != BROKER_LOGGER {
                return describe(context, kind, name, keys.as_deref());
            }
            loggers::describable(context, name)?;
            of_loggers.push((place, resource.configuration_keys.clone()));
            Ok(Vec::new())
        });
        match described {
            Ok(configs) => result.with_configs(configs.into_iter().map(|config| detail.of(config)).collect()),
            Err((error, message)) => {
                let message = if message.is_empty() { error.name().to_owned() } else { message };
                result.with_error_code(error.code()).with_error_message(Some(text(message)))
            }
        }
        .with_resource_name(resource.resource_name)
    });
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    let reply_to = ReplyTo::new(header);
    if of_loggers.is_empty() {
        return reply_to.ready(&response);
    }
    let gather = Box::new(WithLoggers { reply_to, response, of_loggers });
    let deadline = Some(context.after_ms(TIMEOUT_MS));
    Ok(Start::Gather { gather, asks: vec![loggers::ask_levels()], deadline })
}

/// The shard that keeps the levels answers from memory; one that does not is stuck.
const TIMEOUT_MS: i32 = 20_000;

/// A response that lacks the levels of loggers only.
struct WithLoggers {
    reply_to: ReplyTo,
    response: DescribeConfigsResponse,
    /// The places of the resources that are loggers, and which ones are asked for.
    of_loggers: Vec<(usize, Option<Vec<StrBytes>>)>,
}

impl WithLoggers {
    fn finish(&mut self, mut describe: impl FnMut(&mut DescribeConfigsResult, Option<&[StrBytes]>)) -> Step {
        for (place, keys) in &self.of_loggers {
            describe(&mut self.response.results[*place], keys.as_deref());
        }
        Step::Done(self.reply_to.encode(&self.response))
    }
}

impl Gather for WithLoggers {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::LoggerLevels(levels) = response else { return Step::Wait };
        self.finish(|result, keys| result.configs = loggers::described(&levels, keys))
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        self.finish(|result, _| {
            result.error_code = ErrorCode::RequestTimedOut.code();
            result.error_message = Some(text(ErrorCode::RequestTimedOut.name()));
        })
    }

    fn name(&self) -> &'static str {
        "DescribeConfigs"
    }
}

/// Keeps an answer from growing out of all proportion to its request: a broker's takes a hundred kilobytes.
#[derive(Default)]
struct Once {
    seen: BTreeSet<(i8, StrBytes)>,
    unlisted: usize,
}

impl Once {
    /// Whether a resource is described: each once, and not too many of which anyone can make up the names.
    fn admit(&mut self, kind: i8, name: &StrBytes) -> Result<(), Refusal> {
        if !self.seen.insert((kind, name.clone())) {
            return Err((ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned()));
        }
        self.unlisted += usize::from(matches!(kind, GROUP | CLIENT_METRICS));
        if self.unlisted > limits::UNLISTED_RESOURCES_PER_REQUEST_MAX {
            let text = format!(
                "More than {} groups and client metrics subscriptions in one request",
                limits::UNLISTED_RESOURCES_PER_REQUEST_MAX
            );
            return Err((ErrorCode::InvalidRequest, text));
        }
        Ok(())
    }
}

struct Detail {
    synonyms: bool,
    config_type: bool,
    documentation: bool,
}

impl Detail {
    fn of(&self, config: DescribedConfig) -> DescribeConfigsResourceResult {
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(text(config.name))
            .with_value(config.value.map(text))
            .with_read_only(config.read_only)
            .with_config_source(config.source.code())
            .with_is_sensitive(config.sensitive);
        if self.synonyms {
            result.synonyms = config
                .synonyms
                .into_iter()
                .map(|synonym| {
                    DescribeConfigsSynonym::default()
                        .with_name(text(synonym.name))
                        .with_value(synonym.value.map(text))
                        .with_source(synonym.source.code())
                })
                .collect();
        }
        if self.config_type {
            result.config_type = config.config_type;
        }
        if self.documentation {
            result.documentation = Some(text(config.documentation));
        }
        result
    }
}
