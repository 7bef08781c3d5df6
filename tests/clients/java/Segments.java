import java.io.File;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.metadata.ClientQuotaRecord;
import org.apache.kafka.common.metadata.MetadataRecordType;
import org.apache.kafka.common.metadata.PartitionChangeRecord;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.coordinator.group.generated.CoordinatorRecordType;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue.MemberMetadata;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import org.apache.kafka.server.log.remote.metadata.storage.generated.RemoteLogSegmentMetadataRecord;
import org.apache.kafka.server.log.remote.metadata.storage.generated.RemoteLogSegmentMetadataRecord.SegmentLeaderEpochEntry;
import org.apache.kafka.server.log.remote.metadata.storage.generated.RemotePartitionDeleteMetadataRecord;
import org.apache.kafka.storage.internals.log.AbortedTxn;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.TransactionIndex;

/**
 * Writes log directories as a broker of Apache Kafka keeps them, by its own classes: in the directory that is named,
 * `records`, with all there is beside a segment, and `groups` and `transactions`, with a record of each type and version
 * that coordinators keep, once with every field set, once with every field left alone, once with every field null that may be;
 * `shares`, `metadata` and `remote` likewise, with what share groups, controllers and remote storage keep; `old0` and `old1`, with
 * messages of the formats of before Kafka 0.11.
 */
