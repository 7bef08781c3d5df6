//! One connection to one broker.

use super::{
    config::ClientConfig,
    error::{ClientError, Result},
    security::{Sasl, Transport, authenticate},
    traffic::Open,
};
use bytes::Bytes;
use corelane_core::wire;
use kafka_protocol::{
    messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse},
    protocol::{HeaderVersion, Message, Request, StrBytes},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::ErrorKind,
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

/// The largest answer that is taken, `socket.request.max.bytes` of a broker by default: the protocol crate allocates by
/// what an answer claims, so what an answer may hold is bounded here.
const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

const CHUNK_BYTES: usize = 64 * 1024;

/// The versions of one key, from least to most.
pub type Versions = (i16, i16);

/// A connection. Answers come in the order of requests.
pub struct Connection {
    transport: Transport,
    peer: String,
    client_id: String,
    request_timeout: Duration,
    next_correlation: i32,
    /// Of requests that wait for an answer, and since when.
    waiting: VecDeque<(i32, Instant)>,
    /// Answers that came while the client said again who it is.
    early: VecDeque<Bytes>,
    /// Bytes of an answer that is not whole yet.
    partial: Vec<u8>,
    /// Where the socket is read into.
    chunk: Box<[u8]>,
    versions: BTreeMap<i16, Versions>,
    answer: ApiVersionsResponse,
    sasl: Option<Arc<Sasl>>,
    /// When the client has to say again who it is, with its next request.
    renewal: Option<Instant>,
    open: Open,
}

impl Connection {
    /// Connects to the first of the host's addresses that answers, secured as the settings say, and asks which versions the
    /// broker has.
    ///
    /// # Errors
    /// [`ClientError::Connection`] and others.
    pub fn open(host: &str, port: u16, config: &ClientConfig) -> Result<Connection> {
        let peer = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let failed = |error| ClientError::connection(&peer, &error);
        let addresses = (host, port).to_socket_addrs().map_err(failed)?;
        let mut connected = Err(std::io::Error::new(ErrorKind::NotFound, "the name has no address"));
        for address in addresses {
            connected =
                TcpStream::connect_timeout(&address, config.connect_timeout.max(Duration::from_millis(1)));
            if connected.is_ok() {
                break;
            }
        }
        let stream = connected.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let transport = match &config.security.tls {
            None => Transport::Plain(stream),
            Some(tls) => tls
                .connect(host, stream, config.request_timeout)
                .map_err(|error| ClientError::handshake(&peer, &error))?,
        };
        let mut connection = Connection {
            transport,
            peer,
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            next_correlation: 0,
            waiting: VecDeque::new(),
            early: VecDeque::new(),
            partial: Vec::new(),
            chunk: vec![0; CHUNK_BYTES].into(),
            versions: BTreeMap::new(),
            answer: ApiVersionsResponse::default(),
            sasl: config.security.sasl.clone(),
            renewal: None,
            open: Open::new(&config.traffic),
        };
        if connection.sasl.is_some() {
            // As Kafka's clients: what an old broker cannot read before SASL, it takes for a token of Kerberos.
            connection.negotiate(0)?;
            connection.authenticate()?;
        }
        connection.negotiate(3)?;
        Ok(connection)
    }

