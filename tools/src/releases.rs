//! Kafka's releases by their `metadata.version`, and how levels of features are written.

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
pub const LATEST: i16 = 30;

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

/// A level as it is told: of `metadata.version` by its release.
pub fn level_text(feature: &str, level: i16) -> String {
    match version_text(level) {
        _ if feature != METADATA_VERSION => level.to_string(),
        Some(release) => release.into(),
        None => format!("UNKNOWN {level}"),
    }
}

/// `NAME=LEVEL`.
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
    fn a_feature_and_its_level_stand_on_both_sides_of_an_equals_sign() {
        assert_eq!(name_and_level(" a = 1 "), Ok(("a".to_owned(), 1)));
        for text in ["a", "a=b", "a=40000"] {
            assert!(name_and_level(text).is_err(), "{text}");
        }
        assert_eq!(level_text(METADATA_VERSION, LATEST), "4.3-IV0");
        assert_eq!(level_text(METADATA_VERSION, 99), "UNKNOWN 99");
        assert_eq!(level_text("a", 99), "99");
    }
}
