"""aiokafka with its default settings; the contract is in ../src/lib.rs."""

import asyncio
import json
import select
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


async def transform(address, source, target, group, name):
    producer = AIOKafkaProducer(
        bootstrap_servers=address, transactional_id=name, transaction_timeout_ms=20000
    )
    # Before any offset is looked up: what was left open is ended by it.
    await producer.start()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_poll_records=20,
    )
    await consumer.start()
    numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(source)
    consumer.assign([TopicPartition(source, number) for number in sorted(numbers)])
    while not select.select([sys.stdin], [], [], 0)[0]:
        batches = await consumer.getmany(timeout_ms=200)
        if not batches:
            continue
        count = 0
        async with producer.transaction():
            for messages in batches.values():
                for message in messages:
                    await producer.send(target, key=message.key, value=message.value, partition=message.partition)
                    count += 1
            offsets = {place: messages[-1].offset + 1 for place, messages in batches.items()}
            await producer.send_offsets_to_transaction(offsets, group)
        print(json.dumps({"transformed": count}), flush=True)
    await consumer.stop()
    await producer.stop()


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
    commands = (create, produce, consume, transform)
    asyncio.run({command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:]))
