import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Kafka Streams' word count: `WordCount ADDRESS LINES COUNTS GUARANTEE TOTAL` sends the lines of its standard input to
 * the topic LINES, counts their words into the topic COUNTS until the counts there sum up to TOTAL words of all runs so
 * far, and prints them as JSON. Without TOTAL it sends nothing, and counts until its standard input ends. Words end at
 * blanks and colons. Its store is in memory: a second run restores it from the changelog topic.
 */
public class WordCount {
    private static final Duration PATIENCE = Duration.ofSeconds(90);

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        String lines = arguments[1];
        String counts = arguments[2];
        if (arguments.length > 4) {
            send(address, lines);
        }
        var builder = new StreamsBuilder();
        builder.<String, String>stream(lines)
                .flatMapValues(line -> Arrays.asList(line.split("[ :]")))
                .groupBy((key, word) -> word)
                .count(Materialized.as(org.apache.kafka.streams.state.Stores.inMemoryKeyValueStore("words")))
                .toStream()
                .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, address);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[3]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("word-count").toString());
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        // Streams does not leave its group when it closes: the next run waits for this long.
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1000);
        try (var streams = new KafkaStreams(builder.build(), settings)) {
            streams.setUncaughtExceptionHandler(error -> {
                error.printStackTrace();
                return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
                        .SHUTDOWN_CLIENT;
            });
            streams.start();
            if (arguments.length == 4) {
                awaitEnd(streams);
                return;
            }
            Map<String, Long> counted = await(address, counts, Long.parseLong(arguments[4]), streams);
            ObjectNode node = new ObjectMapper().createObjectNode();
            counted.forEach(node::put);
            System.out.println(node);
        }
    }

    private static void send(String address, String topic) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Map<String, Object> settings = Map.of("bootstrap.servers", address);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                producer.send(new ProducerRecord<>(topic, line));
            }
        }
    }

    /** Whoever started this closes its standard input when it is to end. */
    private static void awaitEnd(KafkaStreams streams) throws Exception {
        var waiting = new Thread(() -> {
            try {
                System.in.read();
            } catch (IOException error) {
                // As good as an end.
            }
        });
        waiting.setDaemon(true);
        waiting.start();
        while (waiting.isAlive()) {
            if (streams.state() == KafkaStreams.State.ERROR) {
                throw new IllegalStateException("Streams has ended");
            }
            waiting.join(100);
        }
    }

    /** The latest count of each word, once they sum up to the total. */
    private static Map<String, Long> await(String address, String topic, long total, KafkaStreams streams) {
        var counted = new TreeMap<String, Long>();
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", address, "isolation.level", "read_committed"));
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> partitions =
                    consumer.partitionsFor(topic).stream().map(it -> new TopicPartition(topic, it.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (counted.values().stream().mapToLong(Long::longValue).sum() < total) {
                if (System.nanoTime() > deadline || streams.state() == KafkaStreams.State.ERROR) {
                    throw new IllegalStateException("counted so far, in state " + streams.state() + ": " + counted);
                }
                consumer.poll(Duration.ofMillis(200)).forEach(record -> counted.put(record.key(), record.value()));
            }
        }
        return counted;
    }
}
