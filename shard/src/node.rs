//! One shard of a broker, whichever kind it is.

use crate::{DataShard, QuorumShard};
use corelane_core::{engine::ShardMessage, error::Fatal};
use corelane_seam::{Completion, Now, Operation, Shard, ShardId};
use std::sync::mpsc::Sender;

/// What a shard reports to whoever started the broker.
#[derive(Debug)]
pub enum Report {
    /// This data shard serves: it has caught-up metadata.
    Serving,
    /// The broker must stop; nothing is acknowledged any more.
    Fatal(Fatal),
}

/// A data shard or the quorum's shard. Both are boxed: they are moved to their thread once.
pub enum Node {
    /// Owns partitions and connections.
    Data(Box<DataShard>),
    /// Owns the metadata.
    Quorum(Box<QuorumShard>),
    /// A quorum's shard whose directory could not be opened: it says so and stops.
    Broken(Broken),
}

/// See [`Node::Broken`].
pub struct Broken {
    /// Why.
    pub fatal: Fatal,
    /// How many data shards there are: they go with it.
    pub data_shards: u16,
    /// Where to report it.
    pub reports: Sender<Report>,
}

impl Shard for Node {
    type Message = ShardMessage;

    fn start(&mut self, now: Now, out: &mut Vec<Operation<ShardMessage>>) {
        match self {
            Node::Data(shard) => shard.start(now, out),
            Node::Quorum(shard) => shard.start(now, out),
            Node::Broken(broken) => {
                // Whoever started the broker may have gone; nothing depends on it.
                let _ = broken.reports.send(Report::Fatal(broken.fatal.clone()));
                let shards = (0..broken.data_shards).map(ShardId);
                out.extend(shards.map(|to| Operation::Message { to, message: ShardMessage::Stop }));
                out.push(Operation::Stopped);
            }
        }
    }

    fn complete(
        &mut self,
        now: Now,
        completion: Completion<ShardMessage>,
        out: &mut Vec<Operation<ShardMessage>>,
    ) {
        match self {
            Node::Data(shard) => shard.complete(now, completion, out),
            Node::Quorum(shard) => shard.complete(now, completion, out),
            Node::Broken(_) => {}
        }
    }

    fn end_of_turn(&mut self, now: Now, out: &mut Vec<Operation<ShardMessage>>) {
        match self {
            Node::Data(shard) => shard.end_of_turn(now, out),
            Node::Quorum(shard) => shard.end_of_turn(now, out),
            Node::Broken(_) => {}
        }
    }

    fn busy_with(&self) -> String {
        match self {
            Node::Data(shard) => shard.busy_with(),
            Node::Quorum(shard) => shard.busy_with(),
            Node::Broken(_) => "nothing".to_owned(),
        }
    }
}
