//! Subscriptions by regular expression (KIP-848, `SubscribedTopicRegex`): Kafka compiles them with RE2/J, and so does the
//! `regex` crate in all that matters for the names of topics. Matching takes linear time.
//!
//! Whoever writes an expression chooses what it costs, so each piece of that work is bounded here, as work and not as
//! time: the text, what it is compiled to, and how many names are looked at in one piece (`TopicRegexResolver` does it on
//! threads of its own).

use super::{group::Resolved, hash::version};
use crate::{groups::records::ResolvedRegex, metadata::Image};
use regex::bytes::{Regex, RegexBuilder};
use std::{collections::VecDeque, mem, sync::Arc};

/// The longest expression.
const TEXT_BYTES_MAX: usize = 4096;

/// The longest expression with Unicode classes (`\pL`): with `(?i)` each of them takes half a millisecond to parse. Names
/// of topics have no use for them; an expression that was written for Kafka may.
const UNICODE_TEXT_BYTES_MAX: usize = 64;

/// The largest compiled expression: a look at a name costs up to 4 ns for each byte of it and each 64 bytes of this, so
/// that the longest name under the largest expression takes about a millisecond. Some Unicode classes fit.
const COMPILED_BYTES_MAX: usize = 64 * KIB;
const KIB: usize = 1024;

/// What one piece of an evaluation costs at most: bytes of names that are looked at, times KiB of the compiled expression.
/// Three milliseconds of the worst expressions known, microseconds of usual ones; and at least one name.
const SLICE_WORK: usize = 24 * KIB;
/// What compiling costs as work, for each KiB that is compiled.
const COMPILE_WORK_PER_KIB: usize = 64;

/// Likewise, of an expression with Unicode classes: no more than two of them are compiled in one piece.
const UNICODE_COMPILE_WORK: usize = SLICE_WORK * 3 / 4;

const _: () = assert!(COMPILED_BYTES_MAX / KIB * COMPILE_WORK_PER_KIB < SLICE_WORK);

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    regex: Regex,
    /// Its size in KiB, at least: what a look costs grows with it.
    weight: usize,
    /// What it cost to compile, as work.
    cost: usize,
}

/// Compiles an expression, which must match a whole name.
///
/// # Errors
/// What is wrong with it, in a sentence for its author.
pub(super) fn compile(text: &str) -> Result<Expression, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let may_be_unicode = text.len() <= UNICODE_TEXT_BYTES_MAX;
    if !may_be_unicode && switches_unicode_on(text) {
        return Err(too_long_for_unicode());
    }
    let whole = format!("^(?:{text})$");
    // An expression that is not whole by itself shall not become so by the brackets around it: `a)|(b`.
    let is_whole = |unicode| match build(text, unicode, COMPILED_BYTES_MAX) {
        Err(error @ regex::Error::Syntax(_)) => Err(error),
        _ => Ok(()),
    };
    // As in RE2, `\w` and the like are of ASCII; what is more than bytes (`\pL`) needs Unicode.
    let built = match is_whole(false).and_then(|()| smallest(&whole)) {
        Err(regex::Error::Syntax(text)) if !may_be_unicode && text.contains("Unicode") => {
            return Err(too_long_for_unicode());
        }
        Err(regex::Error::Syntax(_)) if may_be_unicode => is_whole(true)
            .and_then(|()| build(&whole, true, COMPILED_BYTES_MAX))
            .map(|regex| Expression { regex, weight: COMPILED_BYTES_MAX / KIB, cost: UNICODE_COMPILE_WORK }),
        built => built,
    };
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        error => last_line(&error),
    })
}

fn build(text: &str, unicode: bool, bytes_max: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(unicode).size_limit(bytes_max).build()
}

/// Compiled under the smallest bound in which it fits: the crate does not tell the size.
fn smallest(text: &str) -> Result<Expression, regex::Error> {
    let mut bytes_max = KIB;
    loop {
        match build(text, false, bytes_max) {
            Err(regex::Error::CompiledTooBig(_)) if bytes_max < COMPILED_BYTES_MAX => bytes_max *= 2,
            built => {
                let weight = bytes_max / KIB;
                return built.map(|regex| Expression { regex, weight, cost: weight * COMPILE_WORK_PER_KIB });
            }
        }
    }
}

/// Whether it may switch to Unicode in its middle: `(?u)`, `(?iu:…)`. Says so of some that do not.
fn switches_unicode_on(text: &str) -> bool {
    let flags = text.split("(?").skip(1);
    flags
        .map(|rest| rest.bytes().take_while(u8::is_ascii_alphabetic))
        .any(|mut flags| flags.any(|it| it == b'u'))
}

fn too_long_for_unicode() -> String {
    format!("it has Unicode classes and is longer than {UNICODE_TEXT_BYTES_MAX} bytes")
}

/// The crate draws the expression with a mark first and says what is wrong last.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// What the expressions of a group stand for, found out by a look at the name of each topic, a slice at a time.
#[derive(Debug)]
pub(in crate::groups) struct Evaluation {
    image: Image,
    at_ms: i64,
    left: VecDeque<Arc<str>>,
    current: Option<Current>,
    found: Resolved,
}

/// The expression that is being evaluated.
#[derive(Debug)]
struct Current {
    text: Arc<str>,
    expression: Expression,
    /// The name to look at next.
    next: Arc<str>,
    topics: Vec<Arc<str>>,
}

impl Evaluation {
    /// Of the topics of this metadata.
    pub fn new<'a>(
        expressions: impl Iterator<Item = &'a Arc<str>>,
        image: &Image,
        now_ms: i64,
    ) -> Evaluation {
        Evaluation {
            image: image.clone(),
            at_ms: now_ms,
            left: expressions.map(Arc::clone).collect(),
            current: None,
            found: Resolved::new(),
        }
    }

    /// Does a piece of the work; whether that was the last.
    pub fn go_on(&mut self) -> bool {
        let mut done = 0;
        loop {
            if done >= SLICE_WORK {
                return false;
            }
            let Some(mut current) = self.current.take() else {
                let Some(text) = self.left.pop_front() else { return true };
                match compile(&text) {
                    Ok(expression) => {
                        done += expression.cost;
                        let topics = Vec::new();
                        self.current = Some(Current { text, expression, next: "".into(), topics });
                    }
                    // Another coordinator took it. It stands for nothing here.
                    Err(_) => {
                        done += SLICE_WORK;
                        self.found(text, Vec::new());
                    }
                }
                continue;
            };
            if current.look(&self.image, &mut done) {
                let topics = mem::take(&mut current.topics);
                self.found(current.text, topics);
            } else {
                self.current = Some(current);
            }
        }
    }

    fn found(&mut self, text: Arc<str>, topics: Vec<Arc<str>>) {
        let version = version(&self.image);
        self.found.insert(text, Arc::new(ResolvedRegex { topics, version, at_ms: self.at_ms }));
    }

    /// What each expression stands for.
    pub fn finish(self) -> Resolved {
        self.found
    }
}

impl Current {
    /// Looks at the next names; whether at the last.
    fn look(&mut self, image: &Image, done: &mut usize) -> bool {
        let from = Arc::clone(&self.next);
        for topic in image.topics_from(&from) {
            if *done >= SLICE_WORK {
                self.next = Arc::clone(&topic.name);
                return false;
            }
            *done += topic.name.len() * self.expression.weight;
            if self.expression.regex.is_match(topic.name.as_bytes()) {
                self.topics.push(Arc::clone(&topic.name));
            }
        }
        true
    }
}
