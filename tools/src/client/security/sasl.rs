//! Who the client says it is, by which mechanism.

use super::{
    Secret, jaas, refuse_classes,
    scram::{Client, Hash},
};
use crate::client::config::Properties;

const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

/// A mechanism with a name and a password.
#[derive(Debug)]
pub struct Sasl {
    mechanism: Mechanism,
    user: String,
    password: Secret,
    /// The name and password are those of a delegation token.
    is_token: bool,
}

#[derive(Clone, Copy, Debug)]
enum Mechanism {
    Plain,
    Scram(Hash),
}

/// An exchange under way.
pub enum Exchange {
    /// Has said all.
    Plain,
    /// Proves, and wants a proof.
    Scram(Box<Client>),
}

impl Sasl {
    /// Reads the settings under `sasl.`.
    ///
    /// # Errors
    /// What is wrong, or not possible without a JVM.
    pub fn read(properties: &Properties) -> Result<Sasl, String> {
        let name = properties.get("sasl.mechanism").unwrap_or("GSSAPI");
        let mechanism = match (name, Hash::named(name)) {
            ("PLAIN", _) => Mechanism::Plain,
            (_, Some(hash)) => Mechanism::Scram(hash),
            ("GSSAPI", _) => {
                return Err("sasl.mechanism=GSSAPI, which is the default, needs Kerberos, which these tools do not speak: \
                            they know PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"
                    .into());
            }
            _ => {
                return Err(format!(
                    "sasl.mechanism={name} is not known to these tools: they know PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"
                ));
            }
        };
        refuse_classes(
            properties,
            &["sasl.client.callback.handler.class", "sasl.login.callback.handler.class", "sasl.login.class"],
        )?;
        let Some(text) = properties.get("sasl.jaas.config") else {
            return Err("Could not find a 'KafkaClient' entry in the JAAS configuration: sasl.jaas.config is not set \
                        (the JVM's java.security.auth.login.config is not read)"
                .into());
        };
        let login = jaas::parse(text)?;
        if ![SCRAM_MODULE, PLAIN_MODULE].contains(&login.module.as_str()) {
            return Err(format!(
                "No LoginModule found for the class that sasl.jaas.config names; {PLAIN_MODULE} and {SCRAM_MODULE} are known"
            ));
        }
        let option = |name: &str| {
            let value = login.options.get(name);
            value.ok_or_else(|| format!("sasl.jaas.config has no option '{name}'"))
        };
        let is_token = login.options.get("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Sasl {
            mechanism,
            user: option("username")?.clone(),
            password: Secret::new(option("password")?),
            is_token: is_token && login.module == SCRAM_MODULE,
        })
    }

    /// The mechanism's name.
    pub fn mechanism(&self) -> &'static str {
        match self.mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(hash) => hash.mechanism(),
        }
    }

    /// Begins an exchange, with what to send first.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn begin(&self) -> Result<(Exchange, Vec<u8>), String> {
        match self.mechanism {
            Mechanism::Plain => {
                let first = ["", &self.user, self.password.reveal()].join("\0");
                Ok((Exchange::Plain, first.into_bytes()))
            }
            Mechanism::Scram(hash) => {
                let extensions = if self.is_token { ",tokenauth=true" } else { "" };
                let (client, first) = Client::begin(hash, &self.user, &self.password, extensions)?;
                Ok((Exchange::Scram(Box::new(client)), first))
            }
        }
    }
}

impl Exchange {
    /// Takes what the server says; returns what to say next, or nothing at the end.
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self {
            Exchange::Plain => Ok(None),
            Exchange::Scram(client) => client.answer(challenge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mechanism: &str, jaas: &str) -> Result<Sasl, String> {
        let mut properties = Properties::default();
        properties.set("sasl.mechanism", mechanism);
        properties.set("sasl.jaas.config", jaas);
        Sasl::read(&properties)
    }

    #[test]
    fn plain_sends_name_and_password_at_once() {
        let sasl =
            read("PLAIN", &format!("{PLAIN_MODULE} required username=ann password=\"p w\";")).expect("valid");
        let (mut exchange, first) = sasl.begin().expect("begins");
        assert_eq!(first, b"\0ann\0p w");
        assert_eq!(exchange.answer(b""), Ok(None));
    }

    #[test]
    fn a_token_is_told_as_one() {
        let text = format!("{SCRAM_MODULE} required username=ann password=p tokenauth=\"true\";");
        let (_, first) = read("SCRAM-SHA-256", &text).expect("valid").begin().expect("begins");
        assert!(String::from_utf8(first).expect("text").ends_with(",tokenauth=true"));
    }

    #[test]
    fn what_is_missing_is_named_and_no_password_is_told() {
        let told = |mechanism, jaas: &str| read(mechanism, jaas).expect_err(jaas);
        assert!(told("PLAIN", &format!("{PLAIN_MODULE} required password=sesame;")).contains("'username'"));
        assert!(told("PLAIN", &format!("{PLAIN_MODULE} required username=ann;")).contains("'password'"));
        let other = told("PLAIN", "com.example.Login required username=ann password=sesame;");
        assert!(other.starts_with("No LoginModule found") && !other.contains("sesame"), "{other}");
        assert!(told("SCRAM-SHA-1", "").starts_with("sasl.mechanism=SCRAM-SHA-1 is not known"));
    }
}