    /// Says who the client is, where it has to, and when to say it again: Kafka's clients do after 85 to 95 % of the session.
    fn authenticate(&mut self) -> Result<()> {
        let Some(sasl) = self.sasl.clone() else { return Ok(()) };
        let lifetime = authenticate(self, &sasl)?;
        let part = rand::random_range(0.85..0.95);
        self.renewal = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime.mul_f64(part)));
        Ok(())
    }

    /// A broker that does not know the version of the question answers in version 0 (KIP-511), with what it knows.
    fn negotiate(&mut self, mut version: i16) -> Result<()> {
        let answer = loop {
            let mut request = ApiVersionsRequest::default();
            if version >= 3 {
                request.client_software_name = StrBytes::from_static_str("corelane-tools");
                request.client_software_version = StrBytes::from_static_str(crate::VERSION);
            }
            self.send(version, &request)?;
            let frame = self.frame(self.request_timeout)?;
            let unsupported = frame.get(4..6) == Some(&35_i16.to_be_bytes());
            if !unsupported {
                break self.decode::<ApiVersionsResponse>(version, &frame)?;
            }
            if version == 0 {
                return Err(ClientError::Unsupported(format!(
                    "{} has no version of ApiVersions in common",
                    self.peer
                )));
            }
            version = 0;
        };
        ClientError::check(answer.error_code)?;
        let ranges = answer.api_keys.iter();
        self.versions = ranges.map(|range| (range.api_key, (range.min_version, range.max_version))).collect();
        self.answer = answer;
        Ok(())
    }

    /// Host and port.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What the broker said of itself at the beginning.
    pub fn api_versions(&self) -> &ApiVersionsResponse {
        &self.answer
    }

    /// The socket, to wait on.
    pub fn socket(&self) -> &TcpStream {
        self.transport.socket()
    }

    /// Whether an answer is here for which the socket does not tell.
    pub fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// How many answers are still to come.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// The highest version that both sides have, at most `most`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version_up_to<R: Request>(&self, most: i16) -> Result<i16> {
        let key = key_name(R::KEY);
        let Some(&(theirs_min, theirs_max)) = self.versions.get(&R::KEY) else {
            return Err(ClientError::Unsupported(format!("The node does not support {key}")));
        };
        let ours = <R as Message>::VERSIONS;
        let version = theirs_max.min(ours.max).min(most);
        if version < theirs_min.max(ours.min) {
            return Err(ClientError::Unsupported(format!(
                "The node does not support {key} with version in range [{},{}]. The supported range is \
                 [{theirs_min},{theirs_max}].",
                ours.min,
                ours.max.min(most)
            )));
        }
        Ok(version)
    }

    /// The highest version that both sides have.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version<R: Request>(&self) -> Result<i16> {
        self.version_up_to::<R>(i16::MAX)
    }

    /// What the broker has, whatever this client has.
    pub fn offered<R: Request>(&self) -> Option<Versions> {
        self.versions.get(&R::KEY).copied()
    }

    /// [`Connection::call`] in a version that the protocol crate does not know, which looks like `layout` that it does.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn call_like<R: Request>(&mut self, version: i16, layout: i16, request: &R) -> Result<R::Response> {
        self.send_numbered(version, layout, request)?;
        let frame = self.frame(self.request_timeout)?;
        self.decode::<R::Response>(layout, &frame)
    }

    /// Sends a request and waits for its answer; none other may be outstanding.
    ///
    /// # Errors
    /// All but [`ClientError::Broker`].
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.call_within(version, request, self.request_timeout)
    }

    /// [`Connection::call`] for one that may take longer than others, such as joining a group.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn call_within<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response> {
        self.send(version, request)?;
        let frame = self.frame(limit)?;
        self.decode::<R::Response>(version, &frame)
    }

    /// [`Connection::call_within`] for one that waits for others: gives up where `asked` says so.
    ///
    /// # Errors
    /// As [`Connection::call`]; [`ClientError::Interrupted`].
    pub fn call_unless<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        limit: Duration,
        asked: fn() -> bool,
    ) -> Result<R::Response> {
        const LOOK: Duration = Duration::from_millis(100);
        self.send(version, request)?;
        let deadline = Instant::now() + limit;
        loop {
            match self.frame(LOOK) {
                Ok(frame) => return self.decode::<R::Response>(version, &frame),
                Err(ClientError::TimedOut(_)) if asked() => return Err(ClientError::Interrupted),
                Err(ClientError::TimedOut(_)) if Instant::now() < deadline => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request, and before it who the client is where the session is about to end.
    ///
    /// # Errors
    /// [`ClientError::Connection`], [`ClientError::Protocol`], and those of authentication.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.send_numbered(version, version, request)
    }

    fn send_numbered<R: Request>(&mut self, version: i16, layout: i16, request: &R) -> Result<()> {
        if self.renewal.is_some_and(|due| Instant::now() >= due) {
            self.renewal = None;
            self.authenticate()?;
        }
        self.send_now(version, layout, request)
    }

    /// [`Connection::call`] that others may be outstanding before: their answers are kept for whoever waits for them.
    pub(super) fn call_behind<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let correlation = self.next_correlation;
        self.send_now(version, version, request)?;
        self.waiting.pop_back();
        let mut kept = std::mem::take(&mut self.early);
        let answer = loop {
            let frame = match self.frame(self.request_timeout) {
                Ok(frame) => frame,
                Err(error) => break Err(error),
            };
            if frame.first_chunk() == Some(&correlation.to_be_bytes()) {
                break wire::decode_response::<R::Response>(version, &frame)
                    .map(|(_, answer)| answer)
                    .map_err(|error| ClientError::wire(&self.peer, &error));
            }
            if kept.len() >= self.waiting.len() {
                break Err(ClientError::Protocol {
                    peer: self.peer.clone(),
                    reason: format!("an answer that is not the one to request {correlation}"),
                });
            }
            kept.push_back(frame);
        };
        self.early = kept;
        answer
    }

    fn send_now<R: Request>(&mut self, version: i16, layout: i16, request: &R) -> Result<()> {
        let correlation = self.next_correlation;
        let mut encoded = wire::encode_request(correlation, Some(&self.client_id), layout, request)
            .map_err(|error| ClientError::wire(&self.peer, &error))?;
        if version != layout {
            // It stands behind the length and the key.
            let mut renumbered = encoded.to_vec();
            renumbered[6..8].copy_from_slice(&version.to_be_bytes());
            encoded = renumbered.into();
        }
        let failed = |error| ClientError::connection(&self.peer, &error);
        self.transport.socket().set_write_timeout(timeout(self.request_timeout)).map_err(failed)?;
        self.transport.send(&encoded).map_err(failed)?;
        self.next_correlation = correlation.wrapping_add(1);
        self.open.traffic().sent(encoded.len());
        self.waiting.push_back((correlation, Instant::now()));
        Ok(())
    }

    /// A request that is never answered (Produce with acks=0).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_without_answer<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.send(version, request)?;
        self.waiting.pop_back();
        Ok(())
    }

    /// The next answer's frame, waited for.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], [`ClientError::Connection`], [`ClientError::Protocol`].
    pub fn frame(&mut self, limit: Duration) -> Result<Bytes> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.fill(Some(left))? && Instant::now() >= deadline {
                let millis = limit.as_millis();
                return Err(ClientError::TimedOut(format!(
                    "{} did not answer within {millis} ms",
                    self.peer
                )));
            }
        }
    }

    /// The next answer's frame if it has arrived.
    ///
    /// # Errors
    /// [`ClientError::Connection`], [`ClientError::Protocol`].
    pub fn frame_if_here(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            if !self.fill(None)? {
                return Ok(None);
            }
        }
    }

    /// Decodes the frame of an answer.
    ///
    /// # Errors
    /// [`ClientError::Protocol`].
    pub fn decode<T: kafka_protocol::protocol::Decodable + HeaderVersion>(
        &mut self,
        version: i16,
        frame: &Bytes,
    ) -> Result<T> {
        let (correlation, message) = wire::decode_response::<T>(version, frame)
            .map_err(|error| ClientError::wire(&self.peer, &error))?;
        match self.waiting.pop_front() {
            Some((expected, since)) if expected == correlation => {
                self.open.traffic().answered(since.elapsed());
                Ok(message)
            }
            other => Err(ClientError::Protocol {
                peer: self.peer.clone(),
                reason: format!(
                    "an answer to request {correlation} instead of {:?}",
                    other.map(|(expected, _)| expected)
                ),
            }),
        }
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(Some(frame));
        }
        let Some(prefix) = self.partial.first_chunk() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        let bytes = usize::try_from(length).ok().filter(|bytes| (4..=FRAME_BYTES_MAX).contains(bytes));
        let Some(bytes) = bytes else {
            // An alert of TLS: type 21, version 3.x.
            let reason = match (&self.transport, self.partial[..2] == [21, 3]) {
                (Transport::Plain(_), true) => {
                    "it speaks TLS: security.protocol has to be SSL or SASL_SSL".into()
                }
                _ => format!("an answer of {length} bytes; is this a Kafka broker?"),
            };
            return Err(ClientError::Protocol { peer: self.peer.clone(), reason });
        };
        if self.partial.len() < 4 + bytes {
            return Ok(None);
        }
        self.open.traffic().received(4 + bytes);
        let rest = self.partial.split_off(4 + bytes);
        let frame = std::mem::replace(&mut self.partial, rest);
        Ok(Some(Bytes::from(frame).slice(4..)))
    }

    /// Reads once, waiting at most `wait`, not at all without one. Whether something came.
    fn fill(&mut self, wait: Option<Duration>) -> Result<bool> {
        let failed = |error| ClientError::connection(&self.peer, &error);
        match wait {
            Some(wait) => self.transport.socket().set_read_timeout(timeout(wait)).map_err(failed)?,
            None => self.transport.socket().set_nonblocking(true).map_err(failed)?,
        }
        let read = self.transport.receive(&mut self.chunk);
        if wait.is_none() {
            self.transport.socket().set_nonblocking(false).map_err(failed)?;
        }
        match read {
            Ok(0) => Err(failed(ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.partial.extend_from_slice(&self.chunk[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Of a socket, where zero would mean forever.
fn timeout(duration: Duration) -> Option<Duration> {
    Some(duration.max(Duration::from_millis(1)))
}

/// Kafka's name of a key in capitals: `DESCRIBE_LOG_DIRS`.
pub fn key_name(key: i16) -> String {
    let Ok(key) = ApiKey::try_from(key) else { return format!("API key {key}") };
    let mut name = String::new();
    for letter in format!("{key:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_kafkas_names() {
        assert_eq!(key_name(35), "DESCRIBE_LOG_DIRS");
        assert_eq!(key_name(3), "METADATA");
        assert_eq!(key_name(999), "API key 999");
    }
}
