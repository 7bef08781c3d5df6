//! Listeners: where the broker listens, and what it tells others.

/// One of `listeners`, as parsed: `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, upper case, as `listener.security.protocol.map` and Metadata know it.
    pub name: String,
    /// The host or address to bind, without brackets; empty is every interface of both families.
    pub host: String,
    /// The port to bind; 0 lets the kernel choose.
    pub port: u16,
    /// Named in `controller.listener.names`: the quorum's, not for clients.
    pub controller: bool,
}

/// What clients are told for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The listener's name.
    pub name: String,
    /// A host that clients can resolve.
    pub host: String,
    /// A port that clients can reach; 0 means the port that was really bound.
    pub port: u16,
}

/// `NAME://host:port` in parts, the host without brackets and the name in upper case.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<(String, String, u16), String> {
    let malformed = || format!("{text:?} is not of the form NAME://host:port");
    let (name, address) = text.split_once("://").ok_or_else(malformed)?;
    let (host, port) = split_address(address).ok_or_else(malformed)?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err(malformed());
    }
    Ok((name.to_ascii_uppercase(), host, port))
}

/// `host:port` in parts; an IPv6 address may stand in brackets.
pub(super) fn split_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match (host.strip_prefix('['), host.strip_suffix(']')) {
        (Some(_), Some(_)) => &host[1..host.len() - 1],
        (None, None) => host,
        (Some(_), None) | (None, Some(_)) => return None,
    };
    let fits = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':'));
    // A port is digits alone: `+1` reads as a number, and is none here.
    let digits = port.bytes().all(|digit| digit.is_ascii_digit());
    (fits && digits).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// Whether a host means every interface.
pub(super) fn is_wildcard(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hosts_and_ports_are_taken_apart() {
        for (text, name, host, port) in [
            ("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT", "127.0.0.1", 9092),
            ("internal://:29092", "INTERNAL", "", 29092),
            ("EXTERNAL://[::1]:0", "EXTERNAL", "::1", 0),
            ("PLAINTEXT_HOST://kafka-1.example:65535", "PLAINTEXT_HOST", "kafka-1.example", 65535),
        ] {
            assert_eq!(parse(text), Ok((name.into(), host.into(), port)));
        }
    }

    #[test]
    fn what_is_no_listener_is_refused() {
        for text in [
            "",
            "localhost:9092",
            "A://b",
            "A://b:",
            "A://b:65536",
            "A://b:-1",
            "A://b:+1",
            "://b:1",
            "A B://c:1",
            "A://[::1:1",
            "A://b/c:1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_way_of_saying_every_interface_is_known() {
        for host in ["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"] {
            assert!(is_wildcard(host));
        }
        assert!(!is_wildcard("127.0.0.1"));
    }
}
