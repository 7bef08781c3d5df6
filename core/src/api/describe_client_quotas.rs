//! DescribeClientQuotas (key 48), versions 0-1 (KIP-546): no quota can be set, so none is, and only what cannot be
//! asked is refused.

use super::{
    alterations::Refusal,
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, describe_client_quotas_request::ComponentData,
};
use std::collections::BTreeSet;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

pub(super) fn start(
    _context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeClientQuotasRequest = decode_request(header, frame)?;
    let response = DescribeClientQuotasResponse::default();
    ReplyTo::new(header).ready(&match check(&request.components) {
        Ok(()) => response.with_entries(Some(Vec::new())),
        Err((error, message)) => {
            response.with_error_code(error.code()).with_error_message(Some(text(message))).with_entries(None)
        }
    })
}

fn check(components: &[ComponentData]) -> Result<(), Refusal> {
    let invalid = |text: String| Err((ErrorCode::InvalidRequest, text));
    let mut types = BTreeSet::new();
    for component in components {
        let entity = component.entity_type.as_str();
        if entity.is_empty() {
            return invalid("Invalid empty entity type.".into());
        }
        if !types.insert(entity) {
            return invalid(format!("Entity type {entity} cannot appear more than once in the filter."));
        }
        if !["ip", "user", "client-id"].contains(&entity) {
            return Err((ErrorCode::UnsupportedVersion, format!("Unsupported entity type {entity}")));
        }
        match (component.match_type, &component._match) {
            (EXACT, Some(_)) | (DEFAULT | SPECIFIED, None) => {}
            (EXACT, None) => {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".into());
            }
            (DEFAULT, Some(_)) => {
                let text = "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.";
                return invalid(text.into());
            }
            (SPECIFIED, Some(_)) => {
                let text = "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.";
                return invalid(text.into());
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        }
    }
    if types.contains("ip") && types.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component."
                .into(),
        );
    }
    Ok(())
}
