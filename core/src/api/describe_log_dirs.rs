//! DescribeLogDirs (key 35), versions 1-5 (KIP-113; the volume's bytes from v4: KIP-827; whether it is
//! cordoned from v5: KIP-1066).
//!
//! There is one directory, so no replica is moving between two, and `cordoned.log.dirs` is refused at the start. The volume's figures are at most a minute old.

use super::{
    places::ByOwner,
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Gather, LogSizes, OwnerRequest, OwnerResponse, Response, SizeQuery, Start, Step},
    error::ErrorCode,
    ids::PartitionId,
    metadata::TopicImage,
    wire::{RequestHeader, WireError, decode_describe_log_dirs},
};
use bytes::Bytes;
use corelane_seam::Space;
use kafka_protocol::{
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, sync::Arc};

/// Owners answer from memory; one that does not is stuck.
const TIMEOUT_MS: i32 = 20_000;

/// `DescribeLogDirsResponse.UNKNOWN_VOLUME_BYTES`.
const UNKNOWN_BYTES: i64 = -1;

struct DescribeLogDirs {
    reply_to: ReplyTo,
    directory: StrBytes,
    /// Topic and number by place.
    asked: Vec<(Arc<str>, i32)>,
    sizes: Vec<Option<u64>>,
    waiting: usize,
    space: Option<Space>,
    offline: bool,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request = decode_describe_log_dirs(header, frame)?;
    let mut gather = DescribeLogDirs {
        reply_to: ReplyTo::new(header),
        directory: text(context.config.data_dir.to_string_lossy().into_owned()),
        asked: Vec::new(),
        sizes: Vec::new(),
        waiting: 0,
        space: None,
        offline: false,
    };
    let mut by_owner = ByOwner::default();
    for (topic, indexes) in wanted(context, request) {
        for index in indexes {
            let stored_here = |id| topic.partition(index).is_some_and(|it| it.replicas.contains(id));
            if stored_here(&context.place.node) {
                let id = PartitionId { topic: topic.id, index };
                let place = u32::try_from(gather.asked.len()).expect("fewer partitions than 2^32");
                by_owner.push(context.owner(id), SizeQuery { place, id });
                gather.asked.push((Arc::clone(&topic.name), index));
            }
        }
    }
    gather.sizes = vec![None; gather.asked.len()];
    if by_owner.is_empty() {
        // Of no partition; the directory is told of all the same, by any shard.
        by_owner.ask_nothing_of(context.place.shard);
    }
    gather.waiting = by_owner.owners().count();
    let asks = by_owner.into_asks(OwnerRequest::LogSizes);
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline: Some(context.after_ms(TIMEOUT_MS)) })
}

/// Topics that exist, each once, and numbers of partitions, each once: without any named, all.
fn wanted(context: &Context<'_>, request: DescribeLogDirsRequest) -> Vec<(Arc<TopicImage>, Vec<i32>)> {
    let Some(named) = request.topics else {
        let all = |topic: &Arc<TopicImage>| (Arc::clone(topic), topic.partitions.keys().copied().collect());
        return context.image.topics().map(all).collect();
    };
    let mut wanted: BTreeMap<Arc<str>, (Arc<TopicImage>, Vec<i32>)> = BTreeMap::new();
    for named in named {
        let Some(topic) = context.image.topic(&named.topic) else { continue };
        let entry = wanted.entry(Arc::clone(&topic.name)).or_insert_with(|| (Arc::clone(topic), Vec::new()));
        entry.1.extend(named.partitions);
    }
    let once = |(topic, mut indexes): (Arc<TopicImage>, Vec<i32>)| {
        indexes.sort_unstable();
        indexes.dedup();
        (topic, indexes)
    };
    wanted.into_values().map(once).collect()
}

impl Gather for DescribeLogDirs {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::LogSizes(LogSizes { sizes, space, offline }) = response else { return Step::Wait };
        for (place, size) in sizes {
            if let Some(slot) = self.sizes.get_mut(place as usize) {
                *slot = size;
            }
        }
        self.space = self.space.or(space);
        self.offline |= offline;
        self.waiting -= 1;
        if self.waiting == 0 { Step::Done(self.finish(ErrorCode::None)) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish(ErrorCode::RequestTimedOut))
    }

    fn name(&self) -> &'static str {
        "DescribeLogDirs"
    }
}

impl DescribeLogDirs {
    fn finish(&mut self, error: ErrorCode) -> Response {
        let version = self.reply_to.version;
        let error = if self.offline { ErrorCode::KafkaStorageError } else { error };
        let mut result = DescribeLogDirsResult::default()
            .with_error_code(error.code())
            .with_log_dir(self.directory.clone());
        if error.is_none() {
            result.topics = self.topics();
        }
        if version >= 4 {
            let known = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            let space = self.space.filter(|_| error.is_none());
            result.total_bytes = space.map_or(UNKNOWN_BYTES, |space| known(space.total));
            result.usable_bytes = space.map_or(UNKNOWN_BYTES, |space| known(space.free));
        }
        self.reply_to.encode_log_dirs(&DescribeLogDirsResponse::default().with_results(vec![result]))
    }

    fn topics(&self) -> Vec<DescribeLogDirsTopic> {
        let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
        for ((name, index), size) in self.asked.iter().zip(&self.sizes) {
            let Some(size) = size else { continue };
            let partition = DescribeLogDirsPartition::default()
                .with_partition_index(*index)
                .with_partition_size(i64::try_from(*size).unwrap_or(i64::MAX));
            match topics.last_mut() {
                Some(last) if last.name.as_str() == &**name => last.partitions.push(partition),
                _ => topics.push(
                    DescribeLogDirsTopic::default()
                        .with_name(text(name.to_string()).into())
                        .with_partitions(vec![partition]),
                ),
            }
        }
        topics
    }
}
