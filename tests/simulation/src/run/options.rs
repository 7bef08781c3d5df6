//! What a seed runs.

use corelane_core::log::Fault;

/// How many brokers most clusters have.
pub(super) const BROKERS: usize = 3;

/// How many the others have: partitions have places to go to, and a majority can lose two.
pub(super) const BROKERS_OF_LARGE: usize = 5;

/// How many found a quorum whose voters change, if not one alone.
const FOUNDERS: usize = 3;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many brokers there are.
    pub brokers: usize,
    /// Two of them have no vote in the quorum.
    pub few_vote: bool,
    /// The voters of the quorum change, and so many vote at first. Otherwise they are configured.
    pub founders: Option<usize>,
    /// A bug on purpose.
    pub fault: Fault,
    /// Prints every event.
    pub trace: bool,
    /// Events after which the run counts as stuck.
    pub events_max: u64,
}

impl Options {
    /// An ordinary run: of one broker, or, if the seed is odd, of a cluster, one in five of which is large. In one of four
    /// clusters, all large, the voters change.
    pub fn new(seed: u64) -> Options {
        let founders = (seed % 8 == 5).then_some(if seed % 16 == 5 { FOUNDERS } else { 1 });
        let brokers = match seed % 10 {
            _ if founders.is_some() => BROKERS_OF_LARGE,
            9 => BROKERS_OF_LARGE,
            1 | 3 | 5 | 7 => BROKERS,
            _ => 1,
        };
        let few_vote = seed % 8 == 7;
        Options { seed, brokers, few_vote, founders, fault: Fault::None, trace: false, events_max: 3_000_000 }
    }
}
