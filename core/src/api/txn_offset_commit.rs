//! TxnOffsetCommit (key 28), versions 0-5 (KIP-98; leader epochs v2; members v3: KIP-447; TRANSACTION_ABORTABLE v4, and version 2 of
//! transactions v5: KIP-890): offsets that count when their transaction does.
//!
//! As Produce does, it has the partition of `__consumer_offsets` checked or added to the transaction first.

use super::{
    coordinated::{Coordinated as _, home_here},
    groups::{self, WRONG_KIND},
    respond::{ReplyTo, text},
    transactions::{Wish, ask_for_partitions, producer, told_to_writers},
};
use crate::{
    engine::{Ask, Context, Gather, Guard, OwnerRequest, OwnerResponse, Response as Answer, Start, Step},
    error::ErrorCode,
    groups::{
        CommitOffsets, NewOffset, OFFSETS_TOPIC, Reply as GroupReply, Request, Response, TopicOffsets,
        Transaction,
    },
    ids::PartitionId,
    metadata::Image,
    transactions::{AddPartitions, Producer, Reply, Response as Coordinated, TransactionalId},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use corelane_seam::ShardId;
use kafka_protocol::messages::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    txn_offset_commit_request::TxnOffsetCommitRequestTopic,
    txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
};
use std::sync::Arc;

/// The first version whose partition is added to the transaction by committing.
const ADDS_FROM: i16 = 5;

/// The first version whose clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE_FROM: i16 = 4;

/// The first version whose clients know COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296).
const KNOWS_LOADING_FROM: i16 = 2;

/// How long it may all take: as long as a client waits for its request.
const TIMEOUT_MS: i32 = 30_000;

/// Topics with each partition's error.
type Named = Vec<(Arc<str>, Vec<(i32, ErrorCode)>)>;

/// Results of a request, topic by topic as it names them.
struct Results {
    reply_to: ReplyTo,
    /// With what is known to be wrong.
    named: Named,
}

struct Commit {
    results: Results,
    /// The owner of the group's partition, and that.
    home: (ShardId, PartitionId),
    transaction: TransactionalId,
    producer: Producer,
    wish: Wish,
    /// What is left to be committed.
    commit: Option<CommitOffsets>,
    guard: Option<Guard>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: TxnOffsetCommitRequest = decode_request(header, frame)?;
    let (named, topics) = judge(context.image, &request.topics);
    let mut results = Results { reply_to: ReplyTo::new(header), named };
    let group = groups::named(&request.group_id);
    let home = match group.and_then(|group| home_here(context, OFFSETS_TOPIC, &group)) {
        Ok(home) => home,
        Err(error) => return Ok(Start::Ready(results.fail(error))),
    };
    if topics.is_empty() {
        return Ok(Start::Ready(results.respond(&[])));
    }
    let commit = CommitOffsets {
        group: request.group_id.as_str().into(),
        generation: request.generation_id,
        member: request.member_id.to_string(),
        instance: request.group_instance_id.as_deref().map(str::to_owned),
        retention_ms: None,
        version: header.api_version,
        topics,
    };
    let mut gather = Commit {
        results,
        home,
        transaction: request.transactional_id.as_str().into(),
        producer: producer(request.producer_id, request.producer_epoch),
        wish: Wish::of(header.api_version, ADDS_FROM),
        commit: Some(commit),
        guard: None,
    };
    let is_checked = gather.wish == Wish::Add || context.config.transactions.verifies_partitions;
    let first = match is_checked {
        true => {
            let Producer { id, epoch } = gather.producer;
            OwnerRequest::TransactionBegun(home.1, Transaction { producer: id, epoch })
        }
        false => gather.query(),
    };
    let asks = vec![Ask::Owner(home.0, first)];
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline: Some(context.after_ms(TIMEOUT_MS)) })
}

/// What is asked for, with the errors of partitions that there are not, and what is left without those.
fn judge(image: &Image, asked: &[TxnOffsetCommitRequestTopic]) -> (Named, Vec<TopicOffsets<NewOffset>>) {
    let (mut named, mut left) = (Vec::new(), Vec::new());
    for topic in asked {
        let found = image.topic(&topic.name);
        let exists = |index: i32| found.is_some_and(|image| image.partition(index).is_some());
        let judged = topic.partitions.iter().map(|partition| {
            let error = match exists(partition.partition_index) {
                true => ErrorCode::None,
                false => ErrorCode::UnknownTopicOrPartition,
            };
            (partition.partition_index, error)
        });
        named.push((topic.name.as_str().into(), judged.collect()));
        let Some(found) = found else { continue };
        let there = topic.partitions.iter().filter(|partition| exists(partition.partition_index));
        let partitions: Vec<_> = there
            .map(|partition| {
                let offset = NewOffset {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_deref().unwrap_or_default().into(),
                };
                (partition.partition_index, offset)
            })
            .collect();
        if !partitions.is_empty() {
            left.push(TopicOffsets { name: Arc::clone(&found.name), id: found.id, partitions });
        }
    }
    (named, left)
}

