//! The hot paths: each a broker that is made ready, and one request of a kind that is then asked again and again.

mod fetch;
mod groups;
mod produce;

use crate::machine::Machine;
use corelane_core::config::BrokerConfig;
use std::time::Duration;

/// How much time passes between two requests.
const PAUSE: Duration = Duration::from_micros(100);

/// Sends one request, or what else is counted as one, and looks at the answer.
type Once = Box<dyn FnMut(&mut Machine)>;

/// One kind of request.
pub struct HotPath {
    /// As in the table of baselines.
    pub name: &'static str,
    /// What is counted as one request.
    pub what: &'static str,
    /// How many are counted: enough for what comes only now and then (a chunk that is full, a timer) to be its share.
    pub requests: u32,
    shards: u16,
    change: fn(&mut BrokerConfig),
    prepare: fn(&mut Machine) -> Once,
}

impl HotPath {
    const fn new(
        name: &'static str,
        what: &'static str,
        requests: u32,
        prepare: fn(&mut Machine) -> Once,
    ) -> HotPath {
        HotPath { name, what, requests, shards: 1, change: |_| {}, prepare }
    }

    /// Does it: the set-up and a few requests, so that memory is warm, then those that are counted.
    ///
    /// # Panics
    /// When an answer is not what it should be.
    pub fn run(&self) {
        let mut machine = Machine::start(self.shards, self.change);
        let mut once = (self.prepare)(&mut machine);
        for counted in [false, true] {
            if counted {
                machine.count();
            }
            let requests = if counted { self.requests } else { self.requests / 4 };
            for _ in 0..requests {
                machine.pass(PAUSE);
                once(&mut machine);
            }
        }
    }
}

/// All of them.
pub const ALL: [HotPath; 13] = [
    HotPath::new("produce-1", "one record of 1 KiB, acks=all, flushed", 1024, produce::one_record),
    HotPath::new("produce-1-idempotent", "the same of an idempotent producer", 1024, produce::idempotent),
    HotPath {
        shards: 2,
        ..HotPath::new("produce-1-elsewhere", "the same, to another shard", 1024, produce::elsewhere)
    },
    HotPath::new(
        "produce-1-of-16",
        "the same, of sixteen that come at once and share a flush",
        1024,
        produce::sixteen_at_once,
    ),
    HotPath::new(
        "produce-16-partitions",
        "one record of 1 KiB to each of 16 partitions",
        256,
        produce::to_16_partitions,
    ),
    HotPath::new("produce-256", "one batch of 256 records of 1 KiB", 128, produce::large),
    HotPath::new("produce-256-lz4", "the same, compressed by lz4", 32, produce::large_compressed),
    HotPath::new(
        "fetch-tail",
        "a fetch of a session of 16 partitions that waits, and the produce of one record that answers it",
        512,
        fetch::tail,
    ),
    HotPath {
        change: |config| config.tail_cache_bytes = 64 << 10,
        ..HotPath::new("fetch-files", "a fetch of 1 MiB out of a file", 512, fetch::files)
    },
    HotPath::new(
        "fetch-idle",
        "a fetch of a session of 16 partitions in which nothing comes for 500 ms",
        512,
        fetch::idle,
    ),
    HotPath::new("commit", "an OffsetCommit of one partition, flushed", 1024, groups::commit),
    HotPath::new("heartbeat", "a Heartbeat of the classic protocol", 2048, groups::classic_heartbeat),
    HotPath::new(
        "heartbeat-consumer",
        "a ConsumerGroupHeartbeat that changes nothing",
        2048,
        groups::consumer_heartbeat,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hot_path_is_what_it_says() {
        for path in ALL {
            println!("{}", path.name);
            // Few: the answers are looked at, nothing is counted.
            HotPath { requests: 32, ..path }.run();
        }
    }
}
