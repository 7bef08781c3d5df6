//! What a transforming producer reads: the input of a pipeline, what is committed of it, from the offset that its group
//! has committed; and how far it has come in the transaction that goes on.

use super::Desk;
use crate::client::{
    answer::FetchedPartition,
    catalog::Pipeline,
    group::{GroupRequest, Named},
    history::{Event, Moment, RecordId, Seen},
    request::{Fetch, Request, Spec, Wanted},
    transaction::Producer,
};
use corelane_core::ids::{Offset, PartitionId};
use std::rc::Rc;

/// Of a client's reading of one request: what one that reads slowly has taken before it loses its patience.
const BYTES_MAX: i32 = 256 << 10;

/// How many pipelines go on at a time.
const PIPELINES_MAX: usize = 2;

/// Records that one transaction transforms at most.
const RECORDS_MAX: usize = 30;

/// Partitions that one transaction writes to at most.
const OUTPUTS_MAX: usize = 3;

/// What a fetch brought.
pub(super) enum Read {
    /// Something to be transformed.
    Some,
    /// Nothing that is decided yet.
    Nothing,
    /// Nothing, and there is nothing more.
    AtTheEnd,
}

pub(super) struct Source {
    pipeline: Pipeline,
    /// Where it reads on, once that is known.
    position: Option<Offset>,
    /// What was read and is not written yet.
    read: Vec<Seen>,
    /// Where whoever comes after the transaction reads on.
    next: Offset,
    /// When the commit was asked for.
    asked: Moment,
    /// Everything is well: it goes on until it comes to the end.
    pub must_drain: bool,
}

impl Source {
    /// Of a pipeline that goes on, or of a new one; of none where there is nothing to be transformed.
    pub fn draw(desk: &mut Desk<'_>) -> Option<Source> {
        let known = desk.catalog.pipelines();
        let new = known.len() < PIPELINES_MAX && desk.rng.below(4) == 0 || known.is_empty();
        let pipeline = match new {
            true => {
                let inputs = desk.catalog.lasting_partitions();
                let input = desk.rng.pick(&inputs)?.clone();
                desk.catalog.add_pipeline(input)
            }
            false => desk.rng.pick(known)?.clone(),
        };
        Some(Source::of(pipeline))
    }

    /// Of this one, all of it.
    pub fn to_the_end(pipeline: Pipeline) -> Source {
        Source { must_drain: true, ..Source::of(pipeline) }
    }

    fn of(pipeline: Pipeline) -> Source {
        Source {
            pipeline,
            position: None,
            read: Vec::new(),
            next: Offset::ZERO,
            asked: Moment(0),
            must_drain: false,
        }
    }

    /// The group's name, and the transactional id's.
    pub fn name(&self) -> Rc<str> {
        Rc::clone(&self.pipeline.name)
    }

    /// Whether nobody can read it any more.
    pub fn is_gone(&self, desk: &Desk<'_>) -> bool {
        desk.catalog.is_deleted(self.pipeline.input.0.topic)
    }

    /// The question that has to be asked before a transaction can begin: for the group's offset, or for records.
    pub fn next_request(&self) -> Request {
        let (partition, topic) = self.pipeline.input.clone();
        let Some(from) = self.position else {
            let partitions = vec![(partition, topic)];
            return self.of_group(GroupRequest::FetchOffsets { partitions, stable: true });
        };
        Request::Fetch(Fetch {
            by_id: false,
            of_leader: true,
            session: None,
            wanted: vec![Wanted { partition, topic, from, named: true }],
            forgotten: Vec::new(),
            max_wait_ms: 0,
            max_bytes: BYTES_MAX,
            partition_max_bytes: BYTES_MAX,
            committed: true,
        })
    }

    /// The question for where the log begins: what the group has committed lies before that.
    pub fn earliest(&self) -> Request {
        let (partition, topic) = self.pipeline.input.clone();
        Request::ListOffsets { partition, topic, spec: Spec::Earliest }
    }

    /// The offset goes with the transaction.
    pub fn commit(&self, producer: Producer, adds: bool) -> Request {
        let offset = (self.pipeline.input.clone(), self.next.0);
        self.of_group(GroupRequest::CommitInTransaction { id: self.name(), producer, adds, offset })
    }

    /// As the group.
    pub fn of_group(&self, request: GroupRequest) -> Request {
        Request::Group { group: self.name(), request }
    }

    /// From where to read on; −1 where the group has committed nothing.
    pub fn told(&mut self, offset: i64) {
        self.position = Some(Offset(offset.max(0)));
    }

    /// What the group has committed has to be asked for again.
    pub fn forget_position(&mut self) {
        self.position = None;
    }

    /// Where to write: a loop would never come to an end.
    pub fn outputs(&self, desk: &mut Desk<'_>) -> Vec<Named> {
        let mut all = desk.catalog.lasting_partitions();
        all.retain(|(partition, _)| *partition != self.pipeline.input.0);
        let count = (1 + desk.rng.index(OUTPUTS_MAX)).min(all.len());
        (0..count).map(|_| all.swap_remove(desk.rng.index(all.len()))).collect()
    }

    /// Of what was read, the part that goes to one of so many outputs.
    pub fn share(&self, output: usize, outputs: usize) -> Vec<Seen> {
        self.read.iter().skip(output).step_by(outputs).copied().collect()
    }

    /// Takes what came.
    pub fn fetched(&mut self, found: &FetchedPartition, desk: &mut Desk<'_>) -> Read {
        self.read.clone_from(&found.records);
        self.next = found.next;
        if self.read.is_empty() {
            self.position = Some(found.next);
            return if found.next >= found.high_watermark { Read::AtTheEnd } else { Read::Nothing };
        }
        let some = 1 + desk.rng.index(RECORDS_MAX);
        if !self.must_drain && some < self.read.len() {
            self.next = self.read[some].offset;
            self.read.truncate(some);
        }
        Read::Some
    }

    /// It has come to the end.
    pub fn drained(&self, desk: &mut Desk<'_>) {
        let (group, input) = (self.name(), self.pipeline.input.0);
        desk.history.note(Event::Drained { group, input, to: self.next });
    }

    /// A record that was read becomes another one.
    pub fn transformed(&self, from: Seen, record: RecordId, output: PartitionId, desk: &mut Desk<'_>) {
        let (group, input) = (self.name(), self.pipeline.input.0);
        desk.history.note(Event::Transformed { group, input, offset: from.offset, record, output });
    }

    /// The transaction's end is asked for.
    pub fn ends(&mut self, desk: &Desk<'_>) {
        self.asked = desk.history.now();
    }

    /// The transaction was ended so.
    pub fn ended(&mut self, committed: bool, desk: &mut Desk<'_>) {
        self.read.clear();
        if committed {
            let offsets = vec![(self.pipeline.input.0, self.next.0)];
            desk.history.note(Event::Committed { group: self.name(), asked: self.asked, offsets });
            self.position = Some(self.next);
        }
        // Whoever has lost track asks for what is committed.
        if !committed || desk.rng.below(3) == 0 {
            self.forget_position();
        }
    }
}
