//! The coordinator of the transactional ids of one partition of `__transaction_state`.

use super::{
    TRANSACTION_VERSION, Ticket,
    alarms::{Alarm, Alarms},
    face::{
        AddPartitions, DescribedTransaction, Memory, Outcome, Producer, ProducerIdUse, Reply, Request,
        Response, Scene, Then,
    },
    list::{ListFilter, ListedTransaction},
    marking::Marking,
    records::{ID_BYTES_MAX, Layout, Record, Transaction, TransactionalId},
    state::State,
};
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, ProducerEpoch, ProducerId},
};
use corelane_seam::Monotonic;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// The transactional ids of one partition, and their transactions.
#[derive(Debug)]
pub struct Coordinator {
    /// The leader's epoch of the partition.
    pub(super) epoch: LeaderEpoch,
    pub(super) transactions: BTreeMap<TransactionalId, Transaction>,
    pub(super) soft: BTreeMap<TransactionalId, Soft>,
    /// When transactions that go on are aborted, in milliseconds since 1970.
    pub(super) deadlines: BTreeSet<(i64, TransactionalId)>,
    pub(super) alarms: Alarms,
    /// Partitions that brokers want added, until the transaction before is completed.
    pub(super) held: BTreeMap<TransactionalId, VecDeque<HeldAddition>>,
    /// Where the looks for timeouts and for expired ids go on.
    pub(super) timeouts_from: Option<(i64, TransactionalId)>,
    pub(super) expiry_from: Option<TransactionalId>,
    /// Rounds of markers so far.
    pub(super) rounds: u64,
    /// A planted bug, for the test that must find it.
    #[cfg(test)]
    pub(super) bug: Option<super::tests::Bug>,
}

/// What is known of a transactional id beside its records, as long as this coordinator lives.
#[derive(Debug, Default)]
pub(super) struct Soft {
    /// What is on its way to its commitment.
    pub pending: Option<Pending>,
    pub memory: Memory,
    /// The transaction is decided, and the partitions are being told.
    pub marking: Option<Marking>,
}

/// Partitions that are to be added to a transaction when the one before is completed.
#[derive(Debug)]
pub(super) struct HeldAddition {
    pub ticket: Ticket,
    pub request: AddPartitions,
    /// When whoever asked is told to ask again.
    pub until: Monotonic,
}

/// Records that are decided and not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// So many additions to a transaction.
    Adding(usize),
    /// Any other change.
    Changing,
}

/// A decision to change a transactional id.
#[derive(Debug)]
pub(super) struct Change {
    pub next: Transaction,
    pub memory: Memory,
    /// Whether `next` has the fresh producer id.
    pub took_id: bool,
}

/// Why nothing is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Because(ErrorCode),
    /// There is no fresh producer id at hand.
    WantsId,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Refusal {
        Refusal::Because(error)
    }
}

impl Coordinator {
    /// Without transactional ids, for a leadership in `epoch`: the log is [replayed](Self::replay) into it, then it is
    /// [loaded](Self::loaded).
    pub fn new(epoch: LeaderEpoch) -> Coordinator {
        Coordinator {
            epoch,
            transactions: BTreeMap::new(),
            soft: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            alarms: Alarms::default(),
            held: BTreeMap::new(),
            timeouts_from: None,
            expiry_from: None,
            rounds: 0,
            #[cfg(test)]
            bug: None,
        }
    }

    /// Takes a request. See [`Outcome`] for what must become of what it returns.
    pub fn handle(&mut self, scene: Scene<'_>, ticket: Ticket, request: Request) -> Outcome {
        if request.id().is_empty() || request.id().len() > ID_BYTES_MAX {
            return Outcome::reply(ticket, Err(ErrorCode::InvalidRequest));
        }
        match request {
            Request::Init(request) => self.init(scene, ticket, request),
            Request::AddPartitions(request) => self.add_partitions(scene, ticket, request),
            Request::VerifyPartitions(request) => {
                Outcome::reply(ticket, self.verify_partitions(scene, &request))
            }
            Request::AddOffsets { id, producer, group } => {
                self.add_offsets(scene, ticket, &id, producer, &group)
            }
            Request::End(request) => self.end(scene, ticket, request),
            Request::Describe(id) => Outcome::reply(ticket, self.describe(&id)),
        }
    }

