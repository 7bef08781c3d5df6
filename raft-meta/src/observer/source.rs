//! Whom an observer asks: the leader, else another controller, and none again too soon that did not answer.

use corelane_core::ids::NodeId;
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// A controller that did not answer is left alone for so long, in ms, and twice as long each further time.
const AVOIDED_MS_MIN: u64 = 250;
const AVOIDED_MS_MAX: u64 = 1_000;

/// The log is told again how long nobody answers.
const TOLD_EVERY_MS: u64 = 30_000;

struct Avoided {
    until: Monotonic,
    ms: u64,
}

/// See the module.
pub(crate) struct Sources {
    node: NodeId,
    /// Observers begin with different controllers.
    turn: usize,
    /// As configured: these endpoints are this node's way, whatever others say.
    configured: Vec<(NodeId, String)>,
    bootstrap: Vec<(NodeId, String)>,
    /// As controllers tell.
    learned: Vec<(NodeId, String)>,
    avoided: BTreeMap<NodeId, Avoided>,
    told: Option<Monotonic>,
}

impl Sources {
    /// `None` without a single one.
    pub fn new(node: NodeId, voters: Vec<(NodeId, String)>, bootstrap: Vec<String>) -> Option<Sources> {
        if voters.is_empty() && bootstrap.is_empty() {
            return None;
        }
        // Voters that are named are all there are.
        let bootstrap = if voters.is_empty() { bootstrap } else { Vec::new() };
        Some(Sources {
            node,
            turn: usize::try_from(node.0).unwrap_or(0),
            configured: voters,
            bootstrap: (1..).map(|id: i32| NodeId(-id)).zip(bootstrap).collect(),
            learned: Vec::new(),
            avoided: BTreeMap::new(),
            told: None,
        })
    }

    /// Of a controller: `known` are those that its log or its configuration names. What controllers tell counts more.
    /// `None` without anybody else.
    pub fn of_controllers(
        node: NodeId,
        known: Vec<(NodeId, String)>,
        bootstrap: Vec<String>,
    ) -> Option<Sources> {
        let mut learned: Vec<(NodeId, String)> = Vec::new();
        for (other, endpoint) in known {
            if other != node && !learned.iter().any(|(known, _)| *known == other) {
                learned.push((other, endpoint));
            }
        }
        if learned.is_empty() && bootstrap.is_empty() {
            return None;
        }
        Some(Sources {
            node,
            turn: usize::try_from(node.0).unwrap_or(0),
            configured: Vec::new(),
            bootstrap: (1..).map(|id: i32| NodeId(-id)).zip(bootstrap).collect(),
            learned,
            avoided: BTreeMap::new(),
            told: None,
        })
    }

    /// Those that are known by their ids.
    pub fn voters(&self) -> Vec<(NodeId, String)> {
        if self.configured.is_empty() { self.learned.clone() } else { self.configured.clone() }
    }

    /// All of them.
    pub fn all(&self) -> Vec<(NodeId, String)> {
        let mut all = self.voters();
        all.extend(self.bootstrap.iter().cloned());
        all
    }

    /// Takes what a controller says of the voters; whether that changes anything.
    pub fn learn(&mut self, voters: &[(u64, String)]) -> bool {
        let named = voters.iter().filter(|(_, endpoint)| !endpoint.is_empty());
        let node =
            |(id, endpoint): &(u64, String)| Some((NodeId(i32::try_from(*id).ok()?), endpoint.clone()));
        let learned: Vec<_> = named.filter_map(node).filter(|(id, _)| *id != self.node).collect();
        let is_news = self.configured.is_empty() && !learned.is_empty() && learned != self.learned;
        if is_news {
            self.learned = learned;
        }
        is_news
    }

    /// Whom to ask now: endpoints without ids come last, because a node may be behind one that has been named since.
    pub fn next(&self, now: Monotonic, leader: Option<NodeId>) -> Option<NodeId> {
        let voters = self.voters();
        let may_ask = |node: &NodeId| self.avoided.get(node).is_none_or(|avoided| avoided.until <= now);
        let leader = leader.filter(|leader| voters.iter().any(|(node, _)| node == leader));
        let from = |nodes: &[(NodeId, String)]| -> Vec<NodeId> {
            (0..nodes.len()).map(|at| nodes[(self.turn + at) % nodes.len()].0).collect()
        };
        let in_turn = from(&voters).into_iter().chain(from(&self.bootstrap));
        leader.into_iter().chain(in_turn).find(may_ask)
    }

