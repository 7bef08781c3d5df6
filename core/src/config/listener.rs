//! Listeners: where the broker listens, and what it tells others.

/// One of `listeners`, as parsed: `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, upper case, as `listener.security.protocol.map` and Metadata know it.
    pub name: String,
    /// The host or address to bind; empty or `0.0.0.0`/`::` is every interface (empty means all of both families).
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
