"""What librdkafka's admin interface, by confluent-kafka, alters takes effect. Prints nothing; fails otherwise."""

import socket
import struct
import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

host, port = sys.argv[1].rsplit(":", 1)
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
TOPIC = ConfigResource.Type.TOPIC
BROKER = ConfigResource.Type.BROKER


def set_incrementally(kind, name, key, value):
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(kind, name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(60)


def described(kind, name):
    resource = ConfigResource(kind, name)
    return admin.describe_configs([resource])[resource].result(60)


def served():
    """Whether a new connection is answered."""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        # ApiVersions, version 0, without a client's id.
        connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        try:
            return len(connection.recv(4)) > 0
        except ConnectionResetError:
            return False


admin.create_topics([NewTopic("other", 1, config={"retention.bytes": "5000"})])["other"].result(60)

# AlterConfigs: what is not named has its default again.
resource = ConfigResource(TOPIC, "other", set_config={"segment.ms": "60000"})
admin.alter_configs([resource])[resource].result(60)
configs = described(TOPIC, "other")
assert configs["segment.ms"].value == "60000", configs["segment.ms"]
assert configs["retention.bytes"].value == "-1", configs["retention.bytes"]
resource = ConfigResource(TOPIC, "other", set_config={"nonsense": "1"})
try:
    admin.alter_configs([resource])[resource].result(60)
    raise AssertionError("it was taken")
except KafkaException as refused:
    assert "Unknown topic config name: nonsense" in str(refused), refused

# A bound on connections holds for the next one, and is gone when it is raised.
assert served()
set_incrementally(BROKER, "1", "max.connections", "1")
assert described(BROKER, "1")["max.connections"].value == "1"
assert not served()
set_incrementally(BROKER, "1", "max.connections", "1000")
assert served()

# Who may do what cannot be said without an authorizer.
acl = AclBinding(
    ResourceType.TOPIC,
    "other",
    ResourcePatternType.LITERAL,
    "User:someone",
    "*",
    AclOperation.READ,
    AclPermissionType.ALLOW,
)
try:
    admin.create_acls([acl])[acl].result(60)
    raise AssertionError("it was taken")
except KafkaException as refused:
    assert refused.args[0].name() == "SECURITY_DISABLED", refused
