//! What went wrong between a tool and its brokers, in the words that Kafka's Java client has for it: scripts look for them.

mod table;

use corelane_core::{error::ErrorCode, wire::WireError};
use std::io;
use table::ERRORS;

/// An error of a client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// A broker answered with an error.
    #[error("{}", .message.as_deref().unwrap_or_else(|| sentence(*.code)))]
    Broker {
        /// Its number.
        code: i16,
        /// What the broker said of it.
        message: Option<String>,
    },
    /// No answer in time. The text is whole.
    #[error("{0}")]
    TimedOut(String),
    /// A connection could not be made, or broke.
    #[error("Connection to {peer} failed: {reason}")]
    Connection {
        /// Host and port.
        peer: String,
        /// What the system said.
        reason: String,
    },
    /// The two ends of a connection do not agree on TLS, or one does not trust the other.
    #[error("{sentence}")]
    Tls {
        /// What Kafka says of it.
        sentence: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The broker does not have what is asked for. The text is whole.
    #[error("{0}")]
    Unsupported(String),
    /// A setting of the client that cannot be. The text is whole.
    #[error("{0}")]
    Config(String),
    /// A client cannot be made with its settings.
    #[error("{client}")]
    Construction {
        /// What Kafka says of it.
        client: &'static str,
        /// What is wrong with the settings.
        cause: String,
    },
    /// A client that keeps state can do no more, or was used wrongly. The text is whole.
    #[error("{0}")]
    Fatal(String),
    /// The broker's answer cannot be read, or makes no sense.
    #[error("Error reading the answer of {peer}: {reason}")]
    Protocol {
        /// Host and port.
        peer: String,
        /// What is wrong.
        reason: String,
    },
    /// The tool was told to stop.
    #[error("Interrupted")]
    Interrupted,
}

/// The result of talking to brokers.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// From the fields of an answer; `None` for no error.
    pub fn of(code: i16, message: Option<&str>) -> Option<ClientError> {
        (code != 0).then(|| ClientError::Broker { code, message: message.map(str::to_owned) })
    }

    /// From an answer's code alone.
    ///
    /// # Errors
    /// Where it is one.
    pub fn check(code: i16) -> Result<()> {
        ClientError::of(code, None).map_or(Ok(()), Err)
    }

    /// The broker's error code, if it is one of those.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Broker { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        }
    }

    /// Whether another attempt, perhaps with another broker, may succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Broker { code, .. } => RETRIABLE.contains(code),
            ClientError::Connection { .. } | ClientError::TimedOut(_) => true,
            _ => false,
        }
    }

    /// The name of Kafka's exception for it, as `toString` prints it.
    pub fn class(&self) -> &'static str {
        match self {
            ClientError::Broker { code, .. } => class(*code),
            ClientError::TimedOut(_) => "org.apache.kafka.common.errors.TimeoutException",
            ClientError::Connection { .. } => "org.apache.kafka.common.errors.DisconnectException",
            ClientError::Unsupported(_) => "org.apache.kafka.common.errors.UnsupportedVersionException",
            ClientError::Tls { .. } => "org.apache.kafka.common.errors.SslAuthenticationException",
            ClientError::Config(_) => "org.apache.kafka.common.config.ConfigException",
            ClientError::Construction { .. } | ClientError::Fatal(_) => {
                "org.apache.kafka.common.KafkaException"
            }
            ClientError::Protocol { .. } => "org.apache.kafka.common.protocol.types.SchemaException",
            ClientError::Interrupted => "org.apache.kafka.common.errors.WakeupException",
        }
    }

    /// What lies behind the sentence that is printed, for those errors where that says little.
    pub fn cause(&self) -> Option<&str> {
        match self {
            ClientError::Tls { cause, .. } | ClientError::Construction { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// Whether one end of a connection does not believe the other who it is.
    pub fn is_authentication(&self) -> bool {
        matches!(self, ClientError::Tls { .. } | ClientError::Broker { code: 33 | 34 | 58, .. })
    }

    pub(super) fn connection(peer: &str, error: &io::Error) -> ClientError {
        // Behind a handshake of TLS 1.3 the other side may still refuse: it sees the client's certificate only then.
        ClientError::secured(peer, error, "Failed to process post-handshake messages")
    }

    pub(super) fn handshake(peer: &str, error: &io::Error) -> ClientError {
        ClientError::secured(peer, error, "SSL handshake failed")
    }

    fn secured(peer: &str, error: &io::Error, sentence: &'static str) -> ClientError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(refused) => ClientError::Tls { sentence, cause: refused.to_string() },
            None => ClientError::Connection { peer: peer.into(), reason: error.to_string() },
        }
    }

    pub(super) fn wire(peer: &str, error: &WireError) -> ClientError {
        ClientError::Protocol { peer: peer.into(), reason: error.to_string() }
    }
}

/// Kafka's `RetriableException`s.
const RETRIABLE: &[i16] = &[
    2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100,
    103, 106,
];

fn row(code: i16) -> Option<&'static (i16, &'static str, &'static str)> {
    ERRORS.binary_search_by_key(&code, |row| row.0).ok().map(|at| &ERRORS[at])
}

/// The sentence that clients print for a code where the broker says nothing.
fn sentence(code: i16) -> &'static str {
    row(code).or_else(|| row(-1)).map_or("", |row| row.2)
}

fn class(code: i16) -> &'static str {
    row(code).or_else(|| row(-1)).map_or("", |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_every_code() {
        assert!(ERRORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for code in ErrorCode::ALL.iter().filter(|code| !code.is_none()) {
            assert!(row(code.code()).is_some(), "{code}");
        }
    }

    #[test]
    fn what_the_broker_says_goes_before_the_sentence_of_the_code() {
        let told = ClientError::of(36, Some("Topic 'a' already exists.")).expect("an error");
        assert_eq!(told.to_string(), "Topic 'a' already exists.");
        let plain = ClientError::of(3, None).expect("an error");
        assert_eq!(plain.to_string(), "This server does not host this topic-partition.");
        assert!(ClientError::of(0, None).is_none());
    }
}
