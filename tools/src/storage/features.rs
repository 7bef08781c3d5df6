//! Features as the tool knows them: Kafka's releases by their `metadata.version`, and what is served here.

use crate::{
    console::{Console, Outcome, Stop},
    say,
};
use corelane_core::controller::{FEATURES, Feature, KRAFT_VERSION};
use std::collections::BTreeMap;

/// Kafka's name of the feature that stands for a release.
pub const METADATA_VERSION: &str = "metadata.version";

/// `MetadataVersion`: the levels from 7 on, by release. The last one is not stable.
const VERSIONS: &[&str] = &[
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0",
    "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2",
    "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0",
];

/// The level of the first of them.
const FIRST: i16 = 7;

/// The release that is the latest stable one.
const LATEST: i16 = 30;

/// A release's text, of a level that there is.
pub fn version_text(level: i16) -> Option<&'static str> {
    let at = level.checked_sub(FIRST).and_then(|at| usize::try_from(at).ok())?;
    VERSIONS.get(at).copied()
}

fn levels() -> impl DoubleEndedIterator<Item = (i16, &'static str)> {
    (FIRST..).zip(VERSIONS).map(|(level, text)| (level, *text)).collect::<Vec<_>>().into_iter()
}

/// The level that a release's name stands for: `4.0`, `4.0.1`, `4.0-IV1`.
///
/// # Errors
/// There is none, in Kafka's words.
pub fn level_of(name: &str, unstable: bool) -> Result<i16, String> {
    let last = if unstable { LATEST + 1 } else { LATEST };
    let mut segments = name.split('.');
    let key = match (segments.next(), segments.next(), segments.next()) {
        (Some(major), Some(minor), Some(_)) => format!("{major}.{minor}"),
        _ => name.to_owned(),
    };
    let is_it = |text: &str| text == key || text.split_once("-IV").is_some_and(|(release, _)| release == key);
    // A release without a suffix is its last one.
    let found = levels().filter(|(level, _)| *level <= last).rfind(|(_, text)| is_it(text));
    found.map(|(level, _)| level).ok_or_else(|| {
        let known: Vec<&str> = levels().filter(|(level, _)| *level <= last).map(|(_, text)| text).collect();
        format!("Unknown metadata.version '{name}'. Supported metadata.version are: {}", known.join(", "))
    })
}

/// The level that a feature has by default in a release: kraft.version from 3.9 on, group.version from 4.0 on.
fn default_level(feature: &Feature, release: i16) -> i16 {
    let since = match feature.name {
        KRAFT_VERSION => 21,
        _ => 22,
    };
    if release >= since { feature.max } else { 0 }
}

fn others() -> impl Iterator<Item = &'static Feature> {
    FEATURES.iter().filter(|feature| feature.name != METADATA_VERSION)
}

/// The level of every feature of a cluster that is formatted for `release`, with what was asked for; not of
/// kraft.version, which follows from the quorum.
///
/// # Errors
/// A feature or a level that is not served, in Kafka's words.
pub fn effective(release: i16, asked: &BTreeMap<String, i16>) -> Result<BTreeMap<String, i16>, String> {
    let mut levels = BTreeMap::from([(METADATA_VERSION.to_owned(), release)]);
    for (name, level) in asked.iter().filter(|(name, _)| *name != METADATA_VERSION) {
        let Some(feature) = others().find(|feature| feature.name == name) else {
            let mut known: Vec<&str> = others().map(|feature| feature.name).collect();
            known.sort_unstable();
            let known = known.join(", ");
            return Err(format!("Unsupported feature: {name}. Supported features are: {known}"));
        };
        if !(feature.min..=feature.max).contains(level) {
            return Err(format!("No feature:{name} with feature level {level}"));
        }
    }
    for feature in others().filter(|feature| feature.name != KRAFT_VERSION) {
        let level = asked.get(feature.name).copied();
        levels.insert(feature.name.to_owned(), level.unwrap_or_else(|| default_level(feature, release)));
    }
    Ok(levels)
}

