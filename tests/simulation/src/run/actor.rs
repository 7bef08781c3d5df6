//! A client with something to do: one operation after the other, until it has done enough.

use crate::{
    client::{
        catalog::Catalog,
        history::{Event, History},
        model::{Client, Ended, Outcome},
    },
    rng::Rng,
    workload::{self, Desk, Memory, Operation},
    world::World,
};
use bytes::Bytes;
use corelane_core::ids::{Offset, PartitionId, TopicId};
use corelane_seam::ConnectionId;
use corelane_shard::Node;
use std::collections::VecDeque;

/// The longest pause between two operations, in ns.
const THINK_NS_MAX: u64 = 20_000_000;

/// Beyond the partitions that any topic of a run gets.
const PARTITIONS_MAX: i32 = 64;

/// All that lies outside of a client.
pub(super) struct Outside<'a> {
    pub world: &'a mut World<Node>,
    pub history: &'a mut History,
    pub catalog: &'a mut Catalog,
}

pub(super) struct Actor {
    client: Client,
    rng: Rng,
    memory: Memory,
    operation: Option<Box<dyn Operation>>,
    /// Operations that it shall begin yet.
    pub left: u64,
    /// Operations begun since someone counted.
    pub begun: u64,
    next_begin_ns: u64,
    number: u64,
}

impl Actor {
    pub fn new(client: Client, rng: Rng) -> Actor {
        let number = client.number();
        Actor {
            client,
            rng,
            memory: Memory::default(),
            operation: None,
            left: 0,
            begun: 0,
            next_begin_ns: 0,
            number,
        }
    }

    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.client.holds(connection)
    }

    pub fn is_done(&self) -> bool {
        self.left == 0 && self.operation.is_none()
    }

    pub fn waits_for(&self) -> String {
        let name = self.operation.as_ref().map_or("nothing", |operation| operation.name());
        format!("client {} in {name}: {}", self.number, self.client.waits_for())
    }

    /// The next operation begins after a moment's thought.
    pub fn begin_soon(&mut self, world: &mut World<Node>) {
        let delay_ns = self.rng.below(THINK_NS_MAX);
        self.next_begin_ns = world.now_ns() + delay_ns;
        world.wake_after(delay_ns, self.number);
    }

    /// Begins an operation now. An error is a violation.
    pub fn begin(&mut self, operation: Box<dyn Operation>, outside: &mut Outside<'_>) -> Result<(), String> {
        outside.world.note(&format!("client {} begins {}", self.number, operation.name()));
        self.begun += 1;
        self.operation = Some(operation);
        self.at_desk(outside, |operation, desk| operation.begin(desk))?;
        self.end_if_over(outside);
        Ok(())
    }

    pub fn wake(&mut self, outside: &mut Outside<'_>) -> Result<(), String> {
        let ended = self.client.wake(outside.world, outside.history, &outside.catalog.routes);
        self.take(ended, outside)?;
        let due = self.next_begin_ns <= outside.world.now_ns();
        if self.operation.is_none() && self.left > 0 && due {
            self.left -= 1;
            let operation = self.with_desk(outside, workload::draw)?;
            self.begin(operation, outside)?;
        }
        Ok(())
    }

    pub fn closed(&mut self, connection: ConnectionId, outside: &mut Outside<'_>) -> Result<(), String> {
        let ended = self.client.closed(outside.world, connection);
        self.take(ended, outside)
    }

    pub fn received(
        &mut self,
        connection: ConnectionId,
        bytes: &Bytes,
        outside: &mut Outside<'_>,
    ) -> Result<(), String> {
        let ended = self.client.received(outside.history, connection, bytes)?;
        self.take(ended, outside)
    }

    fn take(&mut self, ended: Vec<Ended>, outside: &mut Outside<'_>) -> Result<(), String> {
        let mut ended = VecDeque::from(ended);
        while let Some(one) = ended.pop_front() {
            outside
                .world
                .detail(|| format!("client {} is told {:?} of {:?}", self.number, one.outcome, one.request));
            outside.catalog.ended(&one.request);
            match &one.outcome {
                Outcome::Answered(answer) => {
                    for (topic, name) in outside.catalog.answered(&one.request, answer) {
                        if outside.catalog.is_passing(&name) {
                            expect_retention(outside.history, topic);
                        }
                        if outside.catalog.is_compacted(&name) {
                            let buries_for_good = outside.catalog.buries_for_good(&name);
                            outside.history.note(Event::TopicCompacted { topic, buries_for_good });
                        }
                    }
                }
                Outcome::Lost => outside.catalog.routes.lost(&one.request),
            }
            self.client.refresh(outside.world, outside.history, &mut outside.catalog.routes);
            if !one.aside {
                self.at_desk(outside, |operation, desk| operation.ended(one, desk))?;
            }
        }
        self.end_if_over(outside);
        Ok(())
    }

    fn at_desk(
        &mut self,
        outside: &mut Outside<'_>,
        call: impl FnOnce(&mut dyn Operation, &mut Desk<'_>),
    ) -> Result<(), String> {
        let Some(mut operation) = self.operation.take() else { return Ok(()) };
        self.with_desk(outside, |desk| call(operation.as_mut(), desk))?;
        self.operation = Some(operation);
        Ok(())
    }

    fn with_desk<R>(
        &mut self,
        outside: &mut Outside<'_>,
        call: impl FnOnce(&mut Desk<'_>) -> R,
    ) -> Result<R, String> {
        let mut desk = Desk {
            rng: &mut self.rng,
            unix_ms: outside.world.unix_ms(),
            history: outside.history,
            catalog: outside.catalog,
            memory: &mut self.memory,
            asks: Vec::new(),
            violation: None,
        };
        let result = call(&mut desk);
        let (asks, violation) = (desk.asks, desk.violation);
        for (delay_ns, request) in asks {
            outside.catalog.asked(&request);
            let routes = &outside.catalog.routes;
            self.client.ask(outside.world, outside.history, routes, request, delay_ns);
        }
        violation.map_or(Ok(result), Err)
    }

    fn end_if_over(&mut self, outside: &mut Outside<'_>) {
        if self.operation.is_some() && self.client.is_idle() {
            self.operation = None;
            if self.left > 0 {
                self.begin_soon(outside.world);
            }
        }
    }
}

fn expect_retention(history: &mut History, topic: TopicId) {
    for index in 0..PARTITIONS_MAX {
        let partition = PartitionId { topic, index };
        history.note(Event::DeleteRecordsAsked { partition, before: Offset(i64::MAX) });
    }
}
