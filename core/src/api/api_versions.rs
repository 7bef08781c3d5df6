//! ApiVersions (key 18), versions 0-4.
//!
//! What the table serves. A version that is not known is answered with a v0 body, error 35 and the versions of this key
//! (KIP-511), so that a newer client can step down. Features: KIP-584; v4 for supported versions from 0 (KAFKA-17011).

use super::{
    Row, TABLE,
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse,
    api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ApiVersionsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if header.api_version >= 3
        && !(is_name(&request.client_software_name) && is_name(&request.client_software_version))
    {
        let response = ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
        return reply_to.ready(&response);
    }
    let keys = TABLE.iter().filter(|row| row.by_controllers || context.controllers.is_none());
    let mut response = ApiVersionsResponse::default().with_api_keys(keys.map(advertised).collect());
    if header.api_version >= 3 {
        response.supported_features = crate::controller::FEATURES
            .iter()
            .filter(|feature| header.api_version >= 4 || feature.min > 0)
            .map(|feature| {
                SupportedFeatureKey::default()
                    .with_name(text(feature.name))
                    .with_min_version(feature.min)
                    .with_max_version(feature.max)
            })
            .collect();
        response.finalized_features = context
            .image
            .features()
            .filter(|(_, level)| *level > 0)
            .map(|(name, level)| {
                FinalizedFeatureKey::default()
                    .with_name(text(name))
                    .with_min_version_level(level)
                    .with_max_version_level(level)
            })
            .collect();
        response.finalized_features_epoch =
            context.image.last_applied().map_or(-1, |offset| i64::try_from(offset.0).unwrap_or(i64::MAX));
    }
    reply_to.ready(&response)
}

/// KIP-511: letters, digits, `.` and `-`, not at the ends.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn advertised(row: &Row) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(row.key)
        .with_min_version(row.advertised_from)
        .with_max_version(row.versions.1)
}

/// The answer to a version that is not known.
pub(super) fn unsupported_version(correlation_id: i32) -> Result<Start, WireError> {
    let keys = TABLE.iter().filter(|row| row.key == ApiKey::ApiVersions as i16).map(advertised).collect();
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(keys);
    ReplyTo { correlation_id, version: 0 }.ready(&response)
}
