//! A driver of the seam without a kernel: one broker's shards, their mesh, their files in memory, and clients.
//!
//! A shard's turn is as on the real drivers: it is given all completions that are there, then told that the turn has
//! ended; what it asks for is there in its next turn, a flush one turn after its write. Only the calls into data shards are
//! ever counted, not what this driver does, and not the quorum's shard.

use bytes::BytesMut;
use corelane_core::{
    config::{BrokerConfig, ReadOptions, Source},
    engine::ShardMessage,
    log::Fault,
    wire::{decode_response, encode_request},
};
use corelane_seam::{
    CloseReason, Completion, ConnectionId, FileOperation, FileResult, Flush, ListenerId, Monotonic, Now,
    Operation, Part, Shard, ShardId, Token,
};
use corelane_shard::{BrokerSettings, LogControl, Node, Report, assemble};
use corelane_simulation::{rng::Rng, world::SimDisk};
use kafka_protocol::protocol::Request;
use std::{
    collections::VecDeque,
    mem,
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

type Operations = Vec<Operation<ShardMessage>>;

/// Wall clock at the beginning: 2026-01-01 00:00 UTC, in ms.
const UNIX_MS_AT_START: i64 = 1_767_225_600_000;

/// How long a shard's turn takes. A clock that stood still would let what is put off by nothing come at once for ever.
const TURN: Duration = Duration::from_micros(1);

/// Turns before shards are taken for ones that never come to rest.
const TURNS_MAX: u32 = 1_000_000;

/// A call into a shard.
enum Call {
    Complete(Completion<ShardMessage>),
    EndOfTurn,
}

impl Call {
    fn make(self, node: &mut Node, now: Now, out: &mut Operations) {
        match self {
            Call::Complete(completion) => node.complete(now, completion, out),
            Call::EndOfTurn => node.end_of_turn(now, out),
        }
    }
}

/// The name of [`within_a_data_shard`], for callgrind, which counts what happens inside.
pub const COUNTED: &str = "*within_a_data_shard*";

#[inline(never)]
fn within_a_data_shard(call: Call, node: &mut Node, now: Now, out: &mut Operations) {
    call.make(node, now, out);
}

struct Slot {
    node: Node,
    /// For the next turn, and for the one after it.
    due: VecDeque<Completion<ShardMessage>>,
    later: VecDeque<Completion<ShardMessage>>,
    timer: Option<Monotonic>,
}

/// A client's connection, which it never closes.
struct Connection {
    shard: ShardId,
    receive: Option<BytesMut>,
    /// Bytes for which the shard has not asked yet.
    coming: BytesMut,
    /// Bytes that were answered.
    answered: BytesMut,
    correlation: i32,
}

/// The handle of a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Client(usize);

/// One broker and its clients.
pub struct Machine {
    slots: Vec<Slot>,
    disk: SimDisk,
    now: Monotonic,
    connections: Vec<Connection>,
    counting: bool,
    bytes_from_files: u64,
    reports: Receiver<Report>,
    out: Operations,
}

impl Machine {
    /// A broker of so many data shards on an empty disk, which serves. Its settings are the defaults, but for `change`.
    pub fn start(shards: u16, change: impl FnOnce(&mut BrokerConfig)) -> Machine {
        let disk = SimDisk::new(Rng::new(1));
        let (sender, reports) = channel();
        let settings = BrokerSettings {
            config: Arc::new(config(change)),
            shards,
            ports: vec![9092],
            seed: 1,
            fault: Fault::None,
            log: LogControl::default(),
            reports: sender,
        };
        let now = Monotonic(1_000_000_000);
        let assembled =
            assemble(&settings, Arc::new(disk.clone()), at(now)).expect("an empty disk is recovered");
        let slots = assembled.seeds.into_iter().map(|seed| Slot {
            node: seed.grow(at(now)),
            due: VecDeque::new(),
            later: VecDeque::new(),
            timer: None,
        });
        let slots = slots.collect();
        let out = Vec::new();
        let mut machine = Machine {
            slots,
            disk,
            now,
            connections: Vec::new(),
            counting: false,
            bytes_from_files: 0,
            reports,
            out,
        };
        machine.serve(shards);
        machine
    }

    /// Runs until all data shards serve.
    fn serve(&mut self, shards: u16) {
        for index in 0..self.slots.len() {
            let mut out = mem::take(&mut self.out);
            self.slots[index].node.start(at(self.now), &mut out);
            self.submit(index, out);
        }
        let mut serving = 0;
        while serving < shards {
            self.settle();
            for report in self.reports.try_iter() {
                match report {
                    Report::Serving => serving += 1,
                    Report::Fatal(fatal) => panic!("the broker gives up: {fatal}"),
                }
            }
            let next = self.slots.iter().filter_map(|slot| slot.timer).min();
            self.now = next.expect("a broker that does not serve yet waits for something").max(self.now);
        }
    }

    /// Data shards are all but the last.
    fn data_shards(&self) -> usize {
        self.slots.len() - 1
    }

    /// A client connects, to the first shard.
    pub fn connect(&mut self) -> Client {
        let client = Client(self.connections.len());
        self.connections.push(Connection {
            shard: ShardId(0),
            receive: None,
            coming: BytesMut::new(),
            answered: BytesMut::new(),
            correlation: 0,
        });
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = connection_id(client.0);
        let accepted = Completion::Accepted { connection, listener: ListenerId(0), peer, moved: false };
        self.slots[0].due.push_back(accepted);
        self.settle();
        client
    }

    /// Sends a request, and returns when the shards rest: it may have been answered or wait for something.
    pub fn send<T: Request>(&mut self, client: Client, version: i16, request: &T) {
        self.send_all(client, version, std::slice::from_ref(request));
    }

    /// Sends requests that come all at once.
    pub fn send_all<T: Request>(&mut self, client: Client, version: i16, requests: &[T]) {
        let mut bytes = BytesMut::new();
        for request in requests {
            let correlation = &mut self.connections[client.0].correlation;
            *correlation += 1;
            let encoded = encode_request(*correlation, Some("client"), version, request);
            bytes.extend_from_slice(&encoded.expect("a request that can be written"));
        }
        self.connections[client.0].coming.extend_from_slice(&bytes);
        self.receive(client.0);
        self.settle();
    }

    /// The next answer, if one has come.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn answer<T: Request>(&mut self, client: Client, version: i16) -> Option<T::Response> {
        let answered = &mut self.connections[client.0].answered;
        let length = answered.first_chunk().map(|length| u32::from_be_bytes(*length))?;
        let length = usize::try_from(length).expect("32 bits");
        let frame = answered.split_to(4 + length).freeze().slice(4..);
        Some(decode_response(version, &frame).expect("an answer that can be read").1)
    }

    /// Sends a request and takes its answer, which must come without waiting for time.
    pub fn ask<T: Request>(&mut self, client: Client, version: i16, request: &T) -> T::Response {
        self.send(client, version, request);
        self.answer::<T>(client, version).expect("an answer that waits for nothing")
    }

    /// Time passes, timers come due, and the shards come to rest.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.slots.iter().filter_map(|slot| slot.timer).min().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = self.now.max(end);
    }

    /// From now on the calls into data shards are counted.
    pub fn count(&mut self) {
        self.counting = true;
    }

    /// How many bytes have been sent out of files.
    pub fn bytes_from_files(&self) -> u64 {
        self.bytes_from_files
    }

    // ---- turns ----

    /// Runs until no shard has anything to do.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut worked = false;
            for index in 0..self.slots.len() {
                worked |= self.turn(index);
            }
            if !worked {
                return;
            }
        }
        panic!("the shards never come to rest");
    }

    fn turn(&mut self, index: usize) -> bool {
        let slot = &mut self.slots[index];
        if slot.timer.is_some_and(|at| at <= self.now) {
            slot.timer = None;
            slot.due.push_back(Completion::Timer);
        }
        if slot.due.is_empty() && slot.later.is_empty() {
            return false;
        }
        let due = mem::replace(&mut slot.due, mem::take(&mut slot.later));
        for completion in due {
            self.call(index, Call::Complete(completion));
        }
        self.call(index, Call::EndOfTurn);
        self.now = self.now + TURN;
        true
    }

    fn call(&mut self, index: usize, call: Call) {
        let mut out = mem::take(&mut self.out);
        let counted = self.counting && index < self.data_shards();
        let node = &mut self.slots[index].node;
        if counted {
            within_a_data_shard(call, node, at(self.now), &mut out);
        } else {
            call.make(node, at(self.now), &mut out);
        }
        self.submit(index, out);
    }

    // ---- what shards ask for ----

    fn submit(&mut self, index: usize, mut operations: Operations) {
        for operation in operations.drain(..) {
            match operation {
                Operation::Receive { connection, buffer } => {
                    let index = connection_index(connection);
                    self.connections[index].receive = Some(buffer);
                    self.receive(index);
                }
                Operation::Send { connection, parts } => self.sent(connection, &parts),
                Operation::File { token, operation } => self.file(index, token, &operation),
                Operation::Message { to, message } => {
                    let from = ShardId(u16::try_from(index).expect("few shards"));
                    self.slots[to.index()].due.push_back(Completion::Message { from, message });
                }
                Operation::Timer { at } => self.slots[index].timer = Some(at),
                Operation::Close { connection } => {
                    // A path whose client is hung up on counts nothing that means anything; its next answer is missing.
                    let closed = Completion::Closed { connection, reason: CloseReason::Asked };
                    self.slots[index].due.push_back(closed);
                }
                Operation::Move { connection, to } => self.hand_over(connection, to),
                Operation::Connect { .. } => unreachable!("a broker that is alone connects to nobody"),
                Operation::Stopped => unreachable!("nobody asks it to stop"),
            }
        }
        // It goes back, so that it is allocated once.
        self.out = operations;
    }

    fn hand_over(&mut self, connection: ConnectionId, to: ShardId) {
        self.connections[connection_index(connection)].shard = to;
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let accepted = Completion::Accepted { connection, listener: ListenerId(0), peer, moved: true };
        self.slots[to.index()].due.push_back(accepted);
    }

    /// Completes a receive, if one is asked for and there are bytes.
    fn receive(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.coming.is_empty() {
            return;
        }
        let Some(mut buffer) = connection.receive.take() else { return };
        let bytes = connection.coming.len();
        buffer.extend_from_slice(&connection.coming);
        connection.coming.clear();
        let received = Completion::Received { connection: connection_id(index), buffer, bytes };
        self.slots[connection.shard.index()].due.push_back(received);
    }

    fn sent(&mut self, id: ConnectionId, parts: &[Part]) {
        let connection = &mut self.connections[connection_index(id)];
        for part in parts {
            match part {
                Part::Bytes(bytes) => connection.answered.extend_from_slice(bytes),
                Part::Memory(slice) => connection.answered.extend_from_slice(slice),
                Part::File { file, offset, len } => {
                    self.bytes_from_files += len;
                    let len = usize::try_from(*len).expect("less than memory");
                    let bytes = SimDisk::read_for_send(file, *offset, len).expect("a file of this disk");
                    connection.answered.extend_from_slice(&bytes);
                }
            }
        }
        self.slots[connection.shard.index()].due.push_back(Completion::Sent { connection: id });
    }

    fn file(&mut self, index: usize, token: Token, operation: &FileOperation) {
        let perform = |operation: &FileOperation| {
            let covered = match operation {
                FileOperation::Flush { file } => SimDisk::covered(file),
                _ => 0,
            };
            Completion::File { token, result: self.disk.perform(operation, covered) }
        };
        let done = perform(operation);
        let (flush, flushed) = match (operation, &done) {
            (
                FileOperation::Write { file, flush, .. },
                Completion::File { result: FileResult::Written(Ok(())), .. },
            ) if flush.is_wanted() => (*flush, Some(perform(&FileOperation::Flush { file: file.clone() }))),
            _ => (Flush::No, None),
        };
        let slot = &mut self.slots[index];
        match flush {
            Flush::No | Flush::After => slot.due.push_back(done),
            Flush::Within => slot.later.push_back(done),
        }
        slot.later.extend(flushed);
    }
}

