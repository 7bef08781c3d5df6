import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after the other, in one JVM, because one for each would take longer than the tools.
 * A line of standard input is one run, {"class": ..., "arguments": [...], "input": ...}; so is a line of the output,
 * {"code": ..., "out": ..., "err": ...}.
 */
public class Tools {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            answers.println(run(JSON.readTree(line)));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static ObjectNode run(JsonNode wanted) throws Exception {
        var out = new ByteArrayOutputStream();
        var err = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(wanted.get("input").asText().getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        var code = new CompletableFuture<Integer>();
        List<Runnable> hooks = new ArrayList<>();
        // A tool that exits must not go on, nor catch what would tell it to: its thread stops where it is.
        Exit.Procedure exit = (status, message) -> {
            code.complete(status);
            while (true) {
                LockSupport.park();
            }
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        Method main = Class.forName(wanted.get("class").asText()).getMethod("main", String[].class);
        String[] arguments = JSON.treeToValue(wanted.get("arguments"), String[].class);
        var thread = new Thread(() -> {
            try {
                main.invoke(null, (Object) arguments);
                code.complete(0);
            } catch (InvocationTargetException thrown) {
                System.err.println(thrown.getCause().getMessage());
                code.complete(1);
            } catch (Throwable thrown) {
                code.completeExceptionally(thrown);
            }
        });
        thread.setDaemon(true);
        thread.start();
        ObjectNode answer = JSON.createObjectNode().put("code", code.get());
        hooks.forEach(Runnable::run);
        System.out.flush();
        System.err.flush();
        return answer.put("out", out.toString(StandardCharsets.UTF_8)).put("err", err.toString(StandardCharsets.UTF_8));
    }
}
