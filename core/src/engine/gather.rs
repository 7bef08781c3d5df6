//! Requests that wait for answers: from partitions' owners, or from the controller.

use super::{
    Controllers, GonePeers,
    desk::{ControllerRequest, ControllerResponse},
    enlistment::Enlist,
    fetch_session::FetchSessions,
    follower_session::FollowerSessions,
    message::{GatherId, OwnerRequest, OwnerResponse},
    producer_ids::ProducerIdPool,
};
use crate::{
    config::BrokerConfig,
    error::ErrorCode,
    ids::{NodeId, PartitionId},
    metadata::Image,
    transactions::Reply,
};
use bytes::Bytes;
use corelane_seam::{ConnectionId, ListenerId, Monotonic, Now, Part, ShardId};
use std::net::SocketAddr;

/// Where this shard stands among its like.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// This data shard.
    pub shard: ShardId,
    /// How many data shards there are.
    pub shards: u16,
    /// The quorum's shard.
    pub quorum: ShardId,
    /// This broker.
    pub node: NodeId,
}

impl Place {
    /// The other data shards.
    pub fn other_shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId).filter(move |shard| *shard != self.shard)
    }
}

/// What a handler may look at and use while it decides.
pub struct Context<'a> {
    /// When.
    pub now: Now,
    /// Where.
    pub place: Place,
    /// Static configuration.
    pub config: &'a BrokerConfig,
    /// Committed metadata as this shard knows it.
    pub image: &'a Image,
    /// Incremental fetches of this shard's connections.
    pub sessions: &'a mut FetchSessions,
    /// Fetches of followers by this shard's connections.
    pub follower_sessions: &'a mut FollowerSessions,
    /// Producer ids that this shard may give out.
    pub producer_ids: &'a mut ProducerIdPool,
    /// Seeded by the driver; for ids that must not be guessed or collide.
    pub random: &'a mut Random,
    /// By which connection the request came.
    pub connection: ConnectionId,
    /// By which listener the request came.
    pub listener: ListenerId,
    /// From where.
    pub peer: SocketAddr,
    /// This broker has begun to lead something a moment ago, of which its followers may hear any time now.
    pub reign_is_new: bool,
    /// Brokers that have gone a moment ago, of which there is about to be news.
    pub gone: &'a GonePeers,
    /// The request came by a controller's listener: who the controllers are.
    pub controllers: Option<&'a Controllers>,
}

impl Context<'_> {
    /// The shard that owns a partition.
    pub fn owner(&self, id: PartitionId) -> ShardId {
        id.owner(self.place.shards)
    }

    /// A deadline some milliseconds from now; negative counts as 0.
    pub fn after_ms(&self, ms: i32) -> Monotonic {
        self.now.monotonic.after_ms(u64::from(ms.max(0).unsigned_abs()))
    }
}

/// A small seeded generator (splitmix64): core knows no randomness of its own, the seed is passed in.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(
            ((u128::from(self.draw()) << 64) | u128::from(self.draw())).to_be_bytes(),
        )
        .into_uuid()
    }
}

/// What is asked of others.
#[derive(Debug)]
pub enum Ask {
    /// The owner of partitions, perhaps this shard itself.
    Owner(ShardId, OwnerRequest),
    /// The quorum's shard.
    Controller(ControllerRequest),
    /// Another broker, which coordinates a transaction.
    Enlist(NodeId, Enlist),
}

/// The end of a request.
#[derive(Debug)]
pub enum Response {
    /// Send this (length prefix included).
    Send(Vec<Part>),
    /// Nothing is sent (acks=0).
    Nothing,
    /// The connection cannot go on; the reason is for the log.
    Close(String),
}

impl Response {
    /// One buffer.
    pub fn bytes(bytes: Bytes) -> Response {
        Response::Send(vec![Part::Bytes(bytes)])
    }
}

/// How a request starts.
pub enum Start {
    /// Answered at once.
    Ready(Response),
    /// To be answered when `gather` says so.
    Gather {
        /// Takes the answers.
        gather: Box<dyn Gather>,
        /// What is asked first.
        asks: Vec<Ask>,
        /// When [`Gather::expired`] is called.
        deadline: Option<Monotonic>,
    },
}

/// What a gather wants next.
pub enum Step {
    /// More answers.
    Wait,
    /// Further answers, to these.
    Ask(Vec<Ask>),
    /// Nothing: this is the response.
    Done(Response),
}

/// A request under way: takes answers until it can respond.
pub trait Gather {
    /// An owner answered.
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step;

    /// The controller answered. Only gathers that asked it are called.
    fn controller_answered(&mut self, _context: &mut Context<'_>, _response: ControllerResponse) -> Step {
        Step::Wait
    }

    /// Another broker has answered as a transaction's coordinator, or could not. Only gathers that asked one are called.
    fn enlisted(&mut self, _context: &mut Context<'_>, _reply: Reply) -> Step {
        Step::Wait
    }

    /// The deadline has passed.
    fn expired(&mut self, context: &mut Context<'_>) -> Step;

    /// This broker leads more than when the request came: whoever follows it may have something else to ask for.
    fn reign_began(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Wait
    }

    /// There is other metadata than when the request came, and brokers have gone a moment ago.
    fn metadata_changed(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Wait
    }

    /// Shards that may still hold something that waits for this gather, to be told to forget it.
    fn watched(&self) -> &[ShardId] {
        &[]
    }

    /// For the stall detector and the trace.
    fn name(&self) -> &'static str;
}

/// A gather with its connection and deadline.
pub(super) struct Running {
    pub connection: corelane_seam::ConnectionId,
    pub gather: Box<dyn Gather>,
    pub timer: Option<crate::timers::TimerId>,
}

/// Names for gathers, unique per shard and process life.
#[derive(Debug, Default)]
pub(super) struct GatherIds(u64);

impl GatherIds {
    pub fn next(&mut self) -> GatherId {
        self.0 += 1;
        GatherId(self.0)
    }
}

/// The code for a partition that the image does not lead to: by name or by id.
pub fn missing(by_id: bool) -> ErrorCode {
    if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition }
}
