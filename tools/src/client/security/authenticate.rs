//! SASL over Kafka's own requests: SaslHandshake, then SaslAuthenticate until both sides are content (KIP-43, KIP-152),
//! and again before the session ends (KIP-368).

use super::Sasl;
use crate::client::{Connection, error::ClientError, error::Result, text};
use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use std::time::Duration;

const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const FAILED: i16 = 58;

/// Tells the broker who the client is. Answers to earlier requests may still be to come. How long the session lasts,
/// where the broker bounds it.
///
/// # Errors
/// [`ClientError::Broker`] with one of the codes of authentication; those of a connection.
pub fn authenticate(connection: &mut Connection, sasl: &Sasl) -> Result<Option<Duration>> {
    // In version 0 the exchange would not be framed; Kafka has framed it since 1.0.
    let version = connection.version_up_to::<SaslHandshakeRequest>(1)?;
    let rounds = connection.version::<SaslAuthenticateRequest>()?;
    let mechanism = sasl.mechanism();
    let mut request = SaslHandshakeRequest::default();
    request.mechanism = text(mechanism);
    let answer = connection.call_behind(version, &request)?;
    let listed = answer.mechanisms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let refused = |code, what: String| ClientError::Broker {
        code,
        message: Some(format!("{what}, enabled mechanisms are [{listed}]")),
    };
    match answer.error_code {
        0 => (),
        UNSUPPORTED_MECHANISM => {
            let what = format!("Client SASL mechanism '{mechanism}' not enabled in the server");
            return Err(refused(UNSUPPORTED_MECHANISM, what));
        }
        ILLEGAL_STATE => {
            let what = format!("Unexpected handshake request with client mechanism {mechanism}");
            return Err(refused(ILLEGAL_STATE, what));
        }
        code => {
            let what = format!("Unknown error code {code}, client mechanism is {mechanism}");
            return Err(refused(ILLEGAL_STATE, what));
        }
    }
    let (mut exchange, mut token) = sasl.begin().map_err(unbelieved)?;
    loop {
        let mut request = SaslAuthenticateRequest::default();
        request.auth_bytes = Bytes::from(token);
        let answer = connection.call_behind(rounds, &request)?;
        if let Some(error) = ClientError::of(answer.error_code, answer.error_message.as_deref()) {
            return Err(error);
        }
        match exchange.answer(&answer.auth_bytes).map_err(unbelieved)? {
            Some(next) => token = next,
            None => {
                let millis = u64::try_from(answer.session_lifetime_ms).unwrap_or_default();
                return Ok((millis > 0).then(|| Duration::from_millis(millis)));
            }
        }
    }
}

/// The client ends the exchange.
fn unbelieved(why: String) -> ClientError {
    ClientError::Broker {
        code: FAILED,
        message: Some(format!(
            "An error: ({why}) occurred when evaluating SASL token received from the Kafka Broker. Kafka Client will go to \
             AUTHENTICATION_FAILED state."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ClientConfig, Properties, Role};
    use bytes::BytesMut;
    use kafka_protocol::{
        messages::{
            ApiVersionsResponse, MetadataRequest, MetadataResponse, SaslAuthenticateResponse,
            SaslHandshakeResponse, api_versions_response::ApiVersion,
        },
        protocol::{Encodable, HeaderVersion},
    };
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Instant,
    };

    fn frame<T: Encodable + HeaderVersion>(correlation: [u8; 4], version: i16, answer: &T) -> Vec<u8> {
        let mut body = BytesMut::from(&correlation[..]);
        if T::header_version(version) > 0 {
            body.extend([0]);
        }
        answer.encode(&mut body, version).expect("encoded");
        let length = i32::try_from(body.len()).expect("small").to_be_bytes();
        [&length[..], &body].concat()
    }

    fn versions() -> ApiVersionsResponse {
        let ranges = [(3, 12), (17, 1), (18, 3), (36, 2)].into_iter();
        let range = |(key, max)| ApiVersion::default().with_api_key(key).with_max_version(max);
        ApiVersionsResponse::default().with_api_keys(ranges.map(range).collect())
    }

    /// A broker whose sessions last a millisecond. It keeps the answer to the first request for metadata until the client says
    /// again who it is. How often it was told so with that answer outstanding.
    fn serve(listener: &TcpListener) -> usize {
        let (mut socket, _) = listener.accept().expect("a client");
        let (mut withheld, mut is_first, mut overtaken) = (None, true, 0);
        loop {
            let mut length = [0; 4];
            if socket.read_exact(&mut length).is_err() {
                return overtaken;
            }
            let mut request = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("positive")];
            socket.read_exact(&mut request).expect("a whole request");
            let version = i16::from_be_bytes([request[2], request[3]]);
            let correlation = *request[4..].first_chunk().expect("a header");
            let answer = match i16::from_be_bytes([request[0], request[1]]) {
                18 => frame(correlation, version, &versions()),
                17 => {
                    if let Some(answer) = withheld.take() {
                        overtaken += 1;
                        let answer: Vec<u8> = answer;
                        socket.write_all(&answer).expect("sent");
                    }
                    frame(correlation, version, &SaslHandshakeResponse::default())
                }
                36 => {
                    let answer = SaslAuthenticateResponse::default().with_session_lifetime_ms(1);
                    frame(correlation, version, &answer)
                }
                _ => {
                    let answer = MetadataResponse::default().with_controller_id(i32::from(!is_first).into());
                    let answer = frame(correlation, version, &answer);
                    if std::mem::take(&mut is_first) {
                        withheld = Some(answer);
                        continue;
                    }
                    answer
                }
            };
            socket.write_all(&answer).expect("sent");
        }
    }

    #[test]
    fn answers_that_are_outstanding_when_a_session_is_renewed_are_not_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let broker = thread::spawn(move || serve(&listener));
        let mut properties = Properties::default();
        properties.add_pairs(&[
            &format!("bootstrap.servers=127.0.0.1:{port}"),
            "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanism=PLAIN",
            "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=a password=b;",
        ]);
        let config = ClientConfig::read(Role::Admin, &properties).expect("valid");
        let mut connection = Connection::open("127.0.0.1", port, &config).expect("let in");
        let version = connection.version::<MetadataRequest>().expect("known");
        connection.send(version, &MetadataRequest::default()).expect("sent");
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(2) {
            thread::yield_now();
        }
        connection.send(version, &MetadataRequest::default()).expect("sent");
        assert!(connection.has_early());
        for expected in 0..2 {
            let frame = connection.frame(config.request_timeout).expect("an answer");
            let answer: MetadataResponse = connection.decode(version, &frame).expect("in order");
            assert_eq!(answer.controller_id.0, expected);
        }
        drop(connection);
        assert_eq!(broker.join().expect("no panic"), 1);
    }
}
