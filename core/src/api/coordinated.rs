//! What handlers of groups and of transactions share: where something lives by its name, and how its coordinator is asked.

use crate::{
    engine::{
        Ask, Context, Gather, GroupQuery, OwnerRequest, OwnerResponse, Response as Answer, Start, Step,
        TransactionQuery,
    },
    error::ErrorCode,
    groups,
    ids::{NodeId, PartitionId, partition_of_name},
    transactions,
};
use corelane_seam::ShardId;

/// A request to the coordinator of what it names.
pub(super) trait Coordinated: Sized + 'static {
    /// The topic in whose partitions such things live.
    const TOPIC: &'static str;
    type Response: 'static;

    /// What it is about.
    fn subject(&self) -> &str;
    fn query(self, place: u32, partition: PartitionId) -> OwnerRequest;
    /// An owner's answer, if it is to such a request.
    fn reply(response: OwnerResponse) -> Option<(u32, Result<Self::Response, ErrorCode>)>;
}

impl Coordinated for groups::Request {
    const TOPIC: &'static str = groups::OFFSETS_TOPIC;
    type Response = groups::Response;

    fn subject(&self) -> &str {
        self.group()
    }

    fn query(self, place: u32, partition: PartitionId) -> OwnerRequest {
        OwnerRequest::Group(Box::new(GroupQuery { place, partition, request: self, guard: None }))
    }

    fn reply(response: OwnerResponse) -> Option<(u32, groups::Reply)> {
        match response {
            OwnerResponse::Group(place, reply) => Some((place, reply)),
            _ => None,
        }
    }
}

impl Coordinated for transactions::Request {
    const TOPIC: &'static str = transactions::TRANSACTIONS_TOPIC;
    type Response = transactions::Response;

    fn subject(&self) -> &str {
        self.id()
    }

    fn query(self, place: u32, partition: PartitionId) -> OwnerRequest {
        OwnerRequest::Transaction(Box::new(TransactionQuery { place, partition, request: self }))
    }

    fn reply(response: OwnerResponse) -> Option<(u32, transactions::Reply)> {
        match response {
            OwnerResponse::Transaction(place, reply) => Some((place, reply)),
            _ => None,
        }
    }
}

/// The partition that something lives in by its name, and who leads it, if anyone does now.
pub(super) fn home(context: &Context<'_>, topic: &str, name: &str) -> Option<(PartitionId, Option<NodeId>)> {
    let topic = context.image.topic(topic)?;
    let index = partition_of_name(name, topic.partition_count());
    Some((PartitionId { topic: topic.id, index }, topic.partition(index)?.leader))
}

/// The same, where it must be led here: with its owner.
pub(super) fn home_here(
    context: &Context<'_>,
    topic: &str,
    name: &str,
) -> Result<(ShardId, PartitionId), ErrorCode> {
    match home(context, topic, name) {
        Some((id, Some(leader))) if leader == context.place.node => Ok((context.owner(id), id)),
        _ => Err(ErrorCode::NotCoordinator),
    }
}

type Replies<R> = Vec<Result<<R as Coordinated>::Response, ErrorCode>>;
type Finish<R> = Box<dyn FnMut(&mut Context<'_>, Replies<R>) -> Answer>;

/// A request to the coordinators of some things, in the order in which it names them.
struct Questions<R: Coordinated> {
    name: &'static str,
    replies: Vec<Option<Result<R::Response, ErrorCode>>>,
    finish: Finish<R>,
}

/// Asks about each of these; `finish` makes the response of as many replies. There is no deadline: members of a group
/// wait for each other, and the coordinator knows for how long.
pub(super) fn ask_each<R: Coordinated>(
    context: &mut Context<'_>,
    name: &'static str,
    requests: Vec<Result<R, ErrorCode>>,
    finish: impl FnMut(&mut Context<'_>, Replies<R>) -> Answer + 'static,
) -> Start {
    let mut questions = Questions::<R> { name, replies: Vec::new(), finish: Box::new(finish) };
    let mut asks = Vec::new();
    for (place, request) in (0..).zip(requests) {
        let home =
            request.and_then(|request| Ok((home_here(context, R::TOPIC, request.subject())?, request)));
        questions.replies.push(match home {
            Ok(((shard, partition), request)) => {
                asks.push(Ask::Owner(shard, request.query(place, partition)));
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    if asks.is_empty() {
        return Start::Ready(questions.finish(context));
    }
    Start::Gather { gather: Box::new(questions), asks, deadline: None }
}

/// Asks about one.
pub(super) fn ask<R: Coordinated>(
    context: &mut Context<'_>,
    name: &'static str,
    request: R,
    mut finish: impl FnMut(&mut Context<'_>, Result<R::Response, ErrorCode>) -> Answer + 'static,
) -> Start {
    ask_each(context, name, vec![Ok(request)], move |context, replies| {
        finish(context, replies.into_iter().next().unwrap_or(Err(WRONG_KIND)))
    })
}

impl<R: Coordinated> Questions<R> {
    fn finish(&mut self, context: &mut Context<'_>) -> Answer {
        let replies = std::mem::take(&mut self.replies);
        let replies = replies.into_iter().map(|reply| reply.unwrap_or(Err(ErrorCode::RequestTimedOut)));
        (self.finish)(context, replies.collect())
    }
}

impl<R: Coordinated> Gather for Questions<R> {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let Some((place, reply)) = R::reply(response) else { return Step::Wait };
        if let Some(slot) = self.replies.get_mut(place as usize) {
            *slot = Some(reply);
        }
        if self.replies.iter().all(Option::is_some) { Step::Done(self.finish(context)) } else { Step::Wait }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.finish(context))
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// An answer of another kind than was asked for: a bug of the coordinator, told to the client as such.
pub(super) const WRONG_KIND: ErrorCode = ErrorCode::UnknownServerError;