public class Segments {
    private static final String NAME = "00000000000000000000";

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[0]);
        records(Files.createDirectory(directory.resolve("records")).toFile());
        write(Files.createDirectory(directory.resolve("groups")).toFile(), List.of(batch(0, groups())));
        write(Files.createDirectory(directory.resolve("transactions")).toFile(), List.of(batch(0, transactions())));
        write(Files.createDirectory(directory.resolve("shares")).toFile(), List.of(batch(0, shares())));
        Path metadata = Files.createDirectory(directory.resolve("metadata"));
        write(metadata.toFile(), metadata());
        for (String name : List.of("00000000000000000042-0000000007", "bootstrap")) {
            Files.copy(metadata.resolve(NAME + ".log"), metadata.resolve(name + ".checkpoint"));
        }
        write(Files.createDirectory(directory.resolve("remote")).toFile(), List.of(batch(0, remote())));
        for (byte magic = 0; magic < 2; magic++) {
            write(Files.createDirectory(directory.resolve("old" + magic)).toFile(), old(magic));
        }
    }

    private static List<MemoryRecords> old(byte magic) {
        var type = magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME;
        List<MemoryRecords> sets = new ArrayList<>();
        long base = 5;
        for (Compression codec : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(),
                Compression.lz4().build())) {
            sets.add(MemoryRecords.withRecords(magic, base, codec, type, record(1000 + base, "key", "value ".repeat(50)),
                record(900, null, "größer 🚚"), record(1001 + base, "", null)));
            base += 3;
        }
        if (magic == 1) {
            sets.add(MemoryRecords.withRecords(magic, base, Compression.gzip().build(), TimestampType.LOG_APPEND_TIME,
                record(7, "a", "b"), record(8, "c", "d")));
        }
        return sets;
    }

    private static List<SimpleRecord> shares() throws Exception {
        List<SimpleRecord> records = new ArrayList<>();
        for (var type : org.apache.kafka.coordinator.share.generated.CoordinatorRecordType.values()) {
            records.addAll(variants(type::newRecordKey, type::newRecordValue));
        }
        return records;
    }

    private static SimpleRecord framed(ApiMessage message, int version) {
        var record = new ApiMessageAndVersion(message, (short) version);
        var cache = new ObjectSerializationCache();
        var bytes = ByteBuffer.allocate(MetadataRecordSerde.INSTANCE.recordSize(record, cache));
        MetadataRecordSerde.INSTANCE.write(record, cache, new ByteBufferAccessor(bytes));
        return new SimpleRecord(0, null, bytes.array());
    }

    private static List<SimpleRecord> metadataRecords() throws Exception {
        List<SimpleRecord> records = new ArrayList<>();
        for (MetadataRecordType type : MetadataRecordType.values()) {
            for (Written written : messages(type::newMetadataRecord)) {
                records.add(framed(written.message(), written.version()));
            }
        }
        var change = new PartitionChangeRecord().setRemovingReplicas(List.of()).setIsr(List.of(1));
        records.add(framed(change, 0));
        for (double quota : new double[] {0, 0.5, 1e7, 1.25e-5}) {
            records.add(framed(new ClientQuotaRecord().setKey("k").setValue(quota), 0));
        }
        // Frames of no version, of another, types and versions that are not there, a text that is cut off, and bytes behind one.
        for (byte[] damaged : new byte[][] {{0, 1, 0}, {2, 1, 0}, {1, 99, 0}, {1, 2, 9}, {1, 2, 0, 5}, {1, 20, 0, 0, 7, 7}, {1, -1, -1, 3}}) {
            records.add(new SimpleRecord(0, null, damaged));
        }
        return records;
    }

    private static List<MemoryRecords> metadata() throws Exception {
        List<MemoryRecords> batches = new ArrayList<>();
        // Kafka's tool cannot read version 1.
        var candidates = List.of(new LeaderChangeMessage.Voter().setVoterId(1), new LeaderChangeMessage.Voter().setVoterId(2));
        var leader = new LeaderChangeMessage().setVersion((short) 0).setLeaderId(2).setVoters(candidates)
            .setGrantingVoters(candidates.subList(1, 2));
        batches.add(MemoryRecords.withLeaderChangeMessage(0, 5, 1, ByteBuffer.allocate(512), leader));
        var header = new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(6);
        batches.add(MemoryRecords.withSnapshotHeaderRecord(1, 6, 1, ByteBuffer.allocate(512), header));
        var version = new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1);
        batches.add(MemoryRecords.withKRaftVersionRecord(2, 7, 1, ByteBuffer.allocate(512), version));
        var voters = new VotersRecord();
        fill(voters);
        voters.setVersion((short) 0);
        batches.add(MemoryRecords.withVotersRecord(3, 8, 1, ByteBuffer.allocate(1024), voters));
        var records = metadataRecords();
        batches.add(batch(4, records));
        var footer = new SnapshotFooterRecord().setVersion((short) 0);
        batches.add(MemoryRecords.withSnapshotFooterRecord(4 + records.size(), 9, 1, ByteBuffer.allocate(512), footer));
        return batches;
    }

    private static List<SimpleRecord> remote() throws Exception {
        List<SimpleRecord> records = new ArrayList<>();
        for (var type : org.apache.kafka.server.log.remote.metadata.storage.generated.MetadataRecordType.values()) {
            for (Written written : messages(type::newMetadataRecord)) {
                records.add(framed(written.message(), written.version()));
            }
        }
        var epochs = List.of(new SegmentLeaderEpochEntry().setLeaderEpoch(9).setOffset(80), new SegmentLeaderEpochEntry().setOffset(2));
        for (byte state = 0; state < 5; state++) {
            records.add(framed(new RemoteLogSegmentMetadataRecord().setRemoteLogSegmentState(state).setStartOffset(state - 1)
                .setEndOffset(2).setSegmentLeaderEpochs(epochs).setCustomMetadata(new byte[] {1, 2}), 0));
            records.add(framed(new RemotePartitionDeleteMetadataRecord().setRemotePartitionDeleteState(state), 0));
        }
        records.add(new SimpleRecord(0, null, new byte[] {1, 9, 0}));
        return records;
    }

    private static MemoryRecords batch(long base, List<SimpleRecord> records) {
        return MemoryRecords.withRecords(base, Compression.NONE, records.toArray(SimpleRecord[]::new));
    }

    private static SimpleRecord record(long timestamp, String key, String value, Header... headers) {
        return new SimpleRecord(timestamp, bytes(key), bytes(value), headers);
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static void records(File directory) throws Exception {
        List<MemoryRecords> batches = new ArrayList<>();
        long base = 0;
        var header = new RecordHeader("größe", bytes("4"));
        for (Compression codec : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(),
                Compression.lz4().build(), Compression.zstd().build())) {
            batches.add(MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V2, base, codec, TimestampType.CREATE_TIME, 7L,
                (short) 1, (int) base, 3, false, record(1000 + base, "key", "value " + base, header, new RecordHeader("b", null)),
                record(900, null, "größer 🚚"), record(1001 + base, "", null)));
            base += 3;
        }
        batches.add(MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V2, base, Compression.NONE, TimestampType.LOG_APPEND_TIME,
            record(2000, "four", "\0\0\0\7")));
        base += 2;
        // The offset before was compacted away.
        for (ControlRecordType end : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            batches.add(MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V2, base, Compression.NONE, TimestampType.CREATE_TIME,
                8L, (short) 2, end == ControlRecordType.COMMIT ? 0 : 1, 3, true, record(3000 + base, "in", "a transaction")));
            batches.add(MemoryRecords.withEndTransactionMarker(base + 1, 3001 + base, 3, 8L, (short) 2,
                new EndTransactionMarker(end, 5)));
            base += 2;
        }
        write(directory, batches);
        try (var index = new TransactionIndex(0, new File(directory, NAME + ".txnindex"))) {
            index.append(new AbortedTxn(8L, base - 2, base - 1, base - 2));
        }
        var producers = new ProducerStateManager(new TopicPartition("records", 0), directory, 900_000,
            new ProducerStateManagerConfig(86_400_000, false), Time.SYSTEM);
        for (MemoryRecords batch : batches) {
            for (RecordBatch one : batch.batches()) {
                if (one.hasProducerId()) {
                    var update = producers.prepareUpdate(one.producerId(), AppendOrigin.REPLICATION);
                    update.append(one, Optional.empty());
                    producers.update(update);
                }
            }
        }
        producers.updateMapEndOffset(base);
        producers.takeSnapshot();
    }

    private static void write(File directory, List<MemoryRecords> batches) throws Exception {
        // An entry for every batch.
        var config = new LogConfig(Map.of("index.interval.bytes", 0));
        try (LogSegment segment = LogSegment.open(directory, 0, config, Time.SYSTEM, 0, false)) {
            for (MemoryRecords batch : batches) {
                segment.append(batch.batches().iterator().next().lastOffset(), batch);
            }
            segment.onBecomeInactiveSegment();
            segment.flush();
        }
    }

    private static List<SimpleRecord> groups() throws Exception {
        List<SimpleRecord> records = new ArrayList<>();
        for (CoordinatorRecordType type : CoordinatorRecordType.values()) {
            records.addAll(variants(type::newRecordKey, type::newRecordValue));
        }
        var key = MessageUtil.toCoordinatorTypePrefixedBytes(new GroupMetadataKey().setGroup("members"));
        var partitions = List.of(new TopicPartition("t", 0), new TopicPartition("t", 2));
        var subscription = new Subscription(List.of("t", "u"), ByteBuffer.wrap(bytes("mine")), partitions, 4, Optional.of("rack"));
        for (short version = -1; version <= 3; version++) {
            // -1: bytes that are no subscription stay as they are.
            byte[] told = version < 0 ? new byte[] {0, 1, 9} : ConsumerProtocol.serializeSubscription(subscription, version).array();
            byte[] given = version < 0 ? new byte[0] : ConsumerProtocol.serializeAssignment(new Assignment(partitions), version).array();
            var member = new MemberMetadata().setMemberId("m").setClientId("c").setClientHost("/::1")
                .setSubscription(told).setAssignment(given);
            var value = new GroupMetadataValue().setProtocolType("consumer").setProtocol("range").setMembers(List.of(member));
            records.add(new SimpleRecord(0, key, MessageUtil.toVersionPrefixedBytes((short) 3, value)));
        }
        records.add(new SimpleRecord(0, key, new byte[] {0, 99}));
        records.add(new SimpleRecord(0, new byte[] {0, 9, 1}, bytes("another")));
        return records;
    }

    private static List<SimpleRecord> transactions() throws Exception {
        var type = org.apache.kafka.coordinator.transaction.generated.CoordinatorRecordType.TRANSACTION_LOG;
        List<SimpleRecord> records = variants(type::newRecordKey, type::newRecordValue);
        return records;
    }

    private static List<SimpleRecord> variants(Supplier<ApiMessage> keys, Supplier<ApiMessage> values) throws Exception {
        List<SimpleRecord> records = new ArrayList<>();
        ApiMessage key = keys.get();
        fill(key);
        byte[] keyBytes = MessageUtil.toCoordinatorTypePrefixedBytes(key);
        records.add(new SimpleRecord(0, keyBytes, null));
        for (Written written : messages(values)) {
            records.add(new SimpleRecord(0, keyBytes, MessageUtil.toVersionPrefixedBytes(written.version(), written.message())));
        }
        return records;
    }

    private record Written(ApiMessage message, short version) {
    }

    private static List<Written> messages(Supplier<ApiMessage> values) throws Exception {
        List<Written> messages = new ArrayList<>();
        ApiMessage untouched = values.get();
        for (short version = untouched.lowestSupportedVersion(); version <= untouched.highestSupportedVersion(); version++) {
            messages.add(new Written(untouched, version));
            for (boolean nulls : new boolean[] {false, true}) {
                ApiMessage value = values.get();
                short written = version;
                for (Method setter : setters(value.getClass())) {
                    Object before = value.getClass().getMethod(getter(setter)).invoke(value);
                    if (!nulls || !accepts(value, setter, null, written)) {
                        // A field that the version does not have stays as it was.
                        if (!accepts(value, setter, sample(setter.getGenericParameterTypes()[0]), written)) {
                            setter.invoke(value, before);
                        }
                    }
                }
                messages.add(new Written(value, version));
            }
        }
        return messages;
    }

    private static String getter(Method setter) {
        return setter.getName().substring(3, 4).toLowerCase() + setter.getName().substring(4);
    }

    private static boolean accepts(ApiMessage message, Method setter, Object value, short version) throws Exception {
        if (value == null && setter.getParameterTypes()[0].isPrimitive()) {
            return false;
        }
        setter.invoke(message, value);
        try {
            MessageUtil.toVersionPrefixedBytes(version, message);
            return true;
        } catch (RuntimeException unwritable) {
            return false;
        }
    }

    private static List<Method> setters(Class<?> type) {
        return Arrays.stream(type.getMethods())
            .filter(method -> method.getName().startsWith("set") && method.getParameterCount() == 1)
            .sorted(Comparator.comparing(Method::getName)).toList();
    }

    private static void fill(Object message) throws Exception {
        for (Method setter : setters(message.getClass())) {
            setter.invoke(message, sample(setter.getGenericParameterTypes()[0]));
        }
    }

    private static Object sample(Type type) throws Exception {
        if (type instanceof ParameterizedType list) {
            Type element = list.getActualTypeArguments()[0];
            return List.of(sample(element), sample(element));
        } else if (type == String.class) {
            return "ein \"Text\"\t größer";
        } else if (type == Uuid.class) {
            return new Uuid(0x4d6b5533L, 0x4f4445L);
        } else if (type == byte[].class) {
            return new byte[] {0, 1, (byte) 0xff, 3};
        } else if (type == boolean.class) {
            return true;
        } else if (type == byte.class || type == Byte.class) {
            return (byte) 3;
        } else if (type == short.class || type == Short.class) {
            return (short) 300;
        } else if (type == int.class || type == Integer.class) {
            return 40_000;
        } else if (type == long.class || type == Long.class) {
            return 5_000_000_000L;
        } else if (type == double.class) {
            return 1024.5;
        }
        Object message = ((Class<?>) type).getConstructor().newInstance();
        fill(message);
        return message;
    }
}
