//! What levels of features belong to which release of Apache Kafka (`Feature`).

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cluster_has_the_features_of_its_release() {
        let defaults = |metadata| FEATURES.map(|feature| feature.default(metadata));
        assert_eq!(defaults(7), [0; 6]);
        assert_eq!(defaults(crate::releases::LATEST), [1, 2, 1, 1, 1, 1]);
    }
}
