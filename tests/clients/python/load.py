"""Load on a cluster by librdkafka; the contract is in tests/faults/src/cluster/load.rs."""

import os
import select
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition


def produce(addresses, topic, partitions, producer, rate, *settings):
    partitions, rate = int(partitions), int(rate)
    client = Producer(
        {"bootstrap.servers": addresses, "enable.idempotence": True, "error_cb": surfaced, "log_level": 2} | pairs(settings)
    )
    sent = [0] * partitions
    begun = time.monotonic()
    while not ended():
        while sum(sent) < (time.monotonic() - begun) * rate:
            partition = sum(sent) % partitions
            number = sent[partition]
            value = f"{producer}:{partition}:{number}:" + "x" * (number * 7919 % 1000)
            client.produce(topic, value, partition=partition, on_delivery=told(number))
            sent[partition] += 1
        client.poll(0.01)
    client.flush()
    for partition, count in enumerate(sent):
        print("s", partition, count)


def told(number):
    def delivered(error, message):
        if error is None:
            # Of a batch whose answer was lost and that is found to be there, librdkafka may not know the offset.
            offset = message.offset()
            print("a", message.partition(), number, -1 if offset is None else offset)
        else:
            print("u", message.partition(), number, error.name())

    return delivered


def read(addresses, topic, partitions, *settings):
    fixed = {
        "bootstrap.servers": addresses,
        "group.id": "none",
        "enable.auto.commit": False,
        # What was read stays: an offset that is gone is an error and no reason to go elsewhere.
        "auto.offset.reset": "error",
        "error_cb": surfaced,
        "log_level": 2,
    }
    client = Consumer(fixed | pairs(settings))
    client.assign([TopicPartition(topic, partition, 0) for partition in range(int(partitions))])
    while not ended():
        for message in client.consume(1000, timeout=0.05):
            if message.error() is not None:
                raise RuntimeError(f"{message.partition()} {message.offset()}: {message.error()}")
            tell(message)
    # Without leaving in order: there is no group, and a broker that is down would be waited for.
    sys.stdout.flush()
    os._exit(0)


def group(addresses, topic, group, *settings):
    fixed = {
        "bootstrap.servers": addresses,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "error_cb": surfaced,
        "log_level": 2,
    }
    client = Consumer(fixed | pairs(settings))
    client.subscribe([topic])
    while not ended():
        messages = client.consume(1000, timeout=0.05)
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(f"{message.partition()} {message.offset()}: {message.error()}")
            tell(message)
        if messages:
            for place in client.commit(asynchronous=False):
                if place.error is not None:
                    raise RuntimeError(f"{place.partition} is not committed: {place.error}")
                if place.offset >= 0:
                    print("c", place.partition, place.offset)
    client.close()


def tell(message):
    value = message.value().decode()
    shown = value[: value.rindex(":") + 1]
    print("r", message.partition(), message.offset(), len(value), shown)


def surfaced(error):
    # Others are told for information only: the client goes on by itself.
    if error.fatal():
        raise RuntimeError(str(error))


def pairs(settings):
    return dict(setting.split("=", 1) for setting in settings)


def ended():
    """Whether whoever started this has closed its standard input."""
    sys.stdout.flush()
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    commands = (produce, read, group)
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
