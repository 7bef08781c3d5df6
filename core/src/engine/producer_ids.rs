//! Producer ids that this shard may give out, in blocks that the controller made durable (KIP-730's shape).

use crate::ids::ProducerId;
use std::{collections::VecDeque, ops::Range};

/// Blocks of ids, used up in order.
#[derive(Debug, Default)]
pub struct ProducerIdPool {
    blocks: VecDeque<Range<i64>>,
}

impl ProducerIdPool {
    /// An id that was never given out before, if there is one here.
    pub fn take(&mut self) -> Option<ProducerId> {
        loop {
            let block = self.blocks.front_mut()?;
            if let Some(id) = block.next() {
                return Some(ProducerId(id));
            }
            self.blocks.pop_front();
        }
    }

    /// The controller gave us these.
    pub fn add(&mut self, block: Range<i64>) {
        self.blocks.push_back(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_blocks_are_given_out_once() {
        let mut pool = ProducerIdPool::default();
        assert_eq!(pool.take(), None);
        pool.add(1000..1002);
        pool.add(5000..5001);
        let taken: Vec<i64> = std::iter::from_fn(|| pool.take()).map(|id| id.0).collect();
        assert_eq!(taken, [1000, 1001, 5000]);
    }
}
