//! What every part of a shard's loop works with.

use super::{helpers::Helpers, settings::DriverSettings, shared::ShardShared};
use corelane_seam::{Completion, Monotonic};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// `P` is how a driver reaches the kernel.
pub(crate) struct Context<M, P> {
    pub(crate) port: P,
    /// What the shard has still to be told.
    pub(crate) events: VecDeque<Completion<M>>,
    pub(crate) me: Arc<ShardShared>,
    pub(crate) helpers: Helpers,
    pub(crate) settings: Arc<DriverSettings>,
}

/// Log lines that a flood of causes must not turn into a flood of lines.
#[derive(Default)]
pub(crate) struct Bounded {
    last: Option<Monotonic>,
    suppressed: u64,
}

impl Bounded {
    const EVERY: Duration = Duration::from_secs(1);

    /// Whether to log now, and how many lines were left out since the last one.
    pub(crate) fn admit(&mut self, now: Monotonic) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < Self::EVERY) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_once_a_second_with_its_size() {
        let mut bounded = Bounded::default();
        let at = |ms| Monotonic(0).after_ms(ms);
        assert_eq!(bounded.admit(at(0)), Some(0));
        assert_eq!((bounded.admit(at(10)), bounded.admit(at(999))), (None, None));
        assert_eq!(bounded.admit(at(1_000)), Some(2));
    }
}
