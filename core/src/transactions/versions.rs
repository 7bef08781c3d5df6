//! What clients of older versions are told.

use crate::error::ErrorCode;

/// A key whose errors depend on its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioned {
    /// InitProducerId.
    InitProducerId,
    /// AddPartitionsToTxn.
    AddPartitionsToTxn,
    /// AddOffsetsToTxn.
    AddOffsetsToTxn,
    /// EndTxn.
    EndTxn,
}

/// The error in a version of a key: before PRODUCER_FENCED (KIP-588) a producer that was fenced is told
/// INVALID_PRODUCER_EPOCH.
pub fn told(error: ErrorCode, key: Versioned, version: i16) -> ErrorCode {
    let knows_fenced_from = match key {
        Versioned::InitProducerId => 4,
        Versioned::AddPartitionsToTxn | Versioned::AddOffsetsToTxn | Versioned::EndTxn => 2,
    };
    match error {
        ErrorCode::ProducerFenced if version < knows_fenced_from => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}