    /// When [`next`](Self::next) has an answer.
    pub fn next_due(&self) -> Monotonic {
        let due = |(node, _): (NodeId, String)| {
            self.avoided.get(&node).map_or(Monotonic(0), |avoided| avoided.until)
        };
        self.all().into_iter().map(due).min().unwrap_or(Monotonic(0))
    }

    /// A controller gave what was asked for.
    pub fn answered(&mut self, node: NodeId) {
        self.avoided.remove(&node);
        if self.told.take().is_some() {
            tracing::info!("a controller answers");
        }
    }

    /// A controller did not, for this reason.
    pub fn failed(&mut self, now: Monotonic, node: NodeId, reason: &str) {
        let ms = self.avoided.get(&node).map_or(AVOIDED_MS_MIN, |before| AVOIDED_MS_MAX.min(before.ms * 2));
        self.avoided.insert(node, Avoided { until: now.after_ms(ms), ms });
        self.turn = self.turn.wrapping_add(1);
        let all = self.all();
        let nobody = all.iter().all(|(node, _)| self.avoided.contains_key(node));
        if nobody && self.told.is_none_or(|told| now >= told.after_ms(TOLD_EVERY_MS)) {
            self.told = Some(now);
            let endpoints: Vec<_> = all.into_iter().map(|(_, endpoint)| endpoint).collect();
            tracing::warn!(
                "no controller answers at {}: this node waits for one (the last one asked: {reason})",
                endpoints.join(", ")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(0).after_ms(ms)
    }

    fn voters() -> Vec<(NodeId, String)> {
        (1..=3).map(|id| (NodeId(id), format!("node-{id}:9093"))).collect()
    }

    #[test]
    fn the_leader_is_asked_and_another_one_while_it_does_not_answer() {
        let mut sources = Sources::new(NodeId(101), voters(), Vec::new()).expect("some");
        let leader = Some(NodeId(2));
        assert_eq!(sources.next(at(0), leader), leader);
        sources.failed(at(0), NodeId(2), "gone");
        let other = sources.next(at(0), leader).expect("another");
        assert_ne!(other, NodeId(2));
        sources.answered(other);
        assert_eq!(sources.next(at(AVOIDED_MS_MIN), leader), leader);
        sources.failed(at(AVOIDED_MS_MIN), NodeId(2), "gone");
        assert_ne!(sources.next(at(2 * AVOIDED_MS_MIN), leader), leader, "longer each time");
        assert_eq!(sources.next(at(3 * AVOIDED_MS_MIN), leader), leader);
    }

    #[test]
    fn where_nobody_answers_all_are_asked_in_turn_with_pauses() {
        let mut sources = Sources::new(NodeId(101), voters(), Vec::new()).expect("some");
        let mut asked = Vec::new();
        while let Some(node) = sources.next(at(0), None) {
            asked.push(node.0);
            sources.failed(at(0), node, "nobody listens");
        }
        asked.sort_unstable();
        assert_eq!(asked, [1, 2, 3]);
        assert_eq!(sources.next_due(), at(AVOIDED_MS_MIN));
        assert!(sources.next(sources.next_due(), None).is_some());
        for round in 1..20 {
            let now = at(round * AVOIDED_MS_MAX);
            while let Some(node) = sources.next(now, None) {
                sources.failed(now, node, "nobody listens");
            }
            let pause = sources.next_due().0 - now.0;
            assert!(pause <= 1_000_000_000, "a controller that is back is found within a second");
        }
    }

    #[test]
    fn endpoints_without_ids_lead_to_those_with_and_named_voters_stay_as_named() {
        let servers = vec!["one:9093".to_owned(), "two:9093".to_owned()];
        let mut sources = Sources::new(NodeId(101), Vec::new(), servers.clone()).expect("some");
        assert!(sources.next(at(0), Some(NodeId(7))).is_some_and(|node| node.0 < 0), "7 is nowhere");
        assert!(sources.learn(&[(7, "seven:9093".to_owned())]));
        assert!(!sources.learn(&[(7, "seven:9093".to_owned())]));
        assert_eq!(sources.next(at(0), Some(NodeId(7))), Some(NodeId(7)));
        assert_eq!(sources.voters(), [(NodeId(7), "seven:9093".to_owned())]);
        assert_eq!(sources.all().len(), 3);
        sources.failed(at(0), NodeId(7), "gone");
        assert!(sources.next(at(0), None).is_some_and(|node| node.0 < 0), "the others may have moved");

        let mut named = Sources::new(NodeId(101), voters(), servers).expect("some");
        assert!(!named.learn(&[(1, "inside:9093".to_owned())]));
        assert_eq!(named.all(), voters());
        assert!(Sources::new(NodeId(101), Vec::new(), Vec::new()).is_none());
    }
}
