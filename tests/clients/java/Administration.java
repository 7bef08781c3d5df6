import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.FeatureUpdate.UpgradeType;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Asks for everything that administrators ask for, and prints a line for each answer. */
public class Administration {
    interface Call {
        Object get() throws Exception;
    }

    private static Admin admin;

    private static void tell(String what, Call call) {
        try {
            System.out.println(what + ": " + call.get());
        } catch (ExecutionException failed) {
            Throwable cause = failed.getCause();
            System.out.println(what + ": " + cause.getClass().getSimpleName() + ": " + cause.getMessage());
        } catch (Exception failed) {
            System.out.println(what + ": " + failed);
        }
    }

    private static void alter(Type type, String name, OpType op, String key, String value) {
        var resource = new ConfigResource(type, name);
        var change = new AlterConfigOp(new ConfigEntry(key, value), op);
        tell(op + " " + type + " '" + name + "' " + key + "=" + value, () -> {
            admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
            return "done";
        });
    }

    /** Every configuration of the resource whose name begins so. */
    private static void describe(Type type, String name, String prefix) {
        tell("describe " + type + " '" + name + "' " + prefix, () -> {
            var resource = new ConfigResource(type, name);
            var options = new DescribeConfigsOptions().includeSynonyms(true);
            var entries = admin.describeConfigs(List.of(resource), options).all().get().get(resource).entries();
            var lines = new TreeMap<String, String>();
            for (var entry : entries) {
                if (entry.name().startsWith(prefix)) {
                    var line = new StringBuilder("\n  " + entry.name() + "=" + entry.value() + " " + entry.type());
                    for (var synonym : entry.synonyms()) {
                        line.append(" ").append(synonym.source()).append(":").append(synonym.name());
                        line.append("=").append(synonym.value());
                    }
                    lines.put(entry.name(), line.append(entry.isReadOnly() ? " read-only" : "").toString());
                }
            }
            return String.join("", lines.values());
        });
    }

    private static void configurations() {
        describe(Type.GROUP, "g", "");
        describe(Type.CLIENT_METRICS, "m", "");
        describe(Type.GROUP, "", "");
        describe(Type.BROKER, "1", "log.retention");
        alter(Type.BROKER, "", OpType.SET, "log.retention.ms", "12345678");
        alter(Type.BROKER, "1", OpType.SET, "log.retention.ms", "2345678");
        alter(Type.BROKER, "1", OpType.SET, "num.partitions", "5");
        alter(Type.BROKER, "", OpType.SET, "listeners", "PLAINTEXT://:1");
        alter(Type.BROKER, "", OpType.SET, "log.segment.bytes", "5");
        alter(Type.BROKER, "", OpType.APPEND, "message.max.bytes", "5");
        describe(Type.BROKER, "", "log.retention");
        describe(Type.BROKER, "1", "log.retention.ms");
        describe(Type.TOPIC, "t", "retention.ms");
        alter(Type.GROUP, "g", OpType.SET, "consumer.session.timeout.ms", "50000");
        alter(Type.GROUP, "g", OpType.SET, "consumer.session.timeout.ms", "1");
        alter(Type.GROUP, "g", OpType.SET, "consumer.heartbeat.interval.ms", "60000");
        alter(Type.GROUP, "g", OpType.SET, "share.auto.offset.reset", "by_duration:PT1H");
        alter(Type.GROUP, "g", OpType.SET, "share.isolation.level", "READ_COMMITTED");
        alter(Type.GROUP, "g", OpType.APPEND, "consumer.session.timeout.ms", "50000");
        alter(Type.GROUP, "g", OpType.SET, "nonsense", "1");
        alter(Type.CLIENT_METRICS, "m", OpType.SET, "interval.ms", "1000");
        alter(Type.CLIENT_METRICS, "m", OpType.SET, "interval.ms", "99");
        alter(Type.CLIENT_METRICS, "m", OpType.SET, "match", "client_id=a.*,client_source_port=9");
        alter(Type.CLIENT_METRICS, "m", OpType.SET, "match", "client_nonsense=a");
        alter(Type.CLIENT_METRICS, "m", OpType.APPEND, "match", "client_id=b");
        describe(Type.GROUP, "g", "consumer.session");
        describe(Type.CLIENT_METRICS, "m", "");
        for (var type : List.of(Type.TOPIC, Type.BROKER, Type.GROUP, Type.CLIENT_METRICS)) {
            tell("list", () -> admin.listConfigResources(Set.of(type), new ListConfigResourcesOptions()).all().get());
        }
    }

