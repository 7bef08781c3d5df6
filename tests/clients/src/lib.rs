//! What the tests with real clients share: a broker of their own, clients as child processes, and the records that go
//! through both.
//!
//! Every scripted client (`tests/clients/{go,java,node,python}`) keeps one contract, records being JSON lines:
//!
//! - `create ADDRESS TOPIC PARTITIONS`: creates the topic by the client's admin interface.
//! - `produce ADDRESS TOPIC`: sends the records of its standard input with the client's default settings; prints
//!   where each was acknowledged, in the order of the input.
//! - `consume ADDRESS TOPIC`: assigns itself every partition, reads from the beginning to the end and prints what it
//!   read.
//!
//! Those that have groups also keep this one:
//!
//! - `grow ADDRESS TOPIC PARTITIONS`: gives the topic this many partitions.
//! - `member ADDRESS TOPIC GROUP PROTOCOL`: reads as a member of a group of the `classic` or the `consumer` protocol
//!   until its standard input ends, then leaves. Prints `{"assigned": [PARTITION, …]}` with all it owns whenever that
//!   has changed, `{"partition": P, "offset": O}` for each record it reads, and `{"committed": [[P, NEXT], …]}` after
//!   each synchronous commit, which follows every poll that brought anything.
//! - `replay ADDRESS TOPIC FROM`: as `consume`, but from `beginning`, `offset:N` or `timestamp:MS` in each partition.
//!
//! Those that have transactions keep this one, which ends with an error where the client cannot go on:
//!
//! - `transform ADDRESS FROM TO GROUP ID`: reads a topic, of what is committed, from where GROUP has committed, and writes
//!   each record to the partition of the same number of another in transactions of the transactional id ID, which commit the offsets, too, until its
//!   standard input ends. Prints `{"transformed": COUNT}` after each that was committed.

mod broker;
mod client;
mod kafka;
mod member;
mod record;
mod tools;

pub use broker::Broker;
pub use client::{Client, jars, python, run, run_with_input, target};
pub use corelane_fault_tests::{Transformer, stack::QUIET};
pub use kafka::KafkaBroker;
pub use member::{Member, Said};
pub use record::{Acknowledged, Record, Stored, assert_dense, assert_stored, sample};
pub use tools::{JavaTools, Pair, Ran, installed, kafkas_apart, our_command, ours};

/// `client` sends `records` to a topic that it created and to one that its sending brings into being; what `reader`
/// finds is what was sent, where it was acknowledged.
///
/// # Panics
///
/// When it is not, or a client fails.
pub fn round_trip(broker: &Broker, client: Client, reader: Client, records: &[Record]) {
    client.create(broker.address(), "created", 3);
    for (topic, partitions) in [("created", 3), ("named", 4)] {
        let acknowledged = client.produce(broker.address(), topic, records);
        assert!(acknowledged.iter().all(|place| place.partition < partitions));
        let stored = reader.consume(broker.address(), topic);
        assert_stored(records, &acknowledged, &stored);
    }
}
