//! UpdateFeatures: features are finalized at other levels (KIP-584, KIP-778).

use super::{ApiError, Controller, Decision, Feature, KRAFT_VERSION};
use crate::{error::ErrorCode, metadata::Record};
use serde::{Deserialize, Serialize};

const METADATA_VERSION: &str = "metadata.version";

/// Features to finalize at other levels: all of them, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFeaturesRequest {
    /// In any order.
    pub updates: Vec<FeatureUpdate>,
    /// Answer as if, but change nothing.
    pub validate_only: bool,
}

/// A feature and the level it shall be finalized at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureUpdate {
    /// Kafka's name of it.
    pub name: String,
    /// 0 takes it away.
    pub level: i16,
    /// What kind of change is meant.
    pub kind: UpgradeType,
}

/// Kafka's `FeatureUpdate.UpgradeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeType {
    /// A number that Kafka does not know.
    Unknown,
    /// Only upwards.
    Upgrade,
    /// Downwards where nothing is lost.
    SafeDowngrade,
    /// Downwards whatever is lost.
    UnsafeDowngrade,
}

impl Controller {
    /// Decides on levels of features.
    pub fn update_features(&mut self, request: &UpdateFeaturesRequest) -> Decision<Result<(), ApiError>> {
        let mut records = Vec::new();
        for update in &request.updates {
            match self.update_feature(update) {
                Ok(record) => records.extend(record),
                Err(error) => return self.unchanged(Err(error)),
            }
        }
        if request.validate_only {
            return self.unchanged(Ok(()));
        }
        self.propose(Vec::new(), records, Ok(())).unwrap_or_else(|error| self.unchanged(Err(error)))
    }

    fn update_feature(&self, update: &FeatureUpdate) -> Result<Option<Record>, ApiError> {
        let FeatureUpdate { name, level, kind } = update;
        let refused = |text: String| Err(ApiError::new(ErrorCode::InvalidUpdateVersion, text));
        let invalid =
            |why: &str| refused(format!("Invalid update version {level} for feature {name}. {why}"));
        if *kind == UpgradeType::Unknown {
            return invalid("The controller does not support the given upgrade type.");
        }
        if *level < 0 {
            return invalid("A feature version cannot be less than 0.");
        }
        if let Some(why) = self.not_supported(name, *level) {
            return invalid(&why);
        }
        let current = self.speculative.feature(name);
        match kind {
            UpgradeType::Upgrade if *level < current => {
                return invalid(
                    "Can't downgrade the version of this feature without setting the upgrade type to either safe or \
                     unsafe downgrade.",
                );
            }
            UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade if *level > current => {
                return invalid("Can't downgrade to a newer version.");
            }
            // Voters that changed are not those of anybody's configuration any more.
            UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade
                if *level < current && name == KRAFT_VERSION =>
            {
                return invalid("Can't downgrade the version of this feature.");
            }
            // What was written under the present version may have no form in an older one.
            UpgradeType::SafeDowngrade if *level < current && name == METADATA_VERSION => {
                return refused(format!(
                    "Unsupported metadata.version downgrade from {current} to {level}. Refusing to perform the \
                     requested downgrade because it might delete metadata information."
                ));
            }
            UpgradeType::UnsafeDowngrade if *level < current && name == METADATA_VERSION => {
                return refused("Unsafe metadata downgrade is not supported in this version.".to_owned());
            }
            _ => {}
        }
        let record = || Record::FeatureLevel { name: name.clone(), level: *level };
        Ok((*level != current).then(record))
    }

    /// Why a feature cannot have a level, in the words of Kafka's `QuorumFeatures`.
    fn not_supported(&self, name: &str, level: i16) -> Option<String> {
        let node = self.settings.node;
        match self.settings.features.iter().find(|feature| feature.name == name) {
            Some(Feature { min, max, .. }) if (*min..=*max).contains(&level) => None,
            Some(Feature { min, max: max @ 1.., .. }) => {
                Some(format!("Local controller {node} only supports versions {min}-{max}"))
            }
            None if level == 0 => Some(format!("Feature {name} not found.")),
            Some(_) | None => Some(format!("Local controller {node} does not support this feature.")),
        }
    }
}

#[cfg(test)]
mod tests;