    private static void clientMetrics() {
        for (var match : List.of(
            " client_id = a.* , client_source_port=[0-9]+", "client_id=b*+", "client_id=[a-z&&[^b]]", "client_id=(?i)a\\d",
            "client_id=(a)\\1", "client_id=(", "client_id=[", "client_id=*a", "client_id=(?<x", "client_id",
            "client_id=a=b", "client_id=a=", "client_id=", "=a", "CLIENT_ID=a", "client_id=a,nonsense=b", "client_id=a,client_id=a",
            "client_id=a,client_id=b", "client_id=a,,", ",", "", "client_id= ")) {
            alter(Type.CLIENT_METRICS, "matched", OpType.SET, "match", match);
        }
        alter(Type.CLIENT_METRICS, "matched", OpType.SUBTRACT, "match", "client_id=b");
        alter(Type.CLIENT_METRICS, "matched", OpType.SET, "metrics", "a,a");
        alter(Type.CLIENT_METRICS, "matched", OpType.DELETE, "match", "");
        alter(Type.CLIENT_METRICS, "", OpType.SET, "match", "");
        describe(Type.CLIENT_METRICS, "", "");
    }

    private static void loggers() {
        alter(Type.BROKER_LOGGER, "1", OpType.SET, "root", "ERROR");
        describe(Type.BROKER_LOGGER, "1", "root");
        for (var level : List.of("error", "OFF", "")) {
            alter(Type.BROKER_LOGGER, "1", OpType.SET, "root", level);
        }
        alter(Type.BROKER_LOGGER, "1", OpType.DELETE, "root", "");
        alter(Type.BROKER_LOGGER, "1", OpType.APPEND, "root", "INFO");
        alter(Type.BROKER_LOGGER, "1", OpType.SUBTRACT, "root", "INFO");
        alter(Type.BROKER_LOGGER, "1", OpType.SET, "no.such.logger", "INFO");
        alter(Type.BROKER_LOGGER, "1", OpType.DELETE, "no.such.logger", "");
        alter(Type.BROKER_LOGGER, "1", OpType.SET, "root", "FATAL");
        describe(Type.BROKER_LOGGER, "1", "root");
        alter(Type.BROKER_LOGGER, "1", OpType.SET, "root", "INFO");
        tell("list", () ->
            admin.listConfigResources(Set.of(Type.BROKER_LOGGER), new ListConfigResourcesOptions()).all().get());
    }

    private static void level(String feature, int level, UpgradeType type, boolean validateOnly) {
        tell(feature + " " + level + " " + type + (validateOnly ? " validated" : ""), () -> {
            var update = Map.of(feature, new FeatureUpdate((short) level, type));
            admin.updateFeatures(update, new UpdateFeaturesOptions().validateOnly(validateOnly)).all().get();
            var features = admin.describeFeatures().featureMetadata().get();
            return features.supportedFeatures().get("group.version") + " " + features.finalizedFeatures().get("group.version");
        });
    }