    /// Applies a record that was appended, or is read from the log.
    pub fn replay(&mut self, record: Record) {
        let Record { id, value } = record;
        if let Some(deadline) = self.transactions.get(&id).and_then(deadline) {
            self.deadlines.remove(&(deadline, Arc::clone(&id)));
        }
        match value {
            Some(value) => {
                if let Some(deadline) = deadline(&value) {
                    self.deadlines.insert((deadline, Arc::clone(&id)));
                }
                self.transactions.insert(id, value);
            }
            None => {
                self.transactions.remove(&id);
                self.soft.remove(&id);
                self.alarms.cancel(&Alarm::Markers(id));
            }
        }
    }

    /// The whole log is replayed and committed: what was decided and not completed is completed, and time counts again.
    /// Whoever could still lose a replayed record must wait with this, or a transaction could be told to commit here and
    /// to abort by the next leader.
    pub fn loaded(&mut self, scene: Scene<'_>) {
        let now = scene.now.monotonic;
        let prepared = self.transactions.iter().filter(|(_, it)| it.state.is_prepared());
        for id in prepared.map(|(id, _)| Arc::clone(id)) {
            self.alarms.set(Alarm::Markers(id), now);
        }
        let settings = &scene.config.transactions;
        self.alarms.set(Alarm::Timeouts, now.after_ms(settings.timeout_check_ms));
        self.alarms.set(Alarm::Expiry, now.after_ms(settings.expiry_check_ms));
    }

    /// How many transactional ids there are, and how many transactions are not completed.
    pub fn size(&self) -> (usize, usize) {
        (self.transactions.len(), self.transactions.values().filter(|it| !it.state.is_idle()).count())
    }

