//! Transactions that go on for too long, and transactional ids that nobody uses any more.

use super::{
    alarms::Alarm,
    coordinator::{Coordinator, Refusal},
    face::{Outcome, ProducerIdUse, Scene},
    init::fence,
    records::{Record, Transaction},
};
use std::{ops::Bound, sync::Arc};
use tracing::info;

/// Transactional ids that one look for expired ones takes at most: what a look costs its shard in one piece.
const EXPIRY_IDS_MAX: usize = 1000;

/// How long an abort waits for a producer id that is being fetched.
const PRODUCER_ID_WAIT_MS: u64 = 100;

impl Coordinator {
    /// Aborts the next transaction that is past its timeout, and fences its producer
    /// (`TransactionCoordinator.abortTimedOutTransactions`).
    pub(super) fn abort_one_that_timed_out(&mut self, scene: Scene<'_>) -> Outcome {
        let from = self.timeouts_from.take().map_or(Bound::Unbounded, Bound::Excluded);
        let over = |(deadline, _): &&(i64, _)| *deadline < scene.now.unix_ms;
        let mut due = self.deadlines.range((from, Bound::Unbounded)).take_while(over);
        // What is on its way is looked at next time.
        let Some(first) = due.find(|(_, id)| !self.is_busy(id)).cloned() else {
            let interval_ms = scene.config.transactions.timeout_check_ms;
            self.alarms.set(Alarm::Timeouts, scene.now.monotonic.after_ms(interval_ms));
            return Outcome::default();
        };
        let id = Arc::clone(&first.1);
        let change = match self.transactions.get(&id) {
            Some(current) => fence(scene, &id, current),
            None => return Outcome::default(),
        };
        let mut wait_ms = 0;
        let outcome = match change {
            Ok(change) => {
                self.timeouts_from = Some(first);
                self.decided(&id, change, None)
            }
            Err(Refusal::WantsId) => {
                wait_ms = PRODUCER_ID_WAIT_MS;
                Outcome { producer_id: ProducerIdUse::Wanted(None), ..Outcome::default() }
            }
            Err(Refusal::Because(_)) => {
                self.timeouts_from = Some(first);
                Outcome::default()
            }
        };
        self.alarms.set(Alarm::Timeouts, scene.now.monotonic.after_ms(wait_ms));
        outcome
    }

    /// Looks for expired transactional ids among the next ones (`TransactionStateManager.removeExpiredTransactionalIds`).
    pub(super) fn expire(&mut self, scene: Scene<'_>) -> Outcome {
        let settings = &scene.config.transactions;
        let oldest_ms = scene.now.unix_ms.saturating_sub(settings.expiration_ms);
        let expired = |it: &Transaction| it.state.is_idle() && it.updated_ms <= oldest_ms;
        let from = self.expiry_from.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = self.transactions.range::<Arc<str>, _>((from, Bound::Unbounded));
        let mut out = Outcome { may_split: true, ..Outcome::default() };
        let mut last = None;
        for (id, transaction) in left.by_ref().take(EXPIRY_IDS_MAX) {
            last = Some(Arc::clone(id));
            if expired(transaction) && !self.is_busy(id) {
                out.records.push(Record { id: Arc::clone(id), value: None });
            }
        }
        let wait_ms = if left.next().is_some() {
            self.expiry_from = last;
            0
        } else {
            settings.expiry_check_ms
        };
        if !out.records.is_empty() {
            info!(tombstones = out.records.len(), "transactional ids have expired");
        }
        self.alarms.set(Alarm::Expiry, scene.now.monotonic.after_ms(wait_ms));
        out
    }
}