    /** What a consumer of the new protocol is told: the record, or why it has none. */
    private static void consume(Map<String, Object> server) {
        var settings = new HashMap<>(server);
        settings.putAll(Map.of("group.id", "new", "group.protocol", "consumer", "auto.offset.reset", "earliest"));
        tell("consumer of the new protocol", () -> {
            try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of("t"));
                for (;;) {
                    for (var record : consumer.poll(Duration.ofSeconds(1))) {
                        return record.value();
                    }
                }
            }
        });
    }

    private static void groupVersion(Map<String, Object> server) {
        level("group.version", 1, UpgradeType.UPGRADE, false);
        level("group.version", 2, UpgradeType.UPGRADE, false);
        level("group.version", 0, UpgradeType.SAFE_DOWNGRADE, true);
        level("group.version", 0, UpgradeType.SAFE_DOWNGRADE, false);
        consume(server);
        level("group.version", 1, UpgradeType.SAFE_DOWNGRADE, false);
        level("group.version", 1, UpgradeType.UPGRADE, false);
        consume(server);
        level("group.version", 0, UpgradeType.UNSAFE_DOWNGRADE, false);
        level("group.version", 1, UpgradeType.UPGRADE, false);
        level("nonsense.version", 1, UpgradeType.UPGRADE, false);
    }

    private static void reassign(String topic, List<Integer> replicas) {
        var target = Optional.ofNullable(replicas).map(NewPartitionReassignment::new);
        tell("reassign " + topic + " " + replicas, () -> {
            admin.alterPartitionReassignments(Map.of(new TopicPartition(topic, 0), target)).all().get();
            return "done";
        });
    }

    private static void partitions() {
        var partition = new TopicPartition("t", 0);
        tell("log directories", () -> {
            var directory = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values().iterator().next();
            boolean room = directory.usableBytes().getAsLong() > 0;
            boolean within = directory.totalBytes().getAsLong() >= directory.usableBytes().getAsLong();
            return room + " " + within + " " + new TreeMap<>(Map.of(
                "t-0", directory.replicaInfos().get(partition).size() > 0,
                "t-1", directory.replicaInfos().get(new TopicPartition("t", 1)).size() > 0));
        });
        var nowhere = new TopicPartitionReplica("nowhere", 0, 1);
        tell("a replica's directory", () ->
            admin.describeReplicaLogDirs(List.of(nowhere)).all().get().get(nowhere).getCurrentReplicaLogDir());
        for (var type : ElectionType.values()) {
            for (var asked : List.of(partition, new TopicPartition("t", 9), new TopicPartition("nowhere", 0))) {
                tell("elect", () -> admin.electLeaders(type, Set.of(asked)).partitions().get());
            }
            tell("elect all", () -> admin.electLeaders(type, null).partitions().get());
        }
        tell("reassignments", () -> admin.listPartitionReassignments().reassignments().get());
        tell("reassignments", () ->
            admin.listPartitionReassignments(Set.of(partition, new TopicPartition("nowhere", 0))).reassignments().get());
        reassign("t", List.of(1));
        reassign("t", null);
        reassign("t", List.of(2));
        reassign("t", List.of(1, 1));
        reassign("nowhere", List.of(1));
        tell("producers", () -> {
            var producers = admin.describeProducers(Set.of(partition)).partitionResult(partition).get().activeProducers();
            var only = producers.iterator().next();
            return producers.size() + " " + only.producerEpoch() + " " + only.lastSequence() + " "
                + only.coordinatorEpoch() + " " + only.currentTransactionStartOffset();
        });
    }

    private static void cluster() {
        tell("quorum", () -> {
            var quorum = admin.describeMetadataQuorum().quorumInfo().get();
            var voter = quorum.voters().get(0);
            return quorum.leaderId() + " " + quorum.voters().size() + " " + quorum.observers().size() + " "
                + (quorum.highWatermark() > 0 && quorum.highWatermark() <= voter.logEndOffset()) + " "
                + voter.lastCaughtUpTimestamp().isPresent() + " " + quorum.nodes().get(1).endpoints().size();
        });
        var pattern = new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL);
        var entry = new AccessControlEntry("User:x", "*", AclOperation.READ, AclPermissionType.ALLOW);
        tell("describe ACLs", () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        tell("create ACLs", () -> admin.createAcls(List.of(new AclBinding(pattern, entry))).all().get());
        tell("delete ACLs", () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());
        tell("quotas", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        var nonsense = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity("nonsense", "x")));
        tell("quotas", () -> admin.describeClientQuotas(nonsense).entities().get());
        tell("SCRAM", () -> admin.describeUserScramCredentials().all().get());
        tell("SCRAM", () -> admin.describeUserScramCredentials(List.of("x")).description("x").get());
        for (short level : new short[] {30, 29}) {
            for (var type : List.of(UpgradeType.UPGRADE, UpgradeType.SAFE_DOWNGRADE)) {
                var update = Map.of("metadata.version", new FeatureUpdate(level, type));
                tell("metadata.version " + level + " " + type, () -> {
                    admin.updateFeatures(update, new UpdateFeaturesOptions()).all().get();
                    return "done";
                });
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> server = Map.of("bootstrap.servers", arguments[0]);
        admin = Admin.create(server);
        admin.createTopics(List.of(new NewTopic("t", 2, (short) 1))).all().get();
        try (var producer = new KafkaProducer<>(server, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>("t", 0, "k", "v")).get();
        }
        configurations();
        partitions();
        cluster();
        groupVersion(server);
        loggers();
        clientMetrics();
        admin.close();
    }
}
