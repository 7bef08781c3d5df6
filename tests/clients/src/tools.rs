//! Kafka's command-line tools in two editions, Apache Kafka's and ours, run with the same arguments.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use serde_json::json;

use crate::{broker::binary, client::jars};

/// How a tool ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The class that is a tool in Apache Kafka.
fn class(tool: &str) -> &'static str {
    match tool {
        "kafka-broker-api-versions" => "org.apache.kafka.tools.BrokerApiVersionsCommand",
        "kafka-cluster" => "org.apache.kafka.tools.ClusterTool",
        "kafka-configs" => "kafka.admin.ConfigCommand",
        "kafka-console-consumer" => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "kafka-console-producer" => "org.apache.kafka.tools.ConsoleProducer",
        "kafka-consumer-groups" => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka-consumer-perf-test" => "org.apache.kafka.tools.ConsumerPerformance",
        "kafka-delete-records" => "org.apache.kafka.tools.DeleteRecordsCommand",
        "kafka-dump-log" => "org.apache.kafka.tools.DumpLogSegments",
        "kafka-features" => "org.apache.kafka.tools.FeatureCommand",
        "kafka-get-offsets" => "org.apache.kafka.tools.GetOffsetShell",
        "kafka-leader-election" => "org.apache.kafka.tools.LeaderElectionCommand",
        "kafka-log-dirs" => "org.apache.kafka.tools.LogDirsCommand",
        "kafka-metadata-quorum" => "org.apache.kafka.tools.MetadataQuorumCommand",
        "kafka-producer-perf-test" => "org.apache.kafka.tools.ProducerPerformance",
        "kafka-storage" => "kafka.tools.StorageTool",
        "kafka-reassign-partitions" => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
        "kafka-topics" => "org.apache.kafka.tools.TopicCommand",
        "kafka-transactions" => "org.apache.kafka.tools.TransactionsCommand",
        other => panic!("which class is {other}?"),
    }
}

/// Apache Kafka's tools in one JVM, as `java/Tools.java` runs them.
pub struct JavaTools {
    jvm: Child,
    runs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl JavaTools {
    /// Starts the JVM.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Tools.java");
        let mut jvm = Command::new("timeout")
            .args(["--kill-after=5", "600", "java", "-XX:TieredStopAtLevel=1", "-cp", &jars()])
            // What they log is not what they say.
            .args([
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.logFile=/dev/null",
            ])
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("java is there: run tests/install-clients");
        let runs = jvm.stdin.take();
        let answers = BufReader::new(jvm.stdout.take().expect("piped"));
        Self { jvm, runs, answers }
    }

    /// Runs one tool to its end.
    ///
    /// # Panics
    ///
    /// When the JVM ends, or answers nonsense.
    pub fn run(&mut self, tool: &str, arguments: &[&str], input: &str) -> Ran {
        let wanted = json!({ "class": class(tool), "arguments": arguments, "input": input });
        let runs = self.runs.as_mut().expect("it is open until the end");
        writeln!(runs, "{wanted}").expect("the JVM reads");
        runs.flush().expect("the JVM reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the JVM answers");
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in {line:?} of {tool} {arguments:?}"))
    }
}

impl Drop for JavaTools {
    fn drop(&mut self) {
        // It ends when there is nothing more to run.
        self.runs = None;
        let _ = self.jvm.wait();
    }
}

/// One of Apache Kafka's tools in a JVM of its own.
///
/// # Panics
///
/// When that cannot be started, or ends by a signal.
#[must_use]
pub fn kafkas_apart(tool: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "java", "-XX:TieredStopAtLevel=1", "-cp", &jars()]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=off").arg(class(tool)).args(arguments);
    let output = command.output().expect("java is there: run tests/install-clients");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs one of ours to its end.
