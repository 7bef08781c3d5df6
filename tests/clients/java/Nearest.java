import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

import java.time.Duration;

import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A consumer in a rack (KIP-392): reads so many records of a topic's partition 0 from its beginning, and says how many bytes
 * came from each broker, as its own metrics have it.
 *
 * Arguments: servers, topic, rack, records. Output: a line for each broker, its id and the bytes.
 */
public class Nearest {
    private static final Duration POLL = Duration.ofMillis(500);
    private static final long PATIENCE_NS = 60_000_000_000L;

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("client.rack", arguments[2]);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        long wanted = Long.parseLong(arguments[3]);
        long begun = System.nanoTime();
        try (var consumer = new KafkaConsumer<byte[], byte[]>(settings)) {
            var partition = new TopicPartition(arguments[1], 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long read = 0;
            while (read < wanted) {
                read += consumer.poll(POLL).count();
                if (System.nanoTime() - begun > PATIENCE_NS) {
                    throw new IllegalStateException("only " + read + " records of " + wanted);
                }
            }
            bytes(consumer.metrics()).forEach((node, bytes) -> System.out.println(node + " " + bytes));
        }
    }

    /** Of brokers; negative ids are those that it began with. */
    private static Map<Integer, Long> bytes(Map<MetricName, ? extends Metric> metrics) {
        Map<Integer, Long> found = new TreeMap<>();
        metrics.forEach((name, metric) -> {
            if (name.group().equals("consumer-node-metrics") && name.name().equals("incoming-byte-total")) {
                int node = Integer.parseInt(name.tags().get("node-id").substring("node-".length()));
                // Coordinators have numbers from the other end.
                if (node >= 0 && node < 1000) {
                    found.merge(node, ((Double) metric.metricValue()).longValue(), Long::sum);
                }
            }
        });
        return found;
    }
}
