"""librdkafka with its default settings, by confluent-kafka; the contract is in ../src/lib.rs."""

import json
import select
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic


def create(address, topic, partitions):
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, int(partitions))])[topic].result(60)


def produce(address, topic):
    producer = Producer({"bootstrap.servers": address})
    acknowledged = []

    def note(index):
        def delivered(error, message):
            if error is not None:
                raise RuntimeError(str(error))
            acknowledged[index] = {"partition": message.partition(), "offset": message.offset()}

        return delivered

    for line in sys.stdin:
        record = json.loads(line)
        acknowledged.append(None)
        producer.produce(
            topic,
            key=record["key"],
            value=record["value"],
            headers=[(name, value) for name, value in record["headers"]],
            on_delivery=note(len(acknowledged) - 1),
        )
        producer.poll(0)
    producer.flush()
    for place in acknowledged:
        print(json.dumps(place))


def consume(address, topic):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False})
    partitions = sorted(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
    read_to_the_end(consumer, topic, [TopicPartition(topic, partition, 0) for partition in partitions])


def grow(address, topic, partitions):
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_partitions([NewPartitions(topic, int(partitions))])[topic].result(60)


def member(address, topic, group, protocol):
    settings = {
        "bootstrap.servers": address,
        "group.id": group,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "topic.metadata.refresh.interval.ms": 1000,
    }
    if protocol == "classic":
        settings |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    consumer = Consumer(settings)

    owned = set()

    def changed(now):
        # All at once in the classic protocol, one by one in the new one.
        owned.symmetric_difference_update(now)
        print(json.dumps({"assigned": sorted(owned)}), flush=True)

    consumer.subscribe(
        [topic],
        on_assign=lambda consumer, places: changed({place.partition for place in places} - owned),
        on_revoke=lambda consumer, places: changed({place.partition for place in places} & owned),
        on_lost=lambda consumer, places: changed({place.partition for place in places} & owned),
    )
    while not select.select([sys.stdin], [], [], 0)[0]:
        messages = consumer.consume(100, timeout=0.2)
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(str(message.error()))
            print(json.dumps({"partition": message.partition(), "offset": message.offset()}))
        if messages:
            commit(consumer)
    consumer.close()


def commit(consumer):
    try:
        committed = consumer.commit(asynchronous=False)
    except KafkaException as error:
        # The group is about to share anew: whoever gets the partitions reads them again.
        expected = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID,
                    KafkaError._NO_OFFSET, KafkaError.STALE_MEMBER_EPOCH)
        if error.args[0].code() not in expected:
            raise
        return
    done = [[place.partition, place.offset] for place in committed if place.error is None and place.offset >= 0]
    print(json.dumps({"committed": done}), flush=True)


def transform(address, source, target, group, name):
    producer = Producer({"bootstrap.servers": address, "transactional.id": name, "transaction.timeout.ms": 20000})
    # Before any offset is looked up: what was left open is ended by it.
    producer.init_transactions(60)
    settings = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": address, "isolation.level": "read_committed"} | settings)
    partitions = consumer.list_topics(source, timeout=60).topics[source].partitions
    places = consumer.committed([TopicPartition(source, partition) for partition in partitions], timeout=60)
    consumer.assign(places)
    while not select.select([sys.stdin], [], [], 0)[0]:
        messages = consumer.consume(20, timeout=0.2)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(str(message.error()))
            producer.produce(target, key=message.key(), value=message.value(), partition=message.partition())
        read = [place for place in consumer.position(places) if place.offset >= 0]
        producer.send_offsets_to_transaction(read, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        print(json.dumps({"transformed": len(messages)}), flush=True)
    consumer.close()


def replay(address, topic, start):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False})
    partitions = sorted(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
    kind, _, number = start.partition(":")
    if kind == "timestamp":
        asked = [TopicPartition(topic, partition, int(number)) for partition in partitions]
        places = consumer.offsets_for_times(asked, timeout=60)
    else:
        places = [TopicPartition(topic, partition, int(number or 0)) for partition in partitions]
    read_to_the_end(consumer, topic, places)


def read_to_the_end(consumer, topic, places):
    ends = {}
    for place in places:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=60)
        if 0 <= place.offset < end:
            ends[place.partition] = end
    consumer.assign([place for place in places if place.partition in ends])
    out = []
    while ends:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is not None:
                raise RuntimeError(str(message.error()))
            out.append(stored(message))
            if message.offset() + 1 == ends.get(message.partition()):
                del ends[message.partition()]
    consumer.close()
    sys.stdout.write("\n".join(out))


def stored(message):
    key, value = message.key(), message.value()
    return json.dumps(
        {
            "partition": message.partition(),
            "offset": message.offset(),
            "key": None if key is None else key.decode(),
            "value": None if value is None else value.decode(),
            "headers": [[name, value.decode()] for name, value in message.headers() or []],
        }
    )


if __name__ == "__main__":
    commands = (create, produce, consume, grow, member, replay, transform)
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
