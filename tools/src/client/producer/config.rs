//! The settings of a producer.

use crate::client::{ClientConfig, ClientError, Properties, Role, config::invalid, error::Result};
use corelane_core::records::Codec;
use std::time::Duration;

/// Kafka's `ProducerConfig`, as far as it means anything here.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// What all clients have.
    pub client: ClientConfig,
    /// -1, 0 or 1.
    pub acks: i16,
    /// `compression.type`.
    pub codec: Codec,
    /// `linger.ms`: how long a batch may wait for more.
    pub linger: Duration,
    /// `batch.size`.
    pub batch_bytes: usize,
    /// `buffer.memory`.
    pub buffer_bytes: usize,
    /// `max.request.size`.
    pub max_request_bytes: usize,
    /// `max.block.ms`.
    pub max_block: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `retries`.
    pub retries: u32,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight: usize,
    /// `enable.idempotence`, where it is possible.
    pub idempotent: bool,
    /// `transactional.id`.
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`: after which its coordinator aborts a transaction.
    pub transaction_timeout_ms: i32,
}

impl ProducerConfig {
    /// Reads them.
    ///
    /// # Errors
    /// [`ClientError::Config`](crate::client::ClientError::Config).
    pub fn read(properties: &Properties) -> Result<ProducerConfig> {
        let client = ClientConfig::read(Role::Producer, properties)?;
        let acks = match properties.choice("acks", "all", &["all", "-1", "0", "1"])? {
            "0" => 0,
            "1" => 1,
            _ => -1,
        };
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        let codec = properties.choice("compression.type", "none", &codecs)?;
        let codec = Codec::ALL.into_iter().find(|known| known.name() == codec).unwrap_or(Codec::None);
        let retries = properties.number("retries", i32::MAX, 0..)?;
        let in_flight = properties.number("max.in.flight.requests.per.connection", 5_i32, 1..)?;
        let idempotent = is_idempotent(properties, acks, retries, in_flight)?;
        let transactional_id = properties.get("transactional.id").map(str::to_owned);
        if transactional_id.is_some() && !idempotent {
            let why = "Cannot set a transactional.id without also enabling idempotence.";
            return Err(ClientError::Config(why.into()));
        }
        if transactional_id.as_deref() == Some("") {
            return Err(invalid("transactional.id", "", "String must be non-empty"));
        }
        let bytes = |name, default| {
            properties.number(name, default, 0_i64..).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        Ok(ProducerConfig {
            client,
            acks,
            codec,
            linger: properties.millis("linger.ms", 5)?,
            batch_bytes: bytes("batch.size", 16 * 1024)?,
            buffer_bytes: bytes("buffer.memory", 32 * 1024 * 1024)?,
            max_request_bytes: bytes("max.request.size", 1024 * 1024)?,
            max_block: properties.millis("max.block.ms", 60_000)?,
            delivery_timeout: properties.millis("delivery.timeout.ms", 120_000)?,
            retries: retries.unsigned_abs(),
            in_flight: usize::try_from(in_flight).unwrap_or(1),
            idempotent,
            transactional_id,
            transaction_timeout_ms: properties.number("transaction.timeout.ms", 60_000, ..)?,
        })
    }
}

/// Whether it is to be, and can be; only where it was asked for by name is it an error that it cannot.
fn is_idempotent(properties: &Properties, acks: i16, retries: i32, in_flight: i32) -> Result<bool> {
    if !properties.flag("enable.idempotence", true)? {
        return Ok(false);
    }
    let problem = if retries == 0 {
        Some("Must set retries to non-zero when using the idempotent producer.")
    } else if acks != -1 {
        Some(
            "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.",
        )
    } else {
        None
    };
    if let Some(problem) = problem
        && properties.get("enable.idempotence").is_some()
    {
        return Err(ClientError::Config(problem.into()));
    }
    if in_flight > 5 {
        return Err(ClientError::Config(format!(
            "To use the idempotent producer, max.in.flight.requests.per.connection must be set to at most 5. Current \
             value is {in_flight}."
        )));
    }
    Ok(problem.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[&str]) -> Result<ProducerConfig> {
        let mut properties = Properties::default();
        properties.add_pairs(&["bootstrap.servers=a:1"]);
        properties.add_pairs(pairs);
        ProducerConfig::read(&properties)
    }

    #[test]
    fn idempotence_goes_where_it_cannot_be_kept_unless_it_was_asked_for() {
        assert!(read(&[]).expect("defaults").idempotent);
        assert!(!read(&["acks=1"]).expect("valid").idempotent);
        assert!(read(&["acks=1", "enable.idempotence=true"]).is_err());
        assert!(read(&["max.in.flight.requests.per.connection=6"]).is_err(), "as Kafka's");
        let many = ["max.in.flight.requests.per.connection=6", "enable.idempotence=false"];
        assert!(!read(&many).expect("valid").idempotent);
    }

    #[test]
    fn transactions_need_idempotence() {
        let config = read(&["transactional.id=t"]).expect("valid");
        assert!(config.idempotent && config.transactional_id.as_deref() == Some("t"));
        let refused = |pairs: &[&str]| read(pairs).expect_err("refused").to_string();
        let sentence = "Cannot set a transactional.id without also enabling idempotence.";
        assert_eq!(refused(&["transactional.id=t", "acks=1"]), sentence);
        assert_eq!(refused(&["transactional.id=t", "enable.idempotence=false"]), sentence);
        assert!(read(&["transactional.id="]).is_err());
    }

    #[test]
    fn a_codec_that_nobody_knows_is_told_with_those_that_are_known() {
        let error = read(&["compression.type=zip"]).expect_err("unknown");
        let expected = "Invalid value zip for configuration compression.type: String must be one of: none, gzip, snappy, \
                        lz4, zstd";
        assert_eq!(error.to_string(), expected);
    }
}
