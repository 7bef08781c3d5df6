//! Brokers whose connections ended a moment ago: who leads what they led is about to be known.
//!
//! A client that loses a broker asks the next one at once who leads now. Told the old leader, clients ask again only when
//! one of their timers says so: librdkafka within a second, others later. So what tells them waits for the news, for as
//! long as a failover takes.

use super::{Effects, Engine, ShardMessage};
use crate::ids::NodeId;
use corelane_seam::{Monotonic, Now};
use std::collections::{BTreeMap, BTreeSet};

/// So long after a broker has gone its successors are waited for: a failover takes a few tens of milliseconds, and where
/// it takes longer, what else the client asked by this connection has waited long enough.
const NEWS_WITHIN_MS: u64 = 200;

/// See the module.
#[derive(Debug, Default)]
pub struct GonePeers {
    /// When each was last known to have gone.
    since: BTreeMap<NodeId, Monotonic>,
    /// Those that have not answered this shard since.
    silent: BTreeSet<NodeId>,
}

impl GonePeers {
    /// A call to a broker failed. Gives whether that is news: it answered the one before.
    fn failed(&mut self, now: Monotonic, peer: NodeId) -> bool {
        let is_news = self.silent.insert(peer);
        if is_news {
            self.since.insert(peer, now);
        }
        is_news
    }

    /// A broker is there.
    pub(super) fn answered(&mut self, peer: NodeId) {
        self.silent.remove(&peer);
    }

    /// Another shard has found it out.
    pub(super) fn told(&mut self, now: Monotonic, peer: NodeId) {
        self.since.insert(peer, now);
    }

    /// Whether there is anything to wait for: hardly ever.
    pub fn is_empty(&self, now: Monotonic) -> bool {
        self.since.keys().all(|peer| self.news_until(now, *peer).is_none())
    }

    /// Until when it is worth waiting for news of what a broker led.
    pub fn news_until(&self, now: Monotonic, peer: NodeId) -> Option<Monotonic> {
        self.since.get(&peer).map(|since| since.after_ms(NEWS_WITHIN_MS)).filter(|until| now < *until)
    }
}

impl Engine {
    /// A broker does not answer this shard; the others, who may not ask it anything, are told.
    pub(super) fn peer_is_gone(&mut self, now: Now, peer: NodeId, effects: &mut Effects) {
        if self.gone.failed(now.monotonic, peer) {
            let others = self.place.other_shards();
            effects.messages.extend(others.map(|shard| (shard, ShardMessage::PeerGone(peer))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_goes_once_until_it_answers_again_and_is_waited_for_a_moment_only() {
        let (peer, at) = (NodeId(3), |ms| Monotonic(1).after_ms(ms));
        let mut gone = GonePeers::default();
        assert!(gone.is_empty(at(0)));
        assert!(gone.failed(at(0), peer));
        assert!(!gone.failed(at(50), peer), "the next attempt failed, too");
        assert_eq!(gone.news_until(at(50), peer), Some(at(NEWS_WITHIN_MS)));
        assert_eq!((gone.news_until(at(50), NodeId(4)), gone.is_empty(at(50))), (None, false));
        assert!(gone.is_empty(at(NEWS_WITHIN_MS)));
        gone.answered(peer);
        assert!(gone.failed(at(900), peer));
        gone.told(at(950), peer);
        assert_eq!(gone.news_until(at(950), peer), Some(at(950 + NEWS_WITHIN_MS)));
    }
}
