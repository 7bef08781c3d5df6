//! What `security.protocol` and the settings under `ssl.` and `sasl.` come to.
//!
//! Plain text reads none of them: no file is opened and no root certificate is loaded for it.

mod authenticate;
mod jaas;
mod sasl;
pub mod scram;
mod stores;
mod tls;

pub use authenticate::authenticate;
pub use sasl::Sasl;
pub use tls::{Tls, Transport};

use super::{
    config::{Properties, Role, invalid},
    error::{ClientError, Result},
};
use std::{fmt, sync::Arc};

/// How a client secures its connections. Without either half: plain text from anybody.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// For SSL and SASL_SSL.
    pub tls: Option<Arc<Tls>>,
    /// For SASL_PLAINTEXT and SASL_SSL.
    pub sasl: Option<Arc<Sasl>>,
}

impl Security {
    /// Reads the settings, and the files that they name.
    ///
    /// # Errors
    /// [`ClientError::Config`] where Kafka has a `ConfigException`; [`ClientError::Construction`] where its client cannot be
    /// made with the settings.
    pub fn read(role: Role, properties: &Properties) -> Result<Security> {
        let name = properties.get("security.protocol").unwrap_or("PLAINTEXT");
        let (has_tls, has_sasl) = match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                // In the order of Java's set.
                let known = "SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT";
                let why = format!("String must be one of (case insensitive): {known}");
                return Err(invalid("security.protocol", name, &why));
            }
        };
        if has_sasl && properties.get("sasl.mechanism") == Some("") {
            let why = "When the security.protocol configuration enables SASL, mechanism must be non-null and non-empty string.";
            return Err(invalid("sasl.mechanism", "null", why));
        }
        let failed = |cause: String| ClientError::Construction { client: client(role), cause };
        Ok(Security {
            sasl: has_sasl.then(|| Sasl::read(properties)).transpose().map_err(failed)?.map(Arc::new),
            tls: has_tls.then(|| Tls::read(properties)).transpose().map_err(failed)?.map(Arc::new),
        })
    }
}

/// What Kafka says of a client that cannot be made.
fn client(role: Role) -> &'static str {
    match role {
        Role::Admin => "Failed to create new KafkaAdminClient",
        Role::Producer => "Failed to construct kafka producer",
        Role::Consumer => "Failed to construct kafka consumer",
    }
}

/// A setting that only a JVM can follow: a class to be loaded.
fn refuse_classes(properties: &Properties, names: &[&str]) -> std::result::Result<(), String> {
    match names.iter().find(|name| properties.get(name).is_some_and(|value| !value.is_empty())) {
        Some(name) => Err(format!("{name} names a Java class, which these tools cannot load")),
        None => Ok(()),
    }
}

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Of what was given.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// For whoever needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[&str]) -> Result<Security> {
        let mut properties = Properties::default();
        properties.add_pairs(pairs);
        Security::read(Role::Admin, &properties)
    }

    fn cause(pairs: &[&str]) -> String {
        match read(pairs) {
            Err(ClientError::Construction { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_text_reads_no_other_setting() {
        let security =
            read(&["ssl.truststore.location=/nothing", "sasl.jaas.config=nonsense"]).expect("valid");
        assert!(security.tls.is_none() && security.sasl.is_none());
    }

    #[test]
    fn a_protocol_is_known_in_any_case_of_letters() {
        assert!(read(&["security.protocol=plaintext"]).is_ok());
        let told = read(&["security.protocol=TLS"]).expect_err("unknown").to_string();
        assert!(
            told.starts_with("Invalid value TLS for configuration security.protocol: String must"),
            "{told}"
        );
        assert!(read(&["security.protocol=SASL_SSL", "sasl.mechanism="]).is_err());
    }

    #[test]
    fn what_only_a_jvm_can_do_is_refused_by_name() {
        let sasl = "security.protocol=SASL_PLAINTEXT";
        assert!(cause(&[sasl]).contains("GSSAPI"));
        assert!(cause(&[sasl, "sasl.mechanism=OAUTHBEARER"]).contains("OAUTHBEARER"));
        let handler = "sasl.client.callback.handler.class=a.B";
        assert!(
            cause(&[sasl, "sasl.mechanism=PLAIN", handler])
                .starts_with("sasl.client.callback.handler.class names")
        );
        assert!(
            cause(&["security.protocol=SSL", "ssl.engine.factory.class=a.B"])
                .starts_with("ssl.engine.factory")
        );
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let jaas = format!("sasl.jaas.config={module} required username=\"ann\" password=\"open sesame\";");
        let security =
            read(&["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", &jaas]).expect("valid");
        let seen = format!("{security:?}");
        assert!(seen.contains("ann") && !seen.contains("sesame"), "{seen}");
    }
}
