"""kafka-python with its default settings; the contract is in ../src/lib.rs."""

import json
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic


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
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(partitions)
    out = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
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
    {"create": create, "produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