impl Commit {
    /// The question to the group's coordinator.
    fn query(&mut self) -> OwnerRequest {
        let commit = self.commit.take().expect("it is asked once");
        let Producer { id, epoch } = self.producer;
        let request = Request::CommitInTransaction(commit, Transaction { producer: id, epoch });
        match request.query(0, self.home.1) {
            OwnerRequest::Group(mut query) => {
                query.guard = self.guard;
                OwnerRequest::Group(query)
            }
            other => other,
        }
    }

    fn ask_the_group(&mut self) -> Step {
        Step::Ask(vec![Ask::Owner(self.home.0, self.query())])
    }

    fn begun(&mut self, context: &mut Context<'_>, begun: Result<Option<Guard>, ErrorCode>) -> Step {
        match begun {
            Err(error) => Step::Done(self.results.fail(error)),
            Ok(None) => self.ask_the_group(),
            Ok(Some(guard)) => {
                self.guard = Some(self.wish.guard(guard));
                let request = AddPartitions {
                    id: Arc::clone(&self.transaction),
                    producer: self.producer,
                    partitions: [(Arc::from(OFFSETS_TOPIC), self.home.1.index)].into_iter().collect(),
                    version: self.wish.version(),
                };
                match ask_for_partitions(context, self.wish, request) {
                    Ok(ask) => Step::Ask(vec![ask]),
                    Err(error) => Step::Done(self.results.fail(error)),
                }
            }
        }
    }

    /// The transaction's coordinator has answered.
    fn checked(&mut self, reply: Reply) -> Step {
        let error = match reply {
            Ok(Coordinated::Partitions(errors)) => errors.first().map_or(WRONG_KIND, |(.., error)| *error),
            Ok(_) => WRONG_KIND,
            Err(error) => error,
        };
        if error.is_none() { self.ask_the_group() } else { Step::Done(self.results.fail(error)) }
    }

    fn committed(&mut self, reply: GroupReply) -> Answer {
        match reply {
            Ok(Response::Commit(committed)) => self.results.respond(&committed),
            Ok(_) => self.results.fail(WRONG_KIND),
            Err(ErrorCode::RecordListTooLarge | ErrorCode::MessageTooLarge) => {
                self.results.fail(ErrorCode::InvalidCommitOffsetSize)
            }
            Err(error) => self.results.fail(groups::told(error)),
        }
    }
}

impl Results {
    /// Everything that was not wrong before fails.
    fn fail(&mut self, error: ErrorCode) -> Answer {
        let error = match error {
            // What clients do not know here makes them look for the coordinator
            // (`GroupCoordinatorService.handleOperationException`).
            ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
            error => told_to_writers(error, self.reply_to.version >= KNOWS_ABORTABLE_FROM),
        };
        for (_, partitions) in &mut self.named {
            partitions.iter_mut().filter(|(_, known)| known.is_none()).for_each(|(_, known)| *known = error);
        }
        self.respond(&[])
    }

    fn respond(&mut self, committed: &[TopicOffsets<ErrorCode>]) -> Answer {
        let knows_loading = self.reply_to.version >= KNOWS_LOADING_FROM;
        let told = |error: ErrorCode| match error {
            ErrorCode::CoordinatorLoadInProgress if !knows_loading => ErrorCode::CoordinatorNotAvailable,
            error => error,
        };
        let topics = std::mem::take(&mut self.named).into_iter().map(|(name, partitions)| {
            let of_topic = committed.iter().find(|topic| topic.name == name);
            let partitions = partitions.into_iter().map(|(index, error)| {
                let found =
                    of_topic.and_then(|topic| topic.partitions.iter().find(|(other, _)| *other == index));
                let error = if error.is_none() { found.map_or(error, |(_, error)| *error) } else { error };
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(told(error).code())
            });
            TxnOffsetCommitResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(text(&*name).into())
        });
        self.reply_to.encode(&TxnOffsetCommitResponse::default().with_topics(topics.collect()))
    }
}

impl Gather for Commit {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        match response {
            OwnerResponse::TransactionBegun(begun) => self.begun(context, begun),
            OwnerResponse::Transaction(_, reply) => self.checked(reply),
            OwnerResponse::Group(_, reply) => Step::Done(self.committed(reply)),
            _ => Step::Wait,
        }
    }

    fn enlisted(&mut self, _context: &mut Context<'_>, reply: Reply) -> Step {
        self.checked(reply)
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.results.fail(ErrorCode::CoordinatorNotAvailable))
    }

    fn name(&self) -> &'static str {
        "TxnOffsetCommit"
    }
}
