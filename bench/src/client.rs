//! The blocking client: one request, one response. Sets runs up, and fetches.

use crate::link::frame_bytes;
use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use corelane_core::{error::ErrorCode, wire};
use kafka_protocol::{
    messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse},
    protocol::{Message, Request, StrBytes},
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// What the load generator calls itself.
pub const CLIENT_ID: &str = "corelane-bench";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The versions that a broker serves.
#[derive(Clone, Debug, Default)]
pub struct Served(BTreeMap<i16, (i16, i16)>);

impl Served {
    /// The newest version that both sides have.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest<T: Request>(&self) -> Result<i16> {
        let name = ApiKey::try_from(T::KEY).map_or_else(|()| T::KEY.to_string(), |key| format!("{key:?}"));
        let (min, max) =
            self.0.get(&T::KEY).copied().ok_or_else(|| anyhow!("the broker does not serve {name}"))?;
        let ours = wire::versions_of::<T>();
        let theirs = wire::versions_of::<T::Response>();
        let newest = max.min(ours.max).min(theirs.max);
        ensure!(
            newest >= min.max(ours.min),
            "the broker serves {name} {min} to {max}, this client speaks {} to {}",
            ours.min,
            ours.max
        );
        Ok(newest)
    }
}

/// A connection that waits for each answer.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    address: String,
    correlation_id: i32,
    served: Served,
    spare: Vec<u8>,
}

impl Client {
    /// Connects and asks for the versions.
    ///
    /// # Errors
    /// With what to check.
    pub fn connect(address: &str) -> Result<Client> {
        let stream = open(address)?;
        let mut client = Client {
            stream,
            address: address.to_owned(),
            correlation_id: 0,
            served: Served::default(),
            spare: Vec::new(),
        };
        let response = client.api_versions()?;
        client.served = Served(
            response.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version))).collect(),
        );
        Ok(client)
    }

    /// What the broker serves.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// One ApiVersions round trip (version 3, which every broker since Kafka 2.4 answers).
    ///
    /// # Errors
    /// The connection's, or the broker's.
    pub fn api_versions(&mut self) -> Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(CLIENT_ID))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let response: ApiVersionsResponse = self.call_version(3, &request)?;
        check(response.error_code, "ApiVersions")?;
        Ok(response)
    }

    /// Sends a request in the newest common version and waits for its response.
    ///
    /// # Errors
    /// The connection's, or a response that is not one.
    pub fn call<T: Request>(&mut self, request: &T) -> Result<T::Response> {
        let version = self.served.newest::<T>()?;
        self.call_version(version, request)
    }

    /// As [`call`](Self::call), in a given version.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_version<T: Request>(&mut self, version: i16, request: &T) -> Result<T::Response> {
        Ok(self.roundtrip(version, request)?.0)
    }

    /// As [`call_version`](Self::call_version), for large responses: `take` looks at the response, whose memory is
    /// then used for the next one. It may keep nothing of it alive, or the memory is copied.
    ///
    /// # Errors
    /// As [`call`](Self::call), and what `take` says.
    pub fn call_with<T: Request, R>(
        &mut self,
        version: i16,
        request: &T,
        take: impl FnOnce(&T::Response) -> Result<R>,
    ) -> Result<R> {
        let (response, frame) = self.roundtrip(version, request)?;
        let taken = take(&response);
        drop(response);
        self.spare = Vec::from(frame);
        taken
    }

    fn roundtrip<T: Request>(&mut self, version: i16, request: &T) -> Result<(T::Response, Bytes)> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = wire::encode_request(self.correlation_id, Some(CLIENT_ID), version, request)?;
        let (correlation_id, response, frame) = self
            .exchange(&frame)
            .and_then(|frame| {
                let (correlation_id, response) = wire::decode_response::<T::Response>(version, &frame)?;
                Ok((correlation_id, response, frame))
            })
            .with_context(|| format!("{} at {}", type_name::<T>(), self.address))?;
        ensure!(
            correlation_id == self.correlation_id,
            "{} answered request {correlation_id} instead of {}",
            self.address,
            self.correlation_id
        );
        Ok((response, frame))
    }

    fn exchange(&mut self, frame: &Bytes) -> Result<Bytes> {
        self.stream.write_all(frame)?;
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).context("the broker closed the connection or did not answer")?;
        let bytes = frame_bytes(prefix)?;
        let mut response = std::mem::take(&mut self.spare);
        response.clear();
        response.reserve(bytes);
        (&mut self.stream).take(bytes as u64).read_to_end(&mut response)?;
        ensure!(response.len() == bytes, "the broker closed the connection in the middle of a response");
        Ok(Bytes::from(response))
    }

    /// Gives the bare connection.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Where it is connected to.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Opens a connection, with a bound on the time it takes and on each later wait.
///
/// # Errors
/// With what to check.
pub fn open(address: &str) -> Result<TcpStream> {
    let mut resolved = address
        .to_socket_addrs()
        .with_context(|| format!("{address} is no address: give HOST:PORT, for instance 127.0.0.1:9092"))?;
    let first = resolved.next().ok_or_else(|| anyhow!("{address} resolves to no address"))?;
    // Prefer IPv4: "localhost" often resolves to ::1 first, where few brokers listen.
    let chosen = std::iter::once(first).chain(resolved).find(|known| known.is_ipv4()).unwrap_or(first);
    let stream = TcpStream::connect_timeout(&chosen, CONNECT_TIMEOUT).with_context(|| {
        format!(
            "cannot connect to {address}: is a broker running, is this the address of its listener (--broker), and \
             do its advertised listeners name an address that this machine reaches?"
        )
    })?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Kafka's name of an error code.
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |known| known.name().to_owned())
}

/// An error if a code is one.
///
/// # Errors
/// With Kafka's name of it.
pub fn check(code: i16, what: &str) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    bail!("{what}: {}", error_name(code))
}

fn type_name<T: Message>() -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap_or("request")
}
