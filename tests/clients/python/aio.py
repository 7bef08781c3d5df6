"""aiokafka with its default settings; the contract is in ../src/lib.rs."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def create(address, topic, partitions):
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    answer = await admin.create_topics([NewTopic(topic, int(partitions), 1)])
    await admin.close()
    if any(error[1] != 0 for error in answer.topic_errors):
        raise RuntimeError(str(answer))


async def produce(address, topic):
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    sent = []
    for line in sys.stdin:
        record = json.loads(line)
        sent.append(
            await producer.send(
                topic,
                key=encoded(record["key"]),
                value=encoded(record["value"]),
                headers=[(name, value.encode()) for name, value in record["headers"]],
            )
        )
    for future in sent:
        place = await future
        print(json.dumps({"partition": place.partition, "offset": place.offset}))
    await producer.stop()


async def consume(address, topic):
    consumer = AIOKafkaConsumer(bootstrap_servers=address)
    await consumer.start()
    # The client looks up a topic when it is asked for it, or assigned it, for the first time.
    numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(partitions)
    out = []
    while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
        for messages in (await consumer.getmany(timeout_ms=1000)).values():
            out.extend(stored(message) for message in messages)
    await consumer.stop()
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
    asyncio.run({"create": create, "produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:]))
