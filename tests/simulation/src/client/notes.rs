//! From what was asked and answered to the history, the same for every operation.

use super::{
    answer::{Answer, FetchedPartition, Produced},
    group::{GroupAnswer, GroupRequest, Reported},
    history::{Acks, Event, History, Moment},
    quorum::QuorumAnswer,
    request::{Batch, Request, Spec},
    transaction::TransactionRequest,
};
use corelane_core::error::ErrorCode;
use std::rc::Rc;

/// Notes what sending a request may bring about. Again each time it is sent.
pub fn sent(history: &mut History, request: &Request) {
    match request {
        Request::Produce { acks, batches, transaction, .. } => {
            for batch in batches {
                if transaction.is_some() {
                    history.note(Event::Added { partition: batch.partition });
                }
                for record in &batch.records {
                    history.note(Event::Sent {
                        record: *record,
                        partition: batch.partition,
                        acks: *acks,
                        producer: batch.producer,
                    });
                }
            }
        }
        Request::DeleteTopic { topic, .. } => history.note(Event::DeleteTopicAsked { topic: *topic }),
        Request::DeleteRecords { partition, before, .. } => {
            history.note(Event::DeleteRecordsAsked { partition: *partition, before: *before });
        }
        Request::Reassign { partition, replicas, .. } => {
            history.note(Event::ReassignmentAsked { partition: *partition, replicas: replicas.clone() });
        }
        Request::Transaction { request: TransactionRequest::AddPartitions { partitions, .. }, .. } => {
            for (partition, _) in partitions {
                history.note(Event::Added { partition: *partition });
            }
        }
        Request::Quorum(request) => {
            if let Some((voter, votes)) = request.change() {
                history.note(Event::VoterChangeAsked { voter, votes });
            }
        }
        Request::ApiVersions
        | Request::Metadata
        | Request::CreateTopic { .. }
        | Request::CreatePartitions { .. }
        | Request::AlterConfig { .. }
        | Request::InitProducerId
        | Request::ElectLeaders
        | Request::Fetch(_)
        | Request::ListOffsets { .. }
        | Request::Group { .. }
        | Request::Transaction { .. } => {}
    }
}

/// Notes what an answer to a request of moment `asked` shows.
pub fn answered(history: &mut History, request: &Request, asked: Moment, answer: &Answer) {
    match (request, answer) {
        (Request::Produce { acks, batches, .. }, Answer::Produce(outcomes)) => {
            for (batch, outcome) in batches.iter().zip(outcomes) {
                // An answer may arrive after the power cut that took what it promised.
                let void = history.is_of_cluster() || history.power_cut_since(asked);
                if outcome.error.is_none() && !(*acks == Acks::Leader && void) {
                    acknowledged(history, *acks, batch, outcome);
                }
            }
        }
        (_, Answer::Fetch(ErrorCode::None, _, partitions)) => {
            // Whoever reads what is committed leaves out what is not, and notes that himself.
            for partition in partitions.iter().filter(|partition| !partition.committed) {
                fetched(history, asked, partition);
            }
        }
        (Request::CreateTopic { partitions, .. }, Answer::CreateTopic(Ok(topic))) => {
            history.note(Event::TopicAcknowledged { topic: *topic, partitions: *partitions });
        }
        (Request::CreatePartitions { topic, count, .. }, Answer::CreatePartitions(ErrorCode::None)) => {
            history.note(Event::TopicAcknowledged { topic: *topic, partitions: *count });
        }
        (Request::Reassign { partition, replicas, .. }, Answer::Reassign(ErrorCode::None)) => {
            let (partition, replicas) = (*partition, replicas.clone());
            history.note(Event::Reassigned { partition, replicas, asked });
        }
        (Request::Quorum(request), Answer::Quorum(QuorumAnswer::Changed(ErrorCode::None))) => {
            if let Some((voter, votes)) = request.change() {
                history.note(Event::VoterChanged { voter, votes, asked });
            }
        }
        (Request::ListOffsets { partition, spec, .. }, Answer::ListOffsets(Ok(offset))) => {
            let shown = |wanted: Spec| (*spec == wanted).then_some(*offset);
            history.note(Event::Marks {
                partition: *partition,
                asked,
                log_start: shown(Spec::Earliest),
                high_watermark: shown(Spec::Latest),
            });
        }
        (Request::DeleteRecords { partition, .. }, Answer::DeleteRecords(Ok(low_watermark))) => {
            history.note(Event::Marks {
                partition: *partition,
                asked,
                log_start: Some(*low_watermark),
                high_watermark: None,
            });
        }
        (Request::Group { group, request }, Answer::Group(answer)) => {
            of_group(history, group, request, asked, answer);
        }
        _ => {}
    }
}

fn of_group(
    history: &mut History,
    group: &Rc<str>,
    request: &GroupRequest,
    asked: Moment,
    answer: &GroupAnswer,
) {
    let group = Rc::clone(group);
    match (request, answer) {
        (GroupRequest::Sync { member, generation, .. }, GroupAnswer::Sync(Ok(partitions))) => {
            let (member, partitions) = (Rc::clone(member), partitions.clone());
            history.note(Event::Assigned { group, generation: *generation, member, partitions });
        }
        (
            GroupRequest::Report { member, .. },
            GroupAnswer::Report(Ok(Reported { epoch, assignment: Some(partitions) })),
        ) => {
            let (member, partitions) = (Rc::clone(member), partitions.clone());
            history.note(Event::Assigned { group, generation: *epoch, member, partitions });
        }
        (GroupRequest::Commit { offsets, .. }, GroupAnswer::Commit(errors)) => {
            let committed = offsets.iter().zip(errors).filter(|(_, error)| error.is_none());
            let offsets = committed.map(|(((partition, _), offset), _)| (*partition, *offset)).collect();
            history.note(Event::Committed { group, asked, offsets });
        }
        (GroupRequest::FetchOffsets { partitions, .. }, GroupAnswer::Offsets(Ok(told))) => {
            let told = partitions.iter().zip(told);
            let offsets = told.map(|((partition, _), offset)| (*partition, *offset)).collect();
            history.note(Event::OffsetsTold { group, asked, offsets });
        }
        _ => {}
    }
}

fn acknowledged(history: &mut History, acks: Acks, batch: &Batch, outcome: &Produced) {
    for (record, delta) in batch.records.iter().zip(0..) {
        history.note(Event::Acknowledged {
            record: *record,
            partition: batch.partition,
            acks,
            offset: outcome.base_offset.plus(delta),
        });
    }
}

fn fetched(history: &mut History, asked: Moment, found: &FetchedPartition) {
    if !found.error.is_none() {
        return;
    }
    history.note(Event::Fetched {
        partition: found.partition,
        asked,
        from: found.from,
        log_start: found.log_start,
        high_watermark: found.high_watermark,
        records: found.records.clone(),
    });
}
