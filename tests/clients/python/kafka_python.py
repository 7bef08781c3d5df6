"""kafka-python with its default settings; the contract is in ../src/lib.rs."""

import json
import select
import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata


def create(address, topic, partitions):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(topic, int(partitions), 1)])
    admin.close()


def produce(address, topic):
    producer = KafkaProducer(bootstrap_servers=address)
    sent = []
    for line in sys.stdin:
        record = json.loads(line)
        sent.append(
            producer.send(
                topic,
                key=encoded(record["key"]),
                value=encoded(record["value"]),
                headers=[(name, value.encode()) for name, value in record["headers"]],
            )
        )
    producer.flush()
    for future in sent:
        place = future.get(timeout=60)
        print(json.dumps({"partition": place.partition, "offset": place.offset}))
    producer.close()


def consume(address, topic):
    consumer = KafkaConsumer(bootstrap_servers=address)
    partitions = [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]
    read_to_the_end(consumer, dict.fromkeys(partitions, 0), consumer.end_offsets(partitions))


def grow(address, topic, partitions):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_partitions({topic: NewPartitions(int(partitions))})
    admin.close()


class Owned(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        print(json.dumps({"assigned": sorted(place.partition for place in assigned)}), flush=True)

    def on_partitions_revoked(self, revoked):
        print(json.dumps({"assigned": []}), flush=True)


def member(address, topic, group, protocol):
    assert protocol == "classic", "this client speaks no other"
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=1000,
    )
    consumer.subscribe([topic], listener=Owned())
    while not select.select([sys.stdin], [], [], 0)[0]:
        # Longer than a rebalance takes: where the time of a poll ends between the answers to JoinGroup and SyncGroup, this
        # client (3.0.12) takes the second for its assignment, and neither says so to the listener nor sends heartbeats.
        batches = consumer.poll(5_000)
        for message in (message for messages in batches.values() for message in messages):
            print(json.dumps({"partition": message.partition, "offset": message.offset}))
        if batches:
            commit(consumer, batches)
    consumer.close(autocommit=False)


def commit(consumer, batches):
    try:
        consumer.commit()
    except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError):
        # The group is about to share anew: whoever gets the partitions reads them again.
        return
    done = [[place.partition, messages[-1].offset + 1] for place, messages in batches.items()]
    print(json.dumps({"committed": done}), flush=True)


def transform(address, source, target, group, name):
    producer = KafkaProducer(bootstrap_servers=address, transactional_id=name, transaction_timeout_ms=20000)
    # Before any offset is looked up: what was left open is ended by it.
    producer.init_transactions()
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_poll_records=20,
    )
    consumer.assign([TopicPartition(source, partition) for partition in sorted(consumer.partitions_for_topic(source))])
    while not select.select([sys.stdin], [], [], 0)[0]:
        batches = consumer.poll(200)
        if not batches:
            continue
        producer.begin_transaction()
        sent = [
            producer.send(target, key=message.key, value=message.value, partition=message.partition)
            for messages in batches.values()
            for message in messages
        ]
        offsets = {
            place: OffsetAndMetadata(messages[-1].offset + 1, "", -1) for place, messages in batches.items()
        }
        producer.send_offsets_to_transaction(offsets, group)
        producer.commit_transaction()
        print(json.dumps({"transformed": len(sent)}), flush=True)
    consumer.close(autocommit=False)
    producer.close()


def replay(address, topic, start):
    consumer = KafkaConsumer(bootstrap_servers=address)
    partitions = [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    kind, _, number = start.partition(":")
    if kind == "timestamp":
        found = consumer.offsets_for_times({place: int(number) for place in partitions})
        offsets = {place: found[place].offset if found[place] else ends[place] for place in partitions}
    else:
        offsets = {place: int(number or 0) for place in partitions}
    read_to_the_end(consumer, offsets, ends)


def read_to_the_end(consumer, offsets, ends):
    consumer.assign(list(offsets))
    for place, offset in offsets.items():
        consumer.seek(place, offset)
    out = []
    while any(consumer.position(place) < ends[place] for place in offsets):
        for messages in consumer.poll(1000).values():
            out.extend(stored(message) for message in messages)
    consumer.close()
    sys.stdout.write("\n".join(out))


def encoded(text):
    return None if text is None else text.encode()


def decoded(data):
    return None if data is None else data.decode()


def stored(message):
    return json.dumps(
        {
            "partition": message.partition,
            "offset": message.offset,
            "key": decoded(message.key),
            "value": decoded(message.value),
            "headers": [[name, value.decode()] for name, value in message.headers],
        }
    )


if __name__ == "__main__":
    commands = (create, produce, consume, grow, member, replay, transform)
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
