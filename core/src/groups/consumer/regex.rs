//! Subscriptions by regular expression (KIP-848, `SubscribedTopicRegex`): Kafka compiles them with RE2/J, and so does the
//! `regex` crate in all that matters for the names of topics. Matching takes linear time.

use super::hash::version;
use crate::{groups::records::ResolvedRegex, metadata::Image};
use regex::bytes::{Regex, RegexBuilder};
use std::{collections::BTreeMap, sync::Arc};

/// The largest compiled expression: what a look at a topic's name costs grows with it.
const COMPILED_BYTES_MAX: usize = 512 * 1024;

/// Compiles an expression, which must match a whole name.
///
/// # Errors
/// What is wrong with it, in a sentence for its author.
pub(super) fn compile(text: &str) -> Result<Regex, String> {
    let whole = format!("^(?:{text})$");
    let build =
        |unicode: bool| RegexBuilder::new(&whole).unicode(unicode).size_limit(COMPILED_BYTES_MAX).build();
    // An expression that is not whole by itself shall not become so by the brackets around it: `a)|(b`.
    is_whole(text)?;
    // As in RE2, `\w` and the like are of ASCII; what is more than bytes (`\pL`) needs Unicode.
    build(false).or_else(|_| build(true)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        error => last_line(&error),
    })
}

fn is_whole(text: &str) -> Result<(), String> {
    let alone = |unicode| RegexBuilder::new(text).unicode(unicode).size_limit(COMPILED_BYTES_MAX).build();
    match alone(false).or_else(|_| alone(true)) {
        Err(error @ regex::Error::Syntax(_)) => Err(last_line(&error)),
        _ => Ok(()),
    }
}

/// The crate draws the expression with a mark first and says what is wrong last.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// What each expression stands for, by one look at the name of each topic (`TopicRegexResolver`). Those that do not
/// compile stand for nothing.
pub(super) fn resolve<'a>(
    expressions: impl Iterator<Item = &'a Arc<str>>,
    image: &Image,
    now_ms: i64,
) -> BTreeMap<Arc<str>, Arc<ResolvedRegex>> {
    let version = version(image);
    let each = expressions.map(|text| {
        let mut topics = Vec::new();
        if let Ok(regex) = compile(text) {
            let names = image.topics().map(|topic| &topic.name);
            topics.extend(names.filter(|name| regex.is_match(name.as_bytes())).map(Arc::clone));
        }
        (Arc::clone(text), Arc::new(ResolvedRegex { topics, version, at_ms: now_ms }))
    });
    each.collect()
}