    /// When [`alarm`](Self::alarm) is to be called next.
    pub fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.next()
    }

    /// What comes due, one thing at a time; `None` when nothing is. What goes on at once sets its alarm anew: whoever calls
    /// this lets other work in between.
    pub fn alarm(&mut self, scene: Scene<'_>) -> Option<Outcome> {
        Some(match self.alarms.pop_due(scene.now.monotonic)? {
            Alarm::Timeouts => self.abort_one_that_timed_out(scene),
            Alarm::Expiry => self.expire(scene),
            Alarm::Markers(id) => self.go_on_marking(scene, &id),
            Alarm::Additions(id) => self.add_held(scene, &id),
        })
    }

    /// The records of an earlier outcome are committed, or could not be appended.
    pub fn stored(&mut self, scene: Scene<'_>, then: Then, result: Result<(), ErrorCode>) -> Outcome {
        let Then { id, memory } = then;
        let Some(soft) = self.soft.get_mut(&id) else { return Outcome::default() };
        soft.pending = match soft.pending {
            Some(Pending::Adding(count)) if count > 1 => Some(Pending::Adding(count - 1)),
            _ => None,
        };
        if result.is_err() {
            return self.not_stored(scene, id);
        }
        soft.memory = memory;
        let Some(transaction) = self.transactions.get(&id) else { return Outcome::default() };
        if transaction.state.is_prepared() {
            return self.begin_marking(scene, &id);
        }
        soft.marking = None;
        if self.held.contains_key(&id) {
            self.alarms.set(Alarm::Additions(id), scene.now.monotonic);
        }
        Outcome::default()
    }

    /// Whoever waits for the completion of a transaction, to be told to go elsewhere: this coordinator ends.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        let held = std::mem::take(&mut self.held);
        held.into_values().flatten().map(|addition| addition.ticket).collect()
    }

    /// Nothing has changed. A completion is tried again.
    fn not_stored(&mut self, scene: Scene<'_>, id: TransactionalId) -> Outcome {
        if !self.transactions.contains_key(&id) {
            self.soft.remove(&id);
        } else if self.soft.get(&id).is_some_and(|soft| soft.marking.is_some()) {
            self.try_again_later(scene, &id);
        }
        Outcome::default()
    }

    /// Those that a filter lets through. They may tell of what is not committed yet.
    pub fn list(&self, scene: Scene<'_>, filter: &ListFilter) -> Vec<ListedTransaction> {
        let all = self.transactions.iter();
        let chosen = all.filter(|(id, transaction)| filter.takes(scene.now.unix_ms, id, transaction));
        chosen
            .map(|(id, transaction)| ListedTransaction {
                id: Arc::clone(id),
                producer_id: transaction.producer_id,
                state: transaction.state,
            })
            .collect()
    }

    /// What must hold between any two decisions.
    pub fn check(&self) {
        let deadlines = self.transactions.iter().filter_map(|(id, it)| Some((deadline(it)?, Arc::clone(id))));
        assert_eq!(self.deadlines, deadlines.collect(), "deadlines are those of the transactions that go on");
        for (id, soft) in &self.soft {
            let transaction = self.transactions.get(id);
            let prepared = transaction.is_some_and(|it| it.state.is_prepared());
            let completing = soft.pending == Some(Pending::Changing);
            assert!(soft.marking.is_none() || prepared || completing, "{id} is marked and not decided");
            assert!(transaction.is_some() || soft.pending.is_some(), "{id} is gone and not forgotten");
        }
    }

    // ---- what all decisions share ----

    /// Whether something is on its way that whatever else is asked must wait for.
    pub(super) fn is_busy(&self, id: &str) -> bool {
        self.pending(id).is_some() || self.transactions.get(id).is_some_and(|it| it.state.is_prepared())
    }

    pub(super) fn pending(&self, id: &str) -> Option<Pending> {
        self.soft.get(id).and_then(|soft| soft.pending)
    }

    /// What is remembered of a transactional id, the record's part of it included.
    pub(super) fn memory(&self, id: &str, current: &Transaction) -> Memory {
        let memory = self.soft.get(id).map(|soft| soft.memory).unwrap_or_default();
        Memory { previous_id: current.previous_id.or(memory.previous_id), ..memory }
    }

    /// Turns a decision about a transactional id into what is to be done, and answers it when that is done.
    pub(super) fn decided(
        &mut self,
        id: &TransactionalId,
        change: Change,
        answer: Option<(Ticket, Reply)>,
    ) -> Outcome {
        let Change { next, memory, took_id } = change;
        if let Some(current) = self.transactions.get(id) {
            debug_assert!(next.state.may_follow(current.state), "{id}: {current:?} became {next:?}");
        }
        let soft = self.soft.entry(Arc::clone(id)).or_default();
        soft.pending = Some(match soft.pending {
            Some(Pending::Adding(count)) => Pending::Adding(count + 1),
            _ if next.state == State::Ongoing => Pending::Adding(1),
            _ => Pending::Changing,
        });
        Outcome {
            records: vec![Record { id: Arc::clone(id), value: Some(next) }],
            replies: answer.into_iter().collect(),
            then: Some(Then { id: Arc::clone(id), memory }),
            producer_id: if took_id { ProducerIdUse::Taken } else { ProducerIdUse::Unused },
            ..Outcome::default()
        }
    }

    fn describe(&self, id: &TransactionalId) -> Reply {
        let transaction = self.transactions.get(id).ok_or(ErrorCode::TransactionalIdNotFound)?;
        let marking = self.soft.get(id).and_then(|soft| soft.marking.as_ref());
        Ok(Response::Described(DescribedTransaction {
            state: transaction.state,
            timeout_ms: transaction.timeout_ms,
            started_ms: transaction.started_ms,
            producer: transaction.producer(),
            partitions: marking.map_or_else(|| transaction.partitions.clone(), Marking::outstanding),
        }))
    }
}

impl Transaction {
    pub(super) fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.epoch }
    }
}

/// When a transaction that goes on is over, in milliseconds since 1970. Two-phase ones go on for ever.
fn deadline(transaction: &Transaction) -> Option<i64> {
    let ends = transaction.state == State::Ongoing && transaction.timeout_ms != i32::MAX;
    ends.then(|| transaction.started_ms.saturating_add(i64::from(transaction.timeout_ms)))
}

/// In which layout records are written now.
pub(super) fn layout(scene: Scene<'_>) -> Layout {
    if scene.image.feature(TRANSACTION_VERSION) >= 1 { Layout::Flexible } else { Layout::Plain }
}

/// Whether a producer may not get another epoch. The largest stays with the coordinator, so that it can always fence
/// (`TransactionMetadata.isEpochExhausted`).
pub(super) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= i16::MAX - 1
}

/// The epoch after this one. The largest is given to nobody, so it has none.
pub(super) fn next_epoch(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}

/// The fresh producer id, which must then be reported as taken.
pub(super) fn fresh_id(scene: Scene<'_>) -> Result<ProducerId, Refusal> {
    scene.fresh_id.ok_or(Refusal::WantsId)
}
