//! Features as the tool knows them: what is served here.

use crate::{
    console::{Console, Outcome, Stop},
    releases::{LATEST, METADATA_VERSION, level_of, version_text},
    say,
};
use corelane_core::{
    controller::{FEATURES, Feature, KRAFT_VERSION},
    transactions::TRANSACTION_VERSION,
};
use std::collections::BTreeMap;

/// The level that a feature has by default in a release: kraft.version from 3.9 on, group.version from 4.0-IV0 on,
/// transaction.version 2 from 4.0-IV2 on.
fn default_level(feature: &Feature, release: i16) -> i16 {
    let since = match feature.name {
        KRAFT_VERSION => 21,
        TRANSACTION_VERSION => 24,
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
    fn features_have_the_levels_of_their_release_unless_asked_otherwise() {
        let asked =
            |pairs: &[(&str, i16)]| pairs.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        let level = |release, pairs: &[(&str, i16)]| {
            effective(release, &asked(pairs)).map(|levels| levels["group.version"])
        };
        assert_eq!((level(30, &[]), level(21, &[])), (Ok(1), Ok(0)));
        assert_eq!(level(30, &[("group.version", 0)]), Ok(0));
        let transactions =
            |release| effective(release, &asked(&[])).map(|levels| levels["transaction.version"]);
        assert_eq!([21, 22, 23, 24, 30].map(transactions), [Ok(0), Ok(0), Ok(0), Ok(2), Ok(2)]);
        assert_eq!(
            level(30, &[("nope", 1)]),
            Err("Unsupported feature: nope. Supported features are: group.version, kraft.version, transaction.version"
                .to_owned())
        );
        assert_eq!(
            level(30, &[("group.version", 2)]),
            Err("No feature:group.version with feature level 2".to_owned())
        );
    }
}
