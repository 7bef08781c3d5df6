//! SCRAM (RFC 5802) as Kafka has it: without channel binding, passwords as their UTF-8 bytes.

use super::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest, hmac, pbkdf2,
    rand::{SecureRandom, SystemRandom},
};
use std::num::NonZeroU32;

/// Fewer are refused, by Kafka's clients as by its brokers.
pub const ITERATIONS_MIN: i32 = 4096;

/// What a server may ask for, so that it cannot keep a client busy for hours. Kafka's brokers take 16384 at most.
const ITERATIONS_MAX: i32 = 10_000_000;

/// Which hash: the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Hash {
    /// Of a mechanism's name.
    pub fn named(mechanism: &str) -> Option<Hash> {
        [Hash::Sha256, Hash::Sha512].into_iter().find(|hash| hash.mechanism() == mechanism)
    }

    /// The mechanism's name.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism's number in the protocol.
    pub fn number(self) -> i8 {
        match self {
            Hash::Sha256 => 1,
            Hash::Sha512 => 2,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// `Hi` of the RFC: what a server keeps keys of, and what AlterUserScramCredentials carries. `None` for no iterations.
    pub fn salted(self, password: &Secret, salt: &[u8], iterations: i32) -> Option<Vec<u8>> {
        let iterations = NonZeroU32::new(u32::try_from(iterations).ok()?)?;
        let algorithm = match self {
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = vec![0; self.hmac().digest_algorithm().output_len()];
        pbkdf2::derive(algorithm, iterations, salt, password.reveal().as_bytes(), &mut salted);
        Some(salted)
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// Where the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random bytes")?;
    Ok(bytes)
}

/// A client's side of one exchange.
pub struct Client {
    hash: Hash,
    password: Secret,
    nonce: String,
    first_bare: String,
    state: State,
}

enum State {
    Begun,
    /// The server's signature is to be the one of this key over these bytes.
    Proved(hmac::Key, String),
    Done,
}

impl Client {
    /// Begins, and says what to send first. `extensions` follow the nonce, each behind a comma.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn begin(
        hash: Hash,
        user: &str,
        password: &Secret,
        extensions: &str,
    ) -> Result<(Client, Vec<u8>), String> {
        // 24 letters, none of which is a comma or stands for padding.
        let nonce = STANDARD.encode(random::<18>()?);
        Ok(Client::with_nonce(hash, user, password, extensions, nonce))
    }

    fn with_nonce(
        hash: Hash,
        user: &str,
        password: &Secret,
        extensions: &str,
        nonce: String,
    ) -> (Client, Vec<u8>) {
        let name = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={name},r={nonce}{extensions}");
        let first = format!("n,,{first_bare}").into_bytes();
        (Client { hash, password: password.clone(), nonce, first_bare, state: State::Begun }, first)
    }

    /// Takes what the server says; returns what to say next, and nothing once the server has proved who it is.
    ///
    /// # Errors
    /// Where the server does not keep to the rules, or does not know the password.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Begun => self.prove(challenge).map(Some),
            State::Proved(key, message) => verify(self.hash, challenge, &key, &message).map(|()| None),
            State::Done => Err("the server says more than the exchange has".into()),
        }
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let wrong = || "Invalid SCRAM server first message format".to_owned();
        let message = std::str::from_utf8(challenge).map_err(|_| wrong())?;
        // Mandatory extensions, which begin the message, are not understood.
        let mut fields = message.split(',');
        let mut field = |name| fields.next().and_then(|field| field.strip_prefix(name)).ok_or_else(wrong);
        let (nonce, salt, iterations) = (field("r=")?, field("s=")?, field("i=")?);
        let salt = STANDARD.decode(salt).map_err(|_| wrong())?;
        let iterations: i32 = iterations.parse().map_err(|_| wrong())?;
        if !nonce.starts_with(&self.nonce) {
            return Err("Invalid server nonce: does not start with client nonce".into());
        }
        if iterations < ITERATIONS_MIN {
            return Err(format!(
                "Requested iterations {iterations} is less than the minimum {ITERATIONS_MIN} for {}",
                self.hash.mechanism()
            ));
        }
        if iterations > ITERATIONS_MAX {
            return Err(format!("Requested iterations {iterations} are more than {ITERATIONS_MAX}"));
        }
        let algorithm = self.hash.hmac();
        let salted = self.hash.salted(&self.password, &salt, iterations).ok_or_else(wrong)?;
        let salted = hmac::Key::new(algorithm, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(algorithm.digest_algorithm(), client_key.as_ref());
        // "biws" is the header "n,,": no channel binding.
        let last = format!("c=biws,r={nonce}");
        let signed = format!("{},{message},{last}", self.first_bare);
        let signature = hmac::sign(&hmac::Key::new(algorithm, stored_key.as_ref()), signed.as_bytes());
        let both = client_key.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = both.map(|(key, signature)| key ^ signature).collect();
        let server_key = hmac::Key::new(algorithm, hmac::sign(&salted, b"Server Key").as_ref());
        self.state = State::Proved(server_key, signed);
        Ok(format!("{last},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

/// Compares in constant time.
fn verify(hash: Hash, challenge: &[u8], key: &hmac::Key, signed: &str) -> Result<(), String> {
    let wrong = || "Invalid SCRAM server final message format".to_owned();
    let message = std::str::from_utf8(challenge).map_err(|_| wrong())?;
    if let Some(error) = message.strip_prefix("e=") {
        return Err(format!("Sasl authentication using {} failed with error: {error}", hash.mechanism()));
    }
    let signature = message.split(',').next().and_then(|field| field.strip_prefix("v=")).ok_or_else(wrong)?;
    let signature = STANDARD.decode(signature).map_err(|_| wrong())?;
    hmac::verify(key, signed.as_bytes(), &signature)
        .map_err(|_| "Invalid server signature in server final message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun() -> Client {
        let (client, first) = Client::with_nonce(
            Hash::Sha256,
            "user",
            &Secret::new("pencil"),
            "",
            "rOprNGfwEbeRWgbNEkqO".into(),
        );
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        client
    }

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let mut client = begun();
        let proof = client.answer(SERVER_FIRST).expect("valid").expect("a message");
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(proof).expect("text"), expected);
        let signature = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(client.answer(signature), Ok(None));
        assert!(client.answer(signature).is_err());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_not_believed() {
        let mut client = begun();
        client.answer(SERVER_FIRST).expect("valid");
        let told = client.answer(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect_err("wrong");
        assert_eq!(told, "Invalid server signature in server final message");
        for message in ["e=other-error", "v=", "v=!", "nonsense", ""] {
            let mut client = begun();
            client.answer(SERVER_FIRST).expect("valid");
            assert!(client.answer(message.as_bytes()).is_err(), "{message}");
        }
    }

    #[test]
    fn a_server_that_breaks_the_rules_gets_no_proof() {
        for (message, why) in [
            ("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "Invalid server nonce"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4095", "less than the minimum 4096"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=2147483647", "more than"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=-4096", "less than"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=99999999999", "format"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=!,i=4096", "format"),
            ("m=x,r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "format"),
            ("\u{0}", "format"),
        ] {
            let told = begun().answer(message.as_bytes()).expect_err(message);
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn names_with_commas_and_equals_signs_are_escaped() {
        let begun =
            Client::begin(Hash::Sha512, "a=b,c", &Secret::new("p"), ",tokenauth=true").expect("random");
        let first = String::from_utf8(begun.1).expect("text");
        assert!(first.starts_with("n,,n=a=3Db=2Cc,r=") && first.ends_with(",tokenauth=true"), "{first}");
    }
}