///
/// # Panics
///
/// When the binary is missing, or ends by a signal (after two minutes by GNU timeout's).
pub fn ours(tool: &str, arguments: &[&str], input: &str) -> Ran {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=5", "120"]).arg(binary()).arg(tool).args(arguments);
    let mut child = piped(limited).spawn().expect("GNU timeout");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    // A tool that reads nothing closes the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("a child of this process");
    writer.join().expect("writing does not panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

/// One of ours, to be started with pipes.
#[must_use]
pub fn our_command(tool: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg(tool).args(arguments);
    piped(command)
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The tools' links in a directory of their own.
///
/// # Panics
///
/// When they cannot be made.
#[must_use]
pub fn installed(directory: &Path) -> PathBuf {
    let output =
        Command::new(binary()).args(["tools", "install"]).arg(directory).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory.to_owned()
}

/// Both editions side by side.
pub struct Pair {
    java: JavaTools,
    differences: String,
}

impl Pair {
    /// Starts the JVM.
    #[must_use]
    pub fn start() -> Self {
        Self { java: JavaTools::start(), differences: String::new() }
    }

    /// [`Pair::same`], with a JVM of its own: some of Kafka's tools end theirs when they are told nonsense.
    pub fn same_apart(&mut self, tool: &str, arguments: &[&str]) {
        let java = kafkas_apart(tool, arguments);
        let own = ours(tool, arguments, "");
        let seen = |ran: Ran| Ran { err: said(&ran.err), ..ran };
        self.note(tool, arguments, &seen(java), &seen(own));
    }

    /// What Apache Kafka's alone answers.
    pub fn kafkas(&mut self, tool: &str, arguments: &[&str]) -> Ran {
        self.java.run(tool, arguments, "")
    }

    /// Both say the same, in the same order, and end alike. What Apache Kafka's answered.
    pub fn same(&mut self, tool: &str, arguments: &[&str]) -> Ran {
        self.compare(tool, arguments, "", str::to_owned)
    }

    /// [`Pair::same`], whatever the order of the lines: Java's maps have none.
    pub fn same_lines(&mut self, tool: &str, arguments: &[&str]) -> Ran {
        self.compare(tool, arguments, "", |text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        })
    }

    /// [`Pair::same`], but for what `mask` takes out of the standard output.
    pub fn same_but(&mut self, tool: &str, arguments: &[&str], mask: fn(&str) -> String) -> Ran {
        self.compare(tool, arguments, "", mask)
    }

    /// [`Pair::same`], with a standard input.
    pub fn same_with_input(&mut self, tool: &str, arguments: &[&str], input: &str) -> Ran {
        self.compare(tool, arguments, input, str::to_owned)
    }

    /// Both end alike and say the same on standard output; Java's prints what is wrong as a stack trace only, ours as
    /// `sentence`.
    pub fn same_failure(&mut self, tool: &str, arguments: &[&str], input: &str, sentence: &str) {
        let java = self.java.run(tool, arguments, input);
        let own = ours(tool, arguments, input);
        assert!(java.err.contains(sentence), "{java:?}");
        let seen = |ran: Ran, err: &str| Ran { err: err.into(), ..ran };
        // What they log is not what they say.
        let found = own.err.lines().filter(|line| !line.starts_with("[20"));
        let found = found.collect::<Vec<_>>().join("\n");
        self.note(tool, arguments, &seen(java, sentence), &seen(own, &found));
    }

    /// First Apache Kafka's does something, then ours the same to another of the two names that stand for `{}` in the
    /// arguments; what they say is the same but for the name.
    pub fn each(&mut self, tool: &str, arguments: &[&str], names: [&str; 2]) {
        self.each_but(tool, arguments, names, str::to_owned);
    }

    /// [`Pair::each`], but for what `mask` takes out of the standard output.
    pub fn each_but(&mut self, tool: &str, arguments: &[&str], names: [&str; 2], mask: fn(&str) -> String) {
        let with =
            |name: &str| -> Vec<String> { arguments.iter().map(|it| it.replace("{}", name)).collect() };
        let [java, own] = names.map(with);
        let java: Vec<&str> = java.iter().map(String::as_str).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let expected = self.java.run(tool, &java, "");
        let found = ours(tool, &own, "");
        let rename = |text: &str| text.replace(names[0], names[1]);
        let expected =
            Ran { code: expected.code, out: mask(&rename(&expected.out)), err: rename(&said(&expected.err)) };
        let found = Ran { code: found.code, out: mask(&found.out), err: said(&found.err) };
        self.note(tool, &own, &expected, &found);
    }

    fn compare(&mut self, tool: &str, arguments: &[&str], input: &str, order: fn(&str) -> String) -> Ran {
        let java = self.java.run(tool, arguments, input);
        let own = ours(tool, arguments, input);
        let seen = |ran: &Ran| Ran { code: ran.code, out: order(&ran.out), err: said(&ran.err) };
        self.note(tool, arguments, &seen(&java), &seen(&own));
        java
    }

    fn note(&mut self, tool: &str, arguments: &[&str], expected: &Ran, found: &Ran) {
        if expected != found {
            let arguments = arguments.join(" ");
            let _ =
                writeln!(self.differences, "{tool} {arguments}\n  Kafka: {expected:?}\n  ours:  {found:?}");
        }
    }

    /// After the last comparison.
    ///
    /// # Panics
    ///
    /// When there was a difference, with all of them.
    pub fn finish(self) {
        assert!(self.differences.is_empty(), "the tools differ:\n{}", self.differences);
    }
}

/// What standard error says: without logs, stack traces, the table of the usage, whose descriptions are our own, and the
/// spaces of what argparse4j says.
fn said(err: &str) -> String {
    let is_trace = |line: &str| {
        line.starts_with("\tat ")
            || line.starts_with("\t... ")
            || line.starts_with("Caused by: ")
            || line.starts_with("[20")
            || (["java.", "org.", "kafka.", "joptsimple."].iter().any(|package| line.starts_with(package))
                && line
                    .split(':')
                    .next()
                    .is_some_and(|class| class.ends_with("Exception") || class.ends_with("Error")))
    };
    let before_usage = err.lines().take_while(|line| !line.starts_with("Option "));
    let lines: Vec<&str> = before_usage.map(str::trim_end).filter(|line| !is_trace(line)).collect();
    let text = lines.join("\n").trim().to_owned();
    // argparse4j justifies its lines.
    if text.starts_with("usage: ") { text.replace(char::is_whitespace, "") } else { text }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn traces_logs_and_the_usage_are_left_out() {
        let err = "wrong\njava.lang.IllegalArgumentException: wrong\n\tat a.b(C.java:1)\n[2026-01-01 00:00:00,000] WARN x\n\
                   Option      Description\n--list      List.\n";
        assert_eq!(said(err), "wrong");
    }
}
