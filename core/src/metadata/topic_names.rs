//! What a topic may be called.

/// Bytes of a topic's name: a partition's directory in Kafka is the name, a dash and a number, and file systems
/// allow 255.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Whether a topic is one of the broker's own, which clients may read but not produce to, and consumers that match
/// patterns leave out.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// Whether a topic may have this name; if not, Kafka's words for why.
pub fn validate_topic_name(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." {
        "'.' is not allowed".to_owned()
    } else if name == ".." {
        "'..' is not allowed".to_owned()
    } else if name.len() > TOPIC_NAME_BYTES_MAX {
        format!("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// Two topics whose keys are equal cannot both exist: metrics write `.` as `_`. A name with neither collides with
/// none and has no key.
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
