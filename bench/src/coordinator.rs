//! What coordinators give before anything can be measured: their addresses, and producer ids.

use crate::{
    client::{Client, check},
    clock::{SECOND_NS, now_ns},
};
use anyhow::{Context, Result};
use corelane_core::{
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
};
use kafka_protocol::{
    messages::{FindCoordinatorRequest, InitProducerIdRequest},
    protocol::StrBytes,
};
use std::{thread, time::Duration};

/// FindCoordinator of many keys (KIP-699).
const FIND_VERSION: i16 = 4;

/// How long coordinators may take until they serve.
const PATIENCE_NS: u64 = 60 * SECOND_NS;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// What a coordinator is looked for by, with its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A group's name.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// A producer's id and epoch.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// The addresses of the keys' coordinators, in their order. What is on its way is waited for.
///
/// # Errors
/// The connection's, or the broker's.
pub fn find(client: &mut Client, key_type: KeyType, keys: &[StrBytes]) -> Result<Vec<String>> {
    let request =
        FindCoordinatorRequest::default().with_key_type(key_type as i8).with_coordinator_keys(keys.to_vec());
    let deadline_ns = now_ns() + PATIENCE_NS;
    let found = loop {
        let found = client.call_version(FIND_VERSION, &request)?.coordinators;
        match found.iter().map(|one| one.error_code).find(|code| *code != 0) {
            Some(code) if !code_passes(code) || now_ns() > deadline_ns => check(code, "FindCoordinator")?,
            Some(_) => thread::sleep(PAUSE),
            None => break found,
        }
    };
    let address = |key: &StrBytes| {
        let one = found.iter().find(|one| one.key == *key);
        let one = one.with_context(|| format!("no coordinator for {:?}", key.as_str()))?;
        Ok(format!("{}:{}", one.host, one.port))
    };
    keys.iter().map(address).collect()
}

/// A producer of its own for a transactional id, or a new one without. What is on its way is waited for.
///
/// # Errors
/// The connection's, or the broker's.
pub fn new_producer(client: &mut Client, transactional_id: Option<&StrBytes>) -> Result<Identity> {
    let request = producer_id_request(transactional_id);
    let deadline_ns = now_ns() + PATIENCE_NS;
    loop {
        let response = client.call(&request)?;
        if code_passes(response.error_code) && now_ns() < deadline_ns {
            thread::sleep(PAUSE);
            continue;
        }
        check(response.error_code, "InitProducerId")?;
        let epoch = ProducerEpoch(response.producer_epoch);
        return Ok(Identity { id: ProducerId(response.producer_id.0), epoch });
    }
}

/// Asks for a producer, a new one where there is no transactional id.
pub fn producer_id_request(transactional_id: Option<&StrBytes>) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(transactional_id.cloned().map(Into::into))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1)
}

fn code_passes(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(passes)
}

/// Whether the same may be asked of a coordinator again in a moment.
pub fn passes(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ConcurrentTransactions
            // Apache Kafka says so for the first producer after its start, too, until the controller gave it ids.
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::RequestTimedOut
    )
}
