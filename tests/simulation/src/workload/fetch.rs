//! Fetch: a few in a row, with and without sessions, by name and by id, with bounds small enough to cut.

use super::{Desk, Operation};
use crate::client::{
    answer::{Answer, FetchedPartition},
    model::{Ended, Outcome},
    request::{Fetch as FetchRequest, Request, Wanted},
};
use corelane_core::{error::ErrorCode, ids::Offset};
use std::rc::Rc;

/// What a session's partition answers, besides what passes.
const ALSO: &[ErrorCode] = &[ErrorCode::OffsetOutOfRange];

struct Fetch {
    left: u64,
    by_id: bool,
    session: Option<(i32, i32)>,
    wanted: Vec<Wanted>,
    /// What the session is to forget with the next request.
    forgotten: Vec<Wanted>,
    max_wait_ms: i32,
    max_bytes: i32,
    partition_max_bytes: i32,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let wanted = desk.some_partitions(4).into_iter().map(|(partition, topic)| {
        let known = desk.memory.positions.get(&partition).copied().unwrap_or_default();
        let from = if desk.rng.below(4) == 0 {
            Offset(desk.rng.between(0, known.0.unsigned_abs()).cast_signed())
        } else {
            known
        };
        Wanted { partition, topic: Rc::clone(&topic), from, named: true }
    });
    let wanted = wanted.collect();
    let bytes = |desk: &mut Desk<'_>| i32::try_from(1_u64 << desk.rng.between(0, 21)).unwrap_or(1);
    Box::new(Fetch {
        left: desk.rng.between(1, 6),
        by_id: desk.rng.below(2) == 0,
        session: (desk.rng.below(2) == 0).then_some((0, 0)),
        wanted,
        forgotten: Vec::new(),
        max_wait_ms: if desk.rng.below(2) == 0 { 0 } else { i32::try_from(desk.rng.below(500)).unwrap_or(0) },
        max_bytes: bytes(desk),
        partition_max_bytes: bytes(desk),
    })
}

impl Fetch {
    fn ask(&mut self, desk: &mut Desk<'_>) {
        if self.left == 0 || self.wanted.is_empty() {
            return;
        }
        self.left -= 1;
        desk.ask(Request::Fetch(FetchRequest {
            by_id: self.by_id,
            of_leader: false,
            session: self.session,
            wanted: self.wanted.clone(),
            forgotten: std::mem::take(&mut self.forgotten),
            max_wait_ms: self.max_wait_ms,
            max_bytes: self.max_bytes,
            partition_max_bytes: self.partition_max_bytes,
            committed: false,
        }));
        for wanted in &mut self.wanted {
            // The next request of a session names what has changed.
            wanted.named = self.session.is_none();
        }
    }

    fn start_over(&mut self) {
        self.session = self.session.map(|_| (0, 0));
        self.forgotten.clear();
        self.wanted.iter_mut().for_each(|wanted| wanted.named = true);
    }

    fn take(&mut self, found: &FetchedPartition, desk: &mut Desk<'_>) {
        desk.expect(found.error, ALSO, "a partition of Fetch");
        let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.partition == found.partition) else {
            return;
        };
        let next = match found.error {
            ErrorCode::None => (found.next > found.from).then_some(found.next),
            // Clients begin anew where the log begins; the answer of an error does not tell.
            ErrorCode::OffsetOutOfRange if wanted.from == Offset::ZERO => {
                let guess = desk.catalog.high_watermark(wanted.partition);
                Some(guess)
            }
            ErrorCode::OffsetOutOfRange => Some(Offset::ZERO),
            _ => None,
        };
        if let Some(next) = next {
            wanted.from = next;
            wanted.named = true;
            desk.memory.positions.insert(found.partition, next);
        }
    }
}

impl Operation for Fetch {
    fn name(&self) -> &'static str {
        "Fetch"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.ask(desk);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        match ended.outcome {
            Outcome::Answered(Answer::Fetch(ErrorCode::None, session, partitions)) => {
                self.session = match self.session {
                    Some((_, epoch)) if session != 0 => Some((session, epoch + 1)),
                    // The broker gave no session.
                    Some(_) | None => None,
                };
                if self.session.is_none() {
                    self.start_over();
                }
                for found in &partitions {
                    self.take(found, desk);
                }
                let is_deleted = |wanted: &mut Wanted| desk.catalog.is_deleted(wanted.partition.topic);
                let gone = self.wanted.extract_if(.., is_deleted);
                self.forgotten.extend(gone.filter(|_| self.session.is_some()));
            }
            Outcome::Answered(Answer::Fetch(error, ..)) => {
                let session = [ErrorCode::FetchSessionIdNotFound, ErrorCode::InvalidFetchSessionEpoch];
                desk.expect(error, &session, "Fetch");
                self.start_over();
            }
            Outcome::Answered(_) | Outcome::Lost => self.start_over(),
        }
        self.ask(desk);
    }
}
