//! What levels of features belong to which release of Apache Kafka (`MetadataVersion`, `Feature`).

/// `metadata.version`.
pub const METADATA: &str = "metadata.version";

/// The levels of `metadata.version`, one up from each to the next, from [`LEAST`] on.
const RELEASES: [&str; 25] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0",
    "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2",
    "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0",
];

/// The level of the first.
const LEAST: i16 = 7;

/// The level that is ready for use; what comes after it is being worked on.
pub const PRODUCTION: i16 = 30;

/// A feature besides `metadata.version`.
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// From which level of `metadata.version` on a new cluster has its levels 1, 2 and so on.
    since: &'static [i16],
    /// What level of `metadata.version` each of its levels needs, from 0 on; 0 for none.
    needs: &'static [i16],
}

/// In Kafka's order.
pub const FEATURES: [Feature; 6] = [
    Feature { name: "kraft.version", since: &[21], needs: &[0, 0] },
    Feature { name: "transaction.version", since: &[24, 24], needs: &[0, 0, 0] },
    Feature { name: "group.version", since: &[22], needs: &[0, 0] },
    Feature { name: "eligible.leader.replicas.version", since: &[26], needs: &[0, 23] },
    Feature { name: "share.version", since: &[28], needs: &[0, 0] },
    Feature { name: "streams.version", since: &[29], needs: &[0, 0] },
];

impl Feature {
    /// Its level in a new cluster with this level of `metadata.version`.
    pub fn default(&self, metadata: i16) -> i16 {
        let reached = self.since.iter().filter(|since| **since <= metadata).count();
        i16::try_from(reached).unwrap_or(i16::MAX)
    }

    /// What level of `metadata.version` a level needs, if any.
    ///
    /// # Errors
    /// In Kafka's words, where there is no such level.
    pub fn need(&self, level: i16) -> Result<Option<i16>, String> {
        let need = usize::try_from(level).ok().and_then(|level| self.needs.get(level));
        let missing = || format!("No feature:{} with feature level {level}", self.name);
        need.map(|need| Some(*need).filter(|need| *need > 0)).ok_or_else(missing)
    }
}

/// The name of a level of `metadata.version`.
pub fn release(level: i16) -> Option<&'static str> {
    RELEASES.get(usize::try_from(level.checked_sub(LEAST)?).ok()?).copied()
}

/// The level of a release: of `4.0-IV1`, or of the last of `4.0` or `4.0.2` that is ready for use.
///
/// # Errors
/// In Kafka's words.
pub fn level_of(text: &str) -> Result<i16, String> {
    let segments: Vec<&str> = text.split('.').collect();
    let key = if segments.len() > 2 { segments[..2].join(".") } else { text.to_owned() };
    let levels = || (LEAST..).zip(RELEASES);
    let of_release = |name: &str| name.split_once('-').is_some_and(|(release, _)| release == key);
    let last = levels().filter(|(level, name)| *level <= PRODUCTION && of_release(name)).last();
    match levels().find(|(_, name)| *name == key).or(last) {
        Some((level, _)) => Ok(level),
        None => {
            let known = RELEASES.join(", ");
            Err(format!("Unknown metadata.version '{text}'. Supported metadata.version are: {known}"))
        }
    }
}

/// A level as it is told: of `metadata.version` by its release.
pub fn level_text(feature: &str, level: i16) -> String {
    match release(level) {
        _ if feature != METADATA => level.to_string(),
        Some(release) => release.into(),
        None => format!("UNKNOWN {level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_level_by_its_long_and_its_short_name() {
        assert_eq!(level_of("3.3-IV3"), Ok(LEAST));
        assert_eq!(level_of("4.3-IV0"), Ok(PRODUCTION));
        assert_eq!(level_of("4.0"), level_of("4.0-IV3"));
        assert_eq!(level_of("4.0.1"), level_of("4.0-IV3"));
        assert_eq!(level_of("4.4-IV0"), Ok(PRODUCTION + 1));
        assert!(level_of("4.4").is_err(), "nothing of it is ready");
        assert_eq!(release(PRODUCTION), Some("4.3-IV0"));
        assert_eq!((release(LEAST - 1), release(i16::MIN)), (None, None));
    }

    #[test]
    fn a_new_cluster_has_the_features_of_its_release() {
        let defaults = |metadata| FEATURES.map(|feature| feature.default(metadata));
        assert_eq!(defaults(LEAST), [0; 6]);
        assert_eq!(defaults(PRODUCTION), [1, 2, 1, 1, 1, 1]);
    }
}