fn at(monotonic: Monotonic) -> Now {
    let ms = i64::try_from(monotonic.0 / 1_000_000).expect("not for long");
    Now { monotonic, unix_ms: UNIX_MS_AT_START + ms }
}

fn connection_id(index: usize) -> ConnectionId {
    ConnectionId(index as u64)
}

fn connection_index(id: ConnectionId) -> usize {
    usize::try_from(id.0).expect("few connections")
}

fn config(change: impl FnOnce(&mut BrokerConfig)) -> BrokerConfig {
    let entries = [
        ("log.dirs", "/data"),
        ("listeners", "PLAINTEXT://broker.test:9092"),
        // Of fifty partitions each start would be most of what is executed.
        ("offsets.topic.num.partitions", "4"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let entries = entries.map(|(key, value)| (Source::Override, key.to_owned(), value.to_owned()));
    let (mut config, _) = BrokerConfig::from_entries(&entries, &ReadOptions::default())
        .unwrap_or_else(|errors| panic!("the broker's configuration: {errors:?}"));
    // What it has besides is the disk's matter, which is small.
    config.disk_reserve_bytes = 1 << 20;
    change(&mut config);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{self, FETCH, NO_SESSION};
    use corelane_core::ids::PartitionId;
    use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest};

    #[test]
    fn a_broker_starts_and_answers() {
        let mut machine = Machine::start(2, |_| {});
        let client = machine.connect();
        let answer = machine.ask(client, 0, &ApiVersionsRequest::default());
        assert_eq!(answer.error_code, 0);
        let topic = requests::create_topic(&mut machine, client, 3);
        let owners = (0..3).map(|index| PartitionId { topic, index }.owner(2).0);
        assert_eq!(owners.collect::<std::collections::BTreeSet<_>>().len(), 2);
    }

    #[test]
    fn requests_that_come_at_once_are_all_answered() {
        let mut machine = Machine::start(1, |_| {});
        let client = machine.connect();
        machine.send_all(client, 0, &[ApiVersionsRequest::default(), ApiVersionsRequest::default()]);
        for _ in 0..2 {
            assert!(machine.answer::<ApiVersionsRequest>(client, 0).is_some());
        }
        assert!(machine.answer::<ApiVersionsRequest>(client, 0).is_none());
    }

    #[test]
    fn timers_come_due_when_time_passes_and_not_before() {
        let mut machine = Machine::start(1, |_| {});
        let client = machine.connect();
        let topic = requests::create_topic(&mut machine, client, 1);
        let fetch = requests::fetch(topic, &[(0, 0)], NO_SESSION);
        machine.send(client, FETCH, &fetch);
        machine.pass(Duration::from_millis(400));
        assert!(machine.answer::<FetchRequest>(client, FETCH).is_none(), "it waits for 500 ms");
        machine.pass(Duration::from_millis(100));
        assert!(machine.answer::<FetchRequest>(client, FETCH).is_some());
    }
}
