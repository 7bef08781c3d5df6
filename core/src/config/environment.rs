//! The environment of Kafka's container images: `KAFKA_NODE_ID` stands for `node.id`.

use super::source::{Source, Warning};

/// What Kafka's start scripts and images read and no broker does.
const OF_THE_SCRIPTS: [&str; 8] = [
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_MODE",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
];

/// Beginnings of more of them.
const OF_THE_SCRIPTS_PREFIXES: [&str; 3] = ["KAFKA_JMX_", "KAFKA_LOG4J_", "KAFKA_DEBUG_"];

/// The key of a variable, as Kafka's images map it: `_` → `.`, `__` → `_`, `___` → `-`, all in lower case.
/// `None` where the variable is none of ours.
pub fn key(variable: &str) -> Option<String> {
    if variable == "CLUSTER_ID" {
        return Some("corelane.cluster.id".into());
    }
    let mut rest = variable.strip_prefix("KAFKA_")?;
    let mut key = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        // The longest run first: three underscores are a dash, not a dot and an underscore.
        let (taken, written) = match rest.bytes().take_while(|byte| *byte == b'_').take(3).count() {
            3 => (3, '-'),
            2 => (2, '_'),
            1 => (1, '.'),
            _ => (c.len_utf8(), c.to_ascii_lowercase()),
        };
        key.push(written);
        rest = &rest[taken..];
    }
    (!key.is_empty()).then_some(key)
}

/// The entries that an environment makes, in the order of the variables' names, and a warning for those that mean
/// something only to a JVM or to Kafka's scripts.
pub fn entries(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Vec<(Source, String, String)>, Vec<Warning>) {
    let mut variables: Vec<_> = variables.into_iter().collect();
    variables.sort();
    let mut entries = Vec::new();
    let mut warnings = Vec::new();
    for (variable, value) in variables {
        let Some(key) = key(&variable) else { continue };
        let source = Source::Environment { variable: variable.as_str().into() };
        if OF_THE_SCRIPTS.contains(&variable.as_str())
            || OF_THE_SCRIPTS_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
        {
            let text = "has no effect: it speaks to Kafka's start scripts and its JVM".into();
            warnings.push(Warning { source: Some(source), text });
        } else {
            entries.push((source, key, value));
        }
    }
    (entries, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_map_as_in_kafkas_images() {
        for (variable, expected) in [
            ("KAFKA_NODE_ID", "node.id"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "listener.security.protocol.map"),
            ("KAFKA_SSL_KEY__STORE", "ssl.key_store"),
            ("KAFKA_A___B", "a-b"),
            ("KAFKA_A____B", "a-.b"),
            ("KAFKA_CORELANE_SHARDS", "corelane.shards"),
            ("CLUSTER_ID", "corelane.cluster.id"),
        ] {
            assert_eq!(key(variable).as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_variables_are_none_of_ours() {
        for variable in ["PATH", "KAFKA", "KAFKA_", "MY_KAFKA_NODE_ID", "CLUSTER_IDS", "kafka_node_id"] {
            assert_eq!(key(variable), None, "{variable}");
        }
    }

    #[test]
    fn what_speaks_to_a_jvm_only_warns() {
        let variables =
            ["KAFKA_HEAP_OPTS", "KAFKA_JMX_PORT", "KAFKA_LOG4J_LOGGERS", "KAFKA_OPTS", "KAFKA_NODE_ID"];
        let (entries, warnings) = entries(variables.map(|name| (name.to_owned(), "1".to_owned())));
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].1, "node.id");
        assert_eq!(warnings.len(), 4);
        assert!(warnings[0].to_string().starts_with("environment variable KAFKA_HEAP_OPTS: has no effect"));
    }
}
