//! Who is killed in a round, and when.

use rand::{Rng, rngs::SmallRng, seq::SliceRandom};
use std::{fmt, time::Duration};

/// Latest moment after the application has caught up at which someone is killed: within a few dozen transactions.
const AFTER_MS_MAX: u64 = 2000;

/// Longest that a broker stays away besides its start: shorter and longer than a session.
const GONE_MS_MAX: u64 = 6000;

/// Who is killed, by `kill -9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// A broker, which comes back.
    Broker,
    /// The application; another takes its place at once.
    Application,
    /// A broker and the application at once.
    Both,
}

impl Victim {
    const ALL: [Victim; 3] = [Victim::Broker, Victim::Application, Victim::Both];
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strike {
    pub victim: Victim,
    /// From 0.
    pub node: usize,
    /// The moment.
    pub after: Duration,
    /// How long the broker stays away.
    pub gone: Duration,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strike { victim, node, after, gone } = self;
        match victim {
            Victim::Application => write!(f, "the application, after {after:?}"),
            Victim::Broker => write!(f, "broker {node}, after {after:?}, for {gone:?}"),
            Victim::Both => write!(f, "the application and broker {node}, after {after:?}, for {gone:?}"),
        }
    }
}

/// The rounds of a seed: each victim comes as often as any other.
pub(super) struct Strikes {
    chance: SmallRng,
    nodes: usize,
    ahead: Vec<Victim>,
}

impl Strikes {
    pub fn new(chance: SmallRng, nodes: usize) -> Strikes {
        Strikes { chance, nodes, ahead: Vec::new() }
    }

    pub fn next(&mut self) -> Strike {
        if self.ahead.is_empty() {
            self.ahead = Victim::ALL.to_vec();
            self.ahead.shuffle(&mut self.chance);
        }
        Strike {
            victim: self.ahead.pop().expect("it was filled"),
            node: self.chance.random_range(0..self.nodes),
            after: Duration::from_millis(self.chance.random_range(0..AFTER_MS_MAX)),
            gone: Duration::from_millis(self.chance.random_range(0..GONE_MS_MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_seed_strikes_the_same_each_time_and_every_victim_and_node_in_turn() {
        let draw = |seed| {
            let mut strikes = Strikes::new(SmallRng::seed_from_u64(seed), 3);
            (0..30).map(|_| strikes.next()).collect::<Vec<_>>()
        };
        let drawn = draw(1);
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
        for victim in Victim::ALL {
            assert_eq!(drawn.iter().filter(|strike| strike.victim == victim).count(), 10);
        }
        for node in 0..3 {
            assert!(drawn.iter().any(|strike| strike.node == node));
        }
    }
}
