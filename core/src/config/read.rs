//! From entries to settings: which names are known, which values are theirs, and what is said about the rest.

use super::{
    settings::Settings,
    source::{ConfigError, Source, Warning},
    table::{self, Row, Status, Update, broker_row, broker_rows, topic_row},
};
use std::collections::BTreeMap;

/// What was found wrong or worth a word, and where each setting stands.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
    origins: BTreeMap<String, Source>,
}

impl Findings {
    /// Refuses the start because of a key, named with the place where it is set.
    pub(super) fn refuse(&mut self, key: &str, wrong: impl Into<String>, why: &str, mend: impl Into<String>) {
        self.errors.push(ConfigError {
            source: self.origin(key),
            key: key.to_owned(),
            wrong: wrong.into(),
            why: why.to_owned(),
            mend: mend.into(),
        });
    }

    /// A word about a key.
    pub(super) fn warn(&mut self, key: &str, text: impl Into<String>) {
        let source = self.origin(key);
        self.warnings.push(Warning { source, text: text.into() });
    }

    /// Where a key was set; `None` where nobody did.
    pub(super) fn origin(&self, key: &str) -> Option<Source> {
        self.origins.get(key).cloned()
    }
}

/// The settings that entries make, each known and of its type. A file yields to the environment and that to an
/// override, in whatever order they are given; within one of them the last wins.
pub(super) fn settings(
    entries: &[(Source, String, String)],
    allow_unknown: bool,
    findings: &mut Findings,
) -> Settings {
    let mut settings = Settings::default();
    let mut ordered: Vec<_> = entries.iter().collect();
    ordered.sort_by_key(|(source, _, _)| rank(source));
    let mut unknown = Vec::new();
    for (source, key, value) in ordered {
        let key = key.trim();
        if broker_row(key).is_none() {
            unknown.push((source, key));
            continue;
        }
        let former = findings.origins.insert(key.to_owned(), source.clone());
        if let (Some(former @ Source::File { .. }), Source::File { .. }) = (former, source) {
            findings.warn(key, format!("{key} is given a second time, this one wins over {former}"));
        }
        settings.fixed.insert(key.to_owned(), value.trim().to_owned());
    }
    for (source, key) in unknown {
        unknown_name(source, key, allow_unknown, findings);
    }
    let given = settings.fixed.clone();
    for (key, value) in &given {
        let row = broker_row(key).expect("only known names were inserted");
        if !known_name(row, value, findings) {
            settings.fixed.remove(key);
        }
    }
    without_effect(&given, findings);
    settings
}

fn rank(source: &Source) -> u8 {
    match source {
        Source::File { .. } => 0,
        Source::Environment { .. } => 1,
        Source::Override => 2,
    }
}

/// Whether the value of a known key may stand.
fn known_name(row: &Row, value: &str, findings: &mut Findings) -> bool {
    // Nothing, where there is no default, is how files and containers say "not set".
    if value.is_empty() && row.default.is_none() {
        return false;
    }
    if let Status::Refused(feature) = row.status {
        let inert = value.is_empty() || row.default.is_some_and(|default| row.same(default, value));
        if !inert {
            refuse_feature(row, feature, findings);
        }
        return inert && !value.is_empty();
    }
    if row.update == Update::Dynamic {
        let text =
            format!("{} has no effect here: it is set at run time only, as with kafka-configs", row.name);
        findings.warn(row.name, text);
        return false;
    }
    let Err(wrong) = row.check(value) else { return true };
    let mend = match row.range() {
        range if range.is_empty() => format!("write a {} after {}", row.kind.word(), row.name),
        range => format!("write a {} ({range}) after {}", row.kind.word(), row.name),
    };
    findings.refuse(row.name, wrong, "a setting that cannot be read would be replaced by a guess", mend);
    false
}

fn refuse_feature(row: &Row, feature: &str, findings: &mut Findings) {
    let mend = match row.default {
        Some(default) if !default.is_empty() => format!("remove {} or set it to {default}", row.name),
        _ => format!("remove {} or leave its value empty", row.name),
    };
    let wrong = format!("{} is set, but {feature} {} not built yet", row.name, verb(feature));
    findings.refuse(
        row.name,
        wrong,
        "going on without it would silently drop what the setting promises",
        mend,
    );
}

/// "are" for features that are many.
pub(super) fn verb(feature: &str) -> &'static str {
    let many = feature.ends_with('s') && !feature.ends_with("TLS") || feature.starts_with("several");
    if many { "are" } else { "is" }
}

/// A setting of one listener, of a plugin, or of Kafka's past; or a name that nobody knows.
fn unknown_name(source: &Source, key: &str, allow_unknown: bool, findings: &mut Findings) {
    findings.origins.insert(key.to_owned(), source.clone());
    if let Some(reason) = table::removed(key) {
        findings.warn(key, format!("{key} has no effect: {reason}"));
        return;
    }
    let of_a_feature = [
        ("listener.name.", "settings of single listeners"),
        ("rsm.config.", "tiered storage"),
        ("rlmm.config.", "tiered storage"),
    ];
    if let Some((_, feature)) = of_a_feature.iter().find(|(prefix, _)| key.starts_with(prefix)) {
        findings.refuse(
            key,
            format!("{key} is set, but {feature} {} not built yet", verb(feature)),
            "going on without it would silently drop what the setting promises",
            format!("remove {key}"),
        );
        return;
    }
    let (hint, mend) = suggestion(key);
    if allow_unknown || matches!(source, Source::Environment { .. }) {
        findings.warn(key, format!("unknown setting {key} has no effect{hint}"));
    } else {
        findings.refuse(
            key,
            format!("unknown setting {key}{hint}"),
            "a name that nobody reads would leave its default in force without a word",
            format!("{mend}, or start with --allow-unknown to pass over it"),
        );
    }
}

/// What was probably meant: a clause for the message, and what to do.
fn suggestion(key: &str) -> (String, String) {
    if topic_row(key).is_some()
        && let Some((broker_name, _)) = table::topic_synonyms(key).first()
    {
        let clause = format!(" (a topic's setting; the broker's is {broker_name})");
        return (clause, format!("write {broker_name} instead of {key}"));
    }
    match nearest(key) {
        Some(known) => {
            (format!(" (the nearest known one is {known})"), format!("write {known} instead of {key}"))
        }
        None => (String::new(), format!("remove {key} (corelane config-docs lists what is known)")),
    }
}

/// The known name that is fewest typing errors away, if it is near enough to have been meant.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let far = 2 + key.len() / 4;
    let lower = key.to_ascii_lowercase();
    let length = lower.chars().count();
    // Names are as many errors away as they are longer or shorter, at least: what that rules out is not measured, or a
    // long line of nonsense would take its time with every name there is.
    broker_rows()
        .filter(|row| row.name.len().abs_diff(length) <= far)
        .map(|row| (strsim::damerau_levenshtein(&lower, row.name), row.name))
        .min()
        .filter(|(distance, _)| *distance <= far)
        .map(|(_, name)| name)
}

/// One line for each reason why settings have no effect, naming them all.
fn without_effect(given: &imbl::OrdMap<String, String>, findings: &mut Findings) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in given.keys().filter_map(|key| broker_row(key)) {
        if let Status::Without(reason) = row.status {
            by_reason.entry(reason).or_default().push(row.name);
        }
    }
    for (reason, names) in by_reason {
        let verb = if names.len() == 1 { "has" } else { "have" };
        let text = format!("{} {verb} no effect: {reason}", names.join(", "));
        findings.warnings.push(Warning { source: None, text });
    }
}
