//! UpdateFeatures (key 57), versions 0-2 (KIP-584; kinds of upgrade and validation from v1: KIP-778).

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    controller::{ApiError, FeatureUpdate, UpdateFeaturesRequest, UpgradeType},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{self, UpdateFeaturesResponse, update_features_response::UpdatableFeatureResult},
    protocol::StrBytes,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: messages::UpdateFeaturesRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.feature_updates.len()) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    let names: Vec<StrBytes> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
    let updates = request.feature_updates.iter().map(|update| FeatureUpdate {
        name: update.feature.to_string(),
        level: update.max_version_level,
        kind: match (header.api_version, update.upgrade_type) {
            (0, _) if update.allow_downgrade => UpgradeType::SafeDowngrade,
            (0, _) | (_, 1) => UpgradeType::Upgrade,
            (_, 2) => UpgradeType::SafeDowngrade,
            (_, 3) => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        },
    });
    let ask = ControllerRequest::UpdateFeatures(UpdateFeaturesRequest {
        updates: updates.collect(),
        validate_only: request.validate_only,
    });
    Ok(controlled::ask(context, "UpdateFeatures", request.timeout_ms, ask, move |_, answer| {
        let result = match answer {
            Ok(ControllerResponse::UpdateFeatures(result)) => result,
            Ok(_) => Err(ApiError::new(WRONG_KIND, WRONG_KIND.name())),
            Err(error) => Err(ApiError::new(error, error.name())),
        };
        reply_to.encode(&response(&result, &names, reply_to.version))
    }))
}

fn response(result: &Result<(), ApiError>, names: &[StrBytes], version: i16) -> UpdateFeaturesResponse {
    let response = UpdateFeaturesResponse::default();
    match result {
        Err(error) if error.code == ErrorCode::InvalidUpdateVersion => {
            let words = "The update failed for all features since the following feature had an error: ";
            response
                .with_error_code(error.code.code())
                .with_error_message(Some(text(format!("{words}{}", error.message))))
        }
        Err(error) => {
            response.with_error_code(error.code.code()).with_error_message(Some(text(error.message.clone())))
        }
        // Since v2 a success is told once.
        Ok(()) if version >= 2 => response.with_error_message(None),
        Ok(()) => {
            let done = |name: &StrBytes| {
                UpdatableFeatureResult::default().with_feature(name.clone()).with_error_message(None)
            };
            response.with_error_message(None).with_results(names.iter().map(done).collect())
        }
    }
}
