//! A Kafka client as small as these tests need it: synchronous, one connection, several requests in flight, and no
//! retries of its own. A test must know exactly what was sent and what was answered.

use crate::clock;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use corelane_core::wire::{decode_response, encode_request};
use kafka_protocol::protocol::Request;
use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longest wait for anything; a broker that takes longer has failed, not delayed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A larger response is a bug of the broker (or of a test that asked for it).
const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    next_correlation_id: i32,
    /// Correlation ids of requests without an answer so far, in the order in which they were sent.
    in_flight: VecDeque<i32>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Client> {
        Client::connect_within(address, PATIENCE)
    }

    /// Connects, and gives up after `patience`.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn connect_within(address: SocketAddr, patience: Duration) -> anyhow::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, patience).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, next_correlation_id: 0, in_flight: VecDeque::new() })
    }

    /// Waits for answers no longer than this.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn set_patience(&self, patience: Duration) -> anyhow::Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }

    /// The socket, for what no client should do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a request; its answer is [`receive`](Self::receive)d in turn.
    ///
    /// # Errors
    /// As the kernel says; the connection is of no use then.
    pub fn send<T: Request>(&mut self, version: i16, request: &T) -> anyhow::Result<()> {
        let correlation_id = self.send_unanswered(version, request)?;
        self.in_flight.push_back(correlation_id);
        Ok(())
    }

    /// Sends a request that gets no answer (Produce with acks=0).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_unanswered<T: Request>(&mut self, version: i16, request: &T) -> anyhow::Result<i32> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let frame = encode_request(correlation_id, Some("faults"), version, request)?;
        self.stream.write_all(&frame).context("cannot send")?;
        Ok(correlation_id)
    }

    /// The answer to the oldest request that has none yet, and when it was there (`CLOCK_MONOTONIC`, nanoseconds).
    ///
    /// # Errors
    /// When the connection ends, nothing comes in time, or what comes is no answer to that request.
    pub fn receive<T: Request>(&mut self, version: i16) -> anyhow::Result<(T::Response, u64)> {
        let expected = self.in_flight.pop_front().context("nothing was asked")?;
        let frame = self.receive_frame()?;
        let at = clock::monotonic_ns();
        let (correlation_id, response) = decode_response::<T::Response>(version, &frame)?;
        ensure!(correlation_id == expected, "answer to {correlation_id} instead of to {expected}");
        Ok((response, at))
    }

    /// The next frame, whatever it is.
    ///
    /// # Errors
    /// When the connection ends or nothing comes in time.
    pub fn receive_frame(&mut self) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("no answer")?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("negative length")?;
        if length > RESPONSE_BYTES_MAX {
            bail!("a response of {length} bytes");
        }
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).context("the answer breaks off")?;
        Ok(Bytes::from(frame))
    }

    /// Asks and waits, with nothing else in flight.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`receive`](Self::receive).
    pub fn call<T: Request>(&mut self, version: i16, request: &T) -> anyhow::Result<T::Response> {
        ensure!(self.in_flight.is_empty(), "other requests are in flight");
        self.send(version, request)?;
        Ok(self.receive::<T>(version)?.0)
    }
}
