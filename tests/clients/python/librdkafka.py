"""librdkafka with its default settings, by confluent-kafka; the contract is in ../src/lib.rs."""

import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


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
    ends = {}
    for partition in partitions:
        start, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
        if start < end:
            ends[partition] = end
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
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
    {"create": create, "produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
