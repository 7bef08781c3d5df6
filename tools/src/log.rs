//! What a tool says beside its output: on standard error, in the form of Kafka's tools, whose standard output is clean.

/// Something that may be wrong.
pub fn warn(text: &str) {
    line("WARN", text);
}

/// Something that is wrong, which the tool goes on after.
pub fn error(text: &str) {
    line("ERROR", text);
}

fn line(level: &str, text: &str) {
    eprintln!("[{}] {level} {text}", chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f"));
}
