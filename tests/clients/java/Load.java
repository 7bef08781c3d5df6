import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Load on a cluster by Kafka's Java client; the contract is in tests/faults/src/cluster/load.rs. */
public class Load {
    private static final PrintStream OUT =
            new PrintStream(new BufferedOutputStream(System.out), false, StandardCharsets.UTF_8);

    private static volatile boolean ended;

    public static void main(String[] arguments) throws Exception {
        var waiting = new Thread(Load::awaitEnd);
        waiting.setDaemon(true);
        waiting.start();
        var settings = new HashMap<String, Object>();
        settings.put("bootstrap.servers", arguments[1]);
        int given = arguments[0].equals("produce") ? 6 : 4;
        for (String setting : Arrays.copyOfRange(arguments, given, arguments.length)) {
            String[] pair = setting.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        switch (arguments[0]) {
            case "produce" -> produce(settings, arguments[2], number(arguments[3]), arguments[4], number(arguments[5]));
            case "read" -> read(settings, arguments[2], number(arguments[3]));
            case "group" -> group(settings, arguments[2], arguments[3]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        OUT.flush();
    }

    /** Whoever started this closes its standard input when it is to end. */
    private static void awaitEnd() {
        try {
            System.in.read();
        } catch (IOException error) {
            // As good as an end.
        }
        ended = true;
    }

    private static void produce(Map<String, Object> settings, String topic, int partitions, String name, int rate) {
        long[] sent = new long[partitions];
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            long begun = System.nanoTime();
            while (!ended) {
                long due = (System.nanoTime() - begun) * rate / 1_000_000_000;
                for (long index = Arrays.stream(sent).sum(); index < due; index++) {
                    int partition = (int) (index % partitions);
                    long number = sent[partition]++;
                    String filler = "x".repeat((int) (number * 7919 % 1000));
                    String value = name + ":" + partition + ":" + number + ":" + filler;
                    producer.send(new ProducerRecord<>(topic, partition, null, value), (stored, error) -> {
                        synchronized (OUT) {
                            if (error == null) {
                                long offset = stored.hasOffset() ? stored.offset() : -1;
                                OUT.println("a " + partition + " " + number + " " + offset);
                            } else {
                                OUT.println("u " + partition + " " + number + " " + error);
                            }
                        }
                    });
                }
                flush();
                LockSupport.parkNanos(5_000_000);
            }
        }
        for (int partition = 0; partition < partitions; partition++) {
            OUT.println("s " + partition + " " + sent[partition]);
        }
    }

    private static void read(Map<String, Object> settings, String topic, int partitions) {
        // What was read stays: an offset that is gone is an error and no reason to go elsewhere.
        settings.put("auto.offset.reset", "none");
        List<TopicPartition> all =
                IntStream.range(0, partitions).mapToObj(it -> new TopicPartition(topic, it)).toList();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(all);
            all.forEach(partition -> consumer.seek(partition, 0));
            while (!ended) {
                consumer.poll(Duration.ofMillis(50)).forEach(Load::tell);
                flush();
            }
        }
    }

    private static void group(Map<String, Object> settings, String topic, String group) {
        settings.putAll(Map.of("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!ended) {
                var records = consumer.poll(Duration.ofMillis(50));
                records.forEach(Load::tell);
                if (!records.isEmpty()) {
                    consumer.commitSync();
                    records.partitions().forEach(partition -> {
                        var of = records.records(partition);
                        OUT.println("c " + partition.partition() + " " + (of.get(of.size() - 1).offset() + 1));
                    });
                }
                flush();
            }
        }
    }

    private static void tell(ConsumerRecord<String, String> record) {
        String value = record.value();
        String shown = value.substring(0, value.lastIndexOf(':') + 1);
        OUT.println("r " + record.partition() + " " + record.offset() + " " + value.length() + " " + shown);
    }

    private static int number(String text) {
        return Integer.parseInt(text);
    }

    private static void flush() {
        synchronized (OUT) {
            OUT.flush();
        }
    }
}
