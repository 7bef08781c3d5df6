//! The audit: every topic, every record of every partition, and who votes if that changes, read while nothing else is
//! under way.

use super::{Desk, Operation, is_passing};
use crate::client::{
    answer::{Answer, FetchedPartition, Topic},
    history::{Event, Seen},
    model::{Ended, Outcome},
    quorum::{QuorumAnswer, QuorumRequest},
    request::{Fetch, Request, Spec, Wanted},
};
use corelane_core::{
    error::ErrorCode,
    ids::{Offset, PartitionId},
};
use std::{collections::BTreeMap, rc::Rc};

/// What a broker that has just started may need, in requests asked again.
const TRIES_MAX: u32 = 60;

struct Reading {
    topic: Rc<str>,
    /// The log start, once it is known.
    start: Option<Offset>,
    next: Offset,
    records: Vec<Seen>,
}

impl Reading {
    /// Retention went on: what lies before `log_start` is not there any more, and is not held against anyone.
    fn begin_at(&mut self, log_start: Offset) {
        (self.start, self.next) = (Some(log_start), log_start);
        self.records.retain(|seen| seen.offset >= log_start);
    }
}

/// See the module. The operation is over when all is read; a broker that does not answer is a violation.
pub struct Audit {
    tries: u32,
    /// What there is to be read once more, of what is committed.
    again: Vec<(PartitionId, Rc<str>)>,
    /// Whether that is being read.
    committed: bool,
    reading: BTreeMap<PartitionId, Reading>,
    /// Questions for log starts that are under way.
    starts: usize,
}

impl Audit {
    /// From the beginning.
    pub fn new() -> Audit {
        Audit { tries: 0, again: Vec::new(), committed: false, reading: BTreeMap::new(), starts: 0 }
    }

