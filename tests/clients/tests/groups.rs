//! Groups as the clients use them: members share partitions, take over from each other where they stopped, and read
//! again what they are told to.

use std::collections::{BTreeMap, BTreeSet};

use corelane_client_tests::{Broker, Client, Member, Record, sample};

const TOPIC: &str = "orders";

/// Everything there is to read, by partition and offset.
struct Written(BTreeSet<(u32, u64)>);

impl Written {
    fn more(&mut self, broker: &Broker, records: &[Record]) {
        let acknowledged = Client::Librdkafka.produce(broker.address(), TOPIC, records);
        self.0.extend(acknowledged.iter().map(|place| (place.partition, place.offset)));
    }

    /// The offset behind the last record of each partition.
    fn ends(&self) -> BTreeMap<u32, u64> {
        self.0.iter().map(|(partition, offset)| (*partition, offset + 1)).collect()
    }
}

/// Whether all that was written is committed by these members, the later ones' word before the earlier ones'.
fn all_committed(members: &[&Member], written: &Written) -> bool {
    let mut committed: BTreeMap<u32, u64> = BTreeMap::new();
    for (partition, next) in members.iter().flat_map(|member| member.committed()) {
        let known = committed.entry(partition).or_default();
        *known = (*known).max(next);
    }
    written.ends().iter().all(|(partition, end)| committed.get(partition) >= Some(end))
}

/// Whether the living share `partitions` among them, each of them something.
fn shared(members: &[&Member], partitions: u32) -> bool {
    let owned: Vec<BTreeSet<u32>> = members.iter().map(|member| member.owns()).collect();
    let all: BTreeSet<u32> = owned.iter().flatten().copied().collect();
    let count: usize = owned.iter().map(BTreeSet::len).sum();
    owned.iter().all(|own| !own.is_empty()) && all.len() == count && all == (0..partitions).collect()
}

/// The whole story, told by one client.
fn a_group_shares_takes_over_and_grows(client: Client, protocol: &str) {
    // A member of the new protocol is given up after a time that the broker says; Kafka's default is 45 seconds.
    let broker = Broker::start_with(&[
        "group.consumer.min.session.timeout.ms=6000",
        "group.consumer.session.timeout.ms=6000",
        "group.consumer.min.heartbeat.interval.ms=500",
        "group.consumer.heartbeat.interval.ms=500",
    ]);
    let address = broker.address();
    client.create(address, TOPIC, 6);
    let mut written = Written(BTreeSet::new());
    written.more(&broker, &sample(600));
    let start = |group: &str| Member::start(client, address, TOPIC, group, protocol);

    let (mut first, second, third) = (start("g"), start("g"), start("g"));
    let three = [&first, &second, &third];
    Member::wait(&three, "three members share six partitions", || shared(&three, 6));
    Member::wait(&three, "everything is committed", || all_committed(&three, &written));

    // One is killed; the others take over where it had committed.
    let lost = first.owns();
    first.kill();
    written.more(&broker, &sample(600));
    let two = [&second, &third];
    Member::wait(&two, "two members share six partitions", || shared(&two, 6));
    let three = [&first, &second, &third];
    Member::wait(&three, "everything is committed again", || all_committed(&three, &written));
    let read: Vec<(u32, u64)> = three.iter().flat_map(|member| member.read()).collect();
    assert_eq!(read.iter().copied().collect::<BTreeSet<_>>(), written.0, "nothing is lost");
    let committed = first.committed();
    for member in two {
        let again = member.read().into_iter().filter(|(partition, offset)| {
            lost.contains(partition) && committed.get(partition).is_some_and(|next| offset < next)
        });
        assert_eq!(again.count(), 0, "what was committed is read again");
    }

    // One is added, then partitions are.
    let mut fourth = start("g");
    let three = [&second, &third, &fourth];
    Member::wait(&three, "the added member gets its share", || shared(&three, 6));
    client.grow(address, TOPIC, 8);
    Member::wait(&three, "added partitions are shared", || shared(&three, 8));
    written.more(&broker, &sample(800));
    let four = [&first, &second, &third, &fourth];
    Member::wait(&four, "added partitions are read", || all_committed(&four, &written));

    // Another group reads everything, whatever the first one has committed.
    let mut other = start("other");
    Member::wait(&[&other], "the other group reads everything", || all_committed(&[&other], &written));
    assert_eq!(other.read().into_iter().collect::<BTreeSet<_>>(), written.0);
    other.leave();

    // One leaves in order: its partitions are taken over at once.
    fourth.leave();
    Member::wait(&two, "what was left is taken over", || shared(&two, 8));
    drop((second, third));
    broker.stop();
}

#[test]
fn librdkafkas_members_share_take_over_and_grow() {
    a_group_shares_takes_over_and_grows(Client::Librdkafka, "classic");
}

#[test]
fn librdkafkas_members_of_the_new_protocol_share_take_over_and_grow() {
    a_group_shares_takes_over_and_grows(Client::Librdkafka, "consumer");
}

#[test]
fn javas_members_of_the_new_protocol_share_take_over_and_grow() {
    a_group_shares_takes_over_and_grows(Client::Java, "consumer");
}

#[test]
fn kafka_pythons_members_share_take_over_and_grow() {
    a_group_shares_takes_over_and_grows(Client::KafkaPython, "classic");
}

#[test]
fn javas_members_share_take_over_and_grow() {
    a_group_shares_takes_over_and_grows(Client::Java, "classic");
}

#[test]
fn what_was_read_is_read_again_from_the_beginning_from_an_offset_and_from_a_time() {
    let broker = Broker::start();
    let address = broker.address();
    Client::Librdkafka.create(address, TOPIC, 2);
    let records = sample(200);
    let early = Client::Librdkafka.produce(address, TOPIC, &records);
    let between = broker.now_ms();
    let late = Client::Librdkafka.produce(address, TOPIC, &records);
    let places = |acknowledged: &[corelane_client_tests::Acknowledged]| -> BTreeSet<(u32, u64)> {
        acknowledged.iter().map(|place| (place.partition, place.offset)).collect()
    };
    let (early, late) = (places(&early), places(&late));
    for client in [Client::Librdkafka, Client::KafkaPython, Client::Java] {
        let replay = |from: &str| -> BTreeSet<(u32, u64)> {
            let stored = client.replay(address, TOPIC, from);
            stored.iter().map(|record| (record.partition, record.offset)).collect()
        };
        assert_eq!(replay("beginning"), early.union(&late).copied().collect(), "{client:?}");
        let behind = early.union(&late).copied().filter(|(_, offset)| *offset >= 50).collect();
        assert_eq!(replay("offset:50"), behind, "{client:?}");
        assert_eq!(replay(&format!("timestamp:{between}")), late, "{client:?}");
    }
    broker.stop();
}