/// `NAME=LEVEL`, as format has it.
///
/// # Errors
/// It is not, in Kafka's words.
pub fn name_and_level(text: &str) -> Result<(String, i16), String> {
    let wrong = |why: &str| format!("Can't parse feature=level string {text}: {why}");
    let (name, level) = text.split_once('=').ok_or_else(|| wrong("equals sign not found."))?;
    let level = level.trim();
    let parsed = level.parse().map_err(|_| wrong(&format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), parsed))
}

/// `version-mapping`.
pub fn print_mapping(release: Option<&str>, console: &mut Console) -> Outcome {
    let latest = version_text(LATEST).unwrap_or_default();
    let release = release.unwrap_or(latest);
    let level = level_of(release, true).map_err(Stop::failed)?;
    say!(console, "{METADATA_VERSION}={level} ({release})");
    let kraft_first = others().filter(|it| it.name == KRAFT_VERSION);
    for feature in kraft_first.chain(others().filter(|it| it.name != KRAFT_VERSION)) {
        say!(console, "{}={}", feature.name, default_level(feature, level));
    }
    Ok(())
}

/// `feature-dependencies`: of what is served nothing depends on anything.
pub fn print_dependencies(asked: &[&str], console: &mut Console) -> Outcome {
    for text in asked {
        let Some((name, level)) = text.split_once('=') else {
            return Err(Stop::failed(format!(
                "Invalid feature format: {text}. Expected format: 'feature=version' (e.g. 'group.version=1')"
            )));
        };
        let (name, level) = (name.trim(), level.trim());
        let Ok(number) = level.parse::<i16>() else {
            return Err(Stop::failed(format!("Invalid version format: {level} for feature {name}")));
        };
        if name == METADATA_VERSION {
            let Some(release) = version_text(number) else {
                return Err(Stop::failed(format!("Unknown metadata.version {number}")));
            };
            say!(console, "{name}={number} ({release}) has no dependencies.");
            continue;
        }
        match others().find(|feature| feature.name == name) {
            None => return Err(Stop::failed(format!("Unknown feature: {name}"))),
            Some(feature) if !(feature.min..=feature.max).contains(&number) => {
                return Err(Stop::failed(format!(
                    "Feature level {number} is not supported for feature {name}"
                )));
            }
            Some(_) => say!(console, "{name}={number} has no dependencies."),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_each_of_its_names() {
        for (name, level) in
            [("3.3", 7), ("3.7", 19), ("3.7-IV2", 17), ("4.0.1", 25), ("4.3", 30), ("4.3-IV0", 30)]
        {
            assert_eq!(level_of(name, false), Ok(level), "{name}");
        }
        assert_eq!((level_of("4.4", true), version_text(31)), (Ok(31), Some("4.4-IV0")));
        assert!(level_of("4.4", false).expect_err("unstable").ends_with("4.2-IV1, 4.3-IV0"));
        assert!(version_text(6).is_none() && version_text(32).is_none());
    }

    #[test]
    fn features_have_the_levels_of_their_release_unless_asked_otherwise() {
        let asked =
            |pairs: &[(&str, i16)]| pairs.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        let level = |release, pairs: &[(&str, i16)]| {
            effective(release, &asked(pairs)).map(|levels| levels["group.version"])
        };
        assert_eq!((level(30, &[]), level(21, &[])), (Ok(1), Ok(0)));
        assert_eq!(level(30, &[("group.version", 0)]), Ok(0));
        assert_eq!(
            level(30, &[("nope", 1)]),
            Err("Unsupported feature: nope. Supported features are: group.version, kraft.version".to_owned())
        );
        assert_eq!(
            level(30, &[("group.version", 2)]),
            Err("No feature:group.version with feature level 2".to_owned())
        );
        assert_eq!(name_and_level(" a = 1 "), Ok(("a".to_owned(), 1)));
        assert!(name_and_level("a").is_err() && name_and_level("a=b").is_err());
    }
}