    fn again(&mut self, desk: &mut Desk<'_>, request: Request, why: &str) {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            desk.violated(format!("an audit got no answer after {TRIES_MAX} tries, last {why}: {request:?}"));
        } else {
            desk.ask_again(request);
        }
    }

    fn topics(&mut self, topics: Vec<Topic>, desk: &mut Desk<'_>) {
        let all = topics.iter().map(|topic| (topic.id, topic.partitions)).collect();
        desk.history.note(Event::TopicsAudited { topics: all });
        for topic in topics {
            if desk.catalog.is_deleted(topic.id) {
                continue;
            }
            for (index, replicas) in topic.replicas {
                // Who is not coming back is never done with what it was to get.
                if !replicas.iter().any(|node| desk.catalog.routes.is_avoided(*node)) {
                    let partition = PartitionId { topic: topic.id, index };
                    desk.history.note(Event::Placed { partition, replicas });
                }
            }
            let name: Rc<str> = topic.name.as_str().into();
            for index in 0..topic.partitions {
                let partition = PartitionId { topic: topic.id, index };
                self.read(partition, &name, desk);
                self.again.push((partition, Rc::clone(&name)));
            }
        }
    }

    fn read(&mut self, partition: PartitionId, name: &Rc<str>, desk: &mut Desk<'_>) {
        let (topic, spec) = (Rc::clone(name), Spec::Earliest);
        let reading =
            Reading { topic: Rc::clone(name), start: None, next: Offset::ZERO, records: Vec::new() };
        self.reading.insert(partition, reading);
        self.starts += 1;
        desk.ask(Request::ListOffsets { partition, topic, spec });
    }

    /// Everything is read: where there were transactions, once more what of it is committed.
    fn read_committed(&mut self, desk: &mut Desk<'_>) {
        if desk.catalog.transactions() == 0 {
            return;
        }
        self.committed = true;
        for (partition, name) in std::mem::take(&mut self.again) {
            self.read(partition, &name, desk);
        }
    }

    /// Reads on, what one broker leads at a time.
    fn fetch(&self, desk: &mut Desk<'_>) {
        if let Some(request) = self.next_fetch(desk) {
            desk.ask(request);
        }
    }

    fn next_fetch(&self, desk: &mut Desk<'_>) -> Option<Request> {
        let (first, _) = self.reading.first_key_value()?;
        let wanted: Vec<Wanted> = self
            .reading
            .iter()
            .filter(|(partition, _)| desk.catalog.routes.is_one_request(*first, **partition))
            .map(|(partition, reading)| Wanted {
                partition: *partition,
                topic: Rc::clone(&reading.topic),
                from: reading.next,
                named: true,
            })
            .collect();
        // An audit reads all that is committed, which in a cluster the leader knows.
        let of_leader = desk.history.is_of_cluster();
        let by_id = !of_leader && desk.rng.below(2) == 0;
        Some(Request::Fetch(Fetch {
            by_id,
            of_leader,
            session: None,
            wanted,
            forgotten: Vec::new(),
            max_wait_ms: 0,
            max_bytes: 4 << 20,
            partition_max_bytes: 1 << 20,
            committed: self.committed,
        }))
    }

    /// Whether reading moved on.
    fn take(&mut self, found: FetchedPartition, desk: &mut Desk<'_>) -> Result<bool, ErrorCode> {
        let Some(reading) = self.reading.get_mut(&found.partition) else { return Ok(false) };
        if found.error == ErrorCode::OffsetOutOfRange && found.log_start > reading.next {
            reading.begin_at(found.log_start);
            return Ok(true);
        }
        if !found.error.is_none() {
            return Err(found.error);
        }
        let moved = found.next > reading.next;
        reading.next = reading.next.max(found.next);
        reading.records.extend(found.records);
        // Transactions that nobody goes on with are aborted: the last stable offset comes to the end, too.
        let stays = self.committed && found.last_stable < found.high_watermark;
        if reading.next < found.high_watermark || stays {
            return Ok(moved);
        }
        if let Some(done) = self.reading.remove(&found.partition) {
            let (partition, log_start) = (found.partition, done.start.unwrap_or_default());
            let (high_watermark, records) = (found.high_watermark, done.records);
            desk.history.note(match self.committed {
                true => Event::AuditedCommitted { partition, log_start, records },
                false => Event::Audited { partition, log_start, high_watermark, records },
            });
        }
        if self.reading.is_empty() && !self.committed {
            self.read_committed(desk);
        }
        Ok(true)
    }

    fn fetched(&mut self, request: Request, partitions: Vec<FetchedPartition>, desk: &mut Desk<'_>) {
        let mut moved = false;
        for found in partitions {
            let partition = found.partition;
            match self.take(found, desk) {
                Ok(more) => moved |= more,
                Err(error) if is_passing(error) => {}
                Err(error) => desk.violated(format!("{partition} was answered {error} in an audit")),
            }
        }
        if self.starts > 0 {
            // It begins once more, when it is known where.
        } else if moved {
            self.fetch(desk);
        } else {
            // Who leads what may have changed since it was asked.
            let parted = match &request {
                Request::Fetch(fetch) => fetch.wanted.iter().any(|wanted| {
                    !desk.catalog.routes.is_one_request(fetch.wanted[0].partition, wanted.partition)
                }),
                _ => false,
            };
            let next = if parted { self.next_fetch(desk) } else { None };
            self.again(desk, next.unwrap_or(request), "a fetch that brought nothing");
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Audit::new()
    }
}

impl Operation for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        desk.ask(Request::Metadata);
        if !desk.catalog.quorum.controllers.is_empty() {
            desk.ask(Request::Quorum(QuorumRequest::Describe));
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        match (ended.request, ended.outcome) {
            (_, Outcome::Answered(Answer::Metadata(topics))) => self.topics(topics, desk),
            (_, Outcome::Answered(Answer::Quorum(QuorumAnswer::Voters(Ok(voters))))) => {
                desk.history.note(Event::Voters { voters });
            }
            (Request::ListOffsets { partition, .. }, Outcome::Answered(Answer::ListOffsets(Ok(offset)))) => {
                if let Some(reading) = self.reading.get_mut(&partition) {
                    (reading.start, reading.next) = (Some(offset), offset);
                }
                self.starts -= 1;
                if self.starts == 0 {
                    self.fetch(desk);
                }
            }
            (request, Outcome::Answered(Answer::Fetch(ErrorCode::None, _, partitions))) => {
                self.fetched(request, partitions, desk);
            }
            (request, Outcome::Answered(answer)) => {
                let why = format!("{answer:?}");
                self.again(desk, request, &why);
            }
            (request, Outcome::Lost) => self.again(desk, request, "lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_retention_removes_during_an_audit_is_not_looked_for() {
        let mut reading =
            Reading { topic: "books".into(), start: Some(Offset(38)), next: Offset(38), records: Vec::new() };
        reading.begin_at(Offset(66));
        assert_eq!((reading.start, reading.next), (Some(Offset(66)), Offset(66)));
    }
}
