import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's Java client with its default settings; the contract is in ../src/lib.rs. */
public class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        String address = arguments[1];
        String topic = arguments[2];
        switch (arguments[0]) {
            case "create" -> create(address, topic, Integer.parseInt(arguments[3]));
            case "produce" -> produce(address, topic);
            case "consume" -> replay(address, topic, "beginning");
            case "grow" -> grow(address, topic, Integer.parseInt(arguments[3]));
            case "member" -> member(address, topic, arguments[3], arguments[4]);
            case "replay" -> replay(address, topic, arguments[3]);
            case "transform" -> transform(address, topic, arguments[3], arguments[4], arguments[5]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void create(String address, String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), Optional.empty()))).all().get();
        }
    }

    private static void produce(String address, String topic) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var sent = new ArrayList<Future<RecordMetadata>>();
        Map<String, Object> settings = Map.of("bootstrap.servers", address);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                JsonNode node = JSON.readTree(line);
                var record = new ProducerRecord<>(topic, text(node.get("key")), text(node.get("value")));
                for (JsonNode header : node.get("headers")) {
                    record.headers().add(header.get(0).asText(), header.get(1).asText().getBytes(StandardCharsets.UTF_8));
                }
                sent.add(producer.send(record));
            }
        }
        var out = output();
        for (Future<RecordMetadata> future : sent) {
            ObjectNode place = JSON.createObjectNode();
            place.put("partition", future.get().partition()).put("offset", future.get().offset());
            out.println(place);
        }
        out.flush();
    }

    private static void grow(String address, String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(partitions))).all().get();
        }
    }

    private static void member(String address, String topic, String group, String protocol) throws Exception {
        var out = output();
        var settings = new HashMap<String, Object>(Map.of(
                "bootstrap.servers", address,
                "group.id", group,
                "group.protocol", protocol,
                "auto.offset.reset", "earliest",
                "enable.auto.commit", false,
                "metadata.max.age.ms", 1000));
        if (protocol.equals("classic")) {
            settings.putAll(Map.of("session.timeout.ms", 6000, "heartbeat.interval.ms", 1000));
        }
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            Set<TopicPartition> told = null;
            consumer.subscribe(List.of(topic));
            while (!ended()) {
                var records = consumer.poll(Duration.ofMillis(200));
                if (!consumer.assignment().equals(told)) {
                    told = Set.copyOf(consumer.assignment());
                    ObjectNode node = JSON.createObjectNode();
                    ArrayNode assigned = node.putArray("assigned");
                    told.stream().map(TopicPartition::partition).sorted().forEach(assigned::add);
                    out.println(node);
                }
                for (ConsumerRecord<String, String> record : records) {
                    ObjectNode node = JSON.createObjectNode();
                    out.println(node.put("partition", record.partition()).put("offset", record.offset()));
                }
                if (!records.isEmpty()) {
                    commit(consumer, records, out);
                }
                out.flush();
            }
        }
    }

    /** Whether whoever started this member has closed its standard input: known by a thread that waits for it. */
    private static boolean ended() {
        if (stdin == null) {
            stdin = CompletableFuture.runAsync(() -> {
                try {
                    System.in.read();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            });
        }
        return stdin.isDone();
    }

    private static CompletableFuture<Void> stdin;

    private static void commit(KafkaConsumer<?, ?> consumer, ConsumerRecords<?, ?> records, PrintWriter out) {
        try {
            consumer.commitSync();
        } catch (CommitFailedException | RebalanceInProgressException error) {
            // The group is about to share anew: whoever gets the partitions reads them again.
            return;
        }
        ObjectNode node = JSON.createObjectNode();
        ArrayNode committed = node.putArray("committed");
        for (TopicPartition partition : records.partitions()) {
            var of = records.records(partition);
            committed.addArray().add(partition.partition()).add(of.get(of.size() - 1).offset() + 1);
        }
        out.println(node);
    }

    private static void transform(String address, String from, String to, String group, String id) throws Exception {
        var out = output();
        Map<String, Object> producing = Map.of(
                "bootstrap.servers", address, "transactional.id", id, "transaction.timeout.ms", 20_000);
        Map<String, Object> consuming = Map.of(
                "bootstrap.servers", address,
                "group.id", group,
                "auto.offset.reset", "earliest",
                "enable.auto.commit", false,
                "isolation.level", "read_committed",
                "max.poll.records", 20);
        try (var producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer());
                var consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
            // Before any offset is looked up: what was left open is ended by it.
            producer.initTransactions();
            consumer.assign(consumer.partitionsFor(from).stream().map(it -> new TopicPartition(from, it.partition())).toList());
            while (!ended()) {
                var records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                records.forEach(record -> producer.send(new ProducerRecord<>(to, record.partition(), record.key(), record.value())));
                producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
                producer.commitTransaction();
                out.println(JSON.createObjectNode().put("transformed", records.count()));
                out.flush();
            }
        }
    }

    private static void replay(String address, String topic, String from) {
        var out = output();
        Map<String, Object> settings = Map.of("bootstrap.servers", address);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> partitions =
                    consumer.partitionsFor(topic).stream().map(it -> new TopicPartition(topic, it.partition())).toList();
            consumer.assign(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            String[] words = from.split(":");
            switch (words[0]) {
                case "beginning" -> consumer.seekToBeginning(partitions);
                case "offset" -> partitions.forEach(partition -> consumer.seek(partition, Long.parseLong(words[1])));
                default -> {
                    var asked = new HashMap<TopicPartition, Long>();
                    partitions.forEach(partition -> asked.put(partition, Long.parseLong(words[1])));
                    consumer.offsetsForTimes(asked).forEach((partition, found) ->
                            consumer.seek(partition, found == null ? ends.get(partition) : found.offset()));
                }
            }
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                consumer.poll(Duration.ofSeconds(1)).forEach(record -> out.println(stored(record)));
            }
        }
        out.flush();
    }

    private static ObjectNode stored(ConsumerRecord<String, String> record) {
        ObjectNode node = JSON.createObjectNode();
        node.put("partition", record.partition()).put("offset", record.offset());
        node.put("key", record.key()).put("value", record.value());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(new String(header.value(), StandardCharsets.UTF_8));
        }
        return node;
    }

    private static String text(JsonNode node) {
        return node.isNull() ? null : node.asText();
    }

    private static PrintWriter output() {
        return new PrintWriter(new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8)));
    }
}
