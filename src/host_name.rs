//! What this machine is called: what is told for a listener that names no host.

use std::net::{IpAddr, ToSocketAddrs};

/// The name as Java's `InetAddress.getLocalHost().getCanonicalHostName()` finds it, which is what Kafka tells: the one
/// that the address of this machine's name resolves to, if it leads back to that address. Where names do not resolve
/// that is the bare name, and "localhost" where there is none. Asks resolvers, so it may take as long as those do.
pub fn canonical() -> String {
    let own = dns_lookup::get_hostname().unwrap_or_default();
    if own.is_empty() {
        return "localhost".into();
    }
    let addresses = addresses(&own);
    // As in Java: the first of IPv4, if there is one.
    let Some(address) = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()) else {
        return own;
    };
    match dns_lookup::lookup_addr(address) {
        Ok(name) if self::addresses(&name).contains(address) => name,
        // Whoever hears of the name must be able to resolve it; the machine's own name is what others know best.
        Ok(_) | Err(_) => own,
    }
}

fn addresses(name: &str) -> Vec<IpAddr> {
    (name, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
}
