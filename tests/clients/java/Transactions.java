import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes to partition 0 of a topic, ADDRESS TOPIC: transactions of two producers, one within the other, of which the first is
 * committed and the second aborted, a record of no transaction between them, and a transaction that stays open.
 */
public class Transactions {
    private static String address;
    private static String topic;

    public static void main(String[] arguments) throws Exception {
        address = arguments[0];
        topic = arguments[1];
        var first = producer("first");
        var second = producer("second");
        for (int round = 0; round < 3; round++) {
            first.beginTransaction();
            send(first, "committed " + round);
            second.beginTransaction();
            send(second, "aborted " + round);
            send(first, "committed, too, " + round);
            try (var plain = new KafkaProducer<>(Map.<String, Object>of("bootstrap.servers", address), new StringSerializer(),
                    new StringSerializer())) {
                send(plain, "of no transaction " + round);
            }
            first.commitTransaction();
            send(second, "aborted, too, " + round);
            second.abortTransaction();
        }
        var last = producer("last");
        last.beginTransaction();
        send(last, "open");
        // What is closed is aborted.
        Runtime.getRuntime().halt(0);
    }

    private static KafkaProducer<String, String> producer(String id) {
        var producer = new KafkaProducer<>(Map.<String, Object>of("bootstrap.servers", address, "transactional.id", id,
            "transaction.timeout.ms", 600_000), new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    private static void send(KafkaProducer<String, String> producer, String value) throws Exception {
        producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
    }
}
