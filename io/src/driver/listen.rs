//! Binding: one listening socket per accepting shard and address, shared by SO_REUSEPORT.

use super::settings::{DriverError, DriverSettings};
use corelane_seam::ListenerId;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

/// As large as a burst of reconnecting clients; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;
const RETRY: Duration = Duration::from_millis(20);

/// One address: where it is really bound, and a socket for each accepting shard.
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<OwnedFd>,
}

/// Binds every address for the shards that accept there.
pub(super) fn bind_all(settings: &DriverSettings) -> Result<Vec<Bound>, DriverError> {
    let accepting =
        |id: ListenerId| settings.shards.iter().filter(|shard| shard.listens.contains(&id)).count();
    let mut all = Vec::new();
    for (id, address) in (0..).map(ListenerId).zip(&settings.listeners) {
        let shards = accepting(id);
        if shards == 0 {
            return Err(DriverError::Settings(format!("no shard listens on {address}")));
        }
        all.push(bind(*address, shards, settings.bind_patience)?);
    }
    Ok(all)
}

fn bind(address: SocketAddr, shards: usize, patience: Duration) -> Result<Bound, DriverError> {
    // SO_REUSEPORT would let a second broker take a share of our connections, so first bind without it. The kernel lets
    // go of a listener some time after its process died, hence the patience.
    let deadline = Instant::now() + patience;
    while address.port() != 0 {
        match listening(address, false) {
            Ok(_) => break,
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Err(DriverError::Listen { address, error });
            }
            Err(_) if Instant::now() < deadline => thread::sleep(RETRY),
            Err(_) => return Err(DriverError::AddressInUse { address }),
        }
    }
    let failed = |error| DriverError::Listen { address, error };
    let mut bound = address;
    let mut sockets = Vec::new();
    for _ in 0..shards {
        let socket = listening(bound, true).map_err(failed)?;
        bound = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(bound);
        sockets.push(OwnedFd::from(socket));
    }
    Ok(Bound { address: bound, sockets })
}

fn listening(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Otherwise connections in TIME_WAIT forbid a restart. It does not allow two listeners.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != std::net::Ipv6Addr::UNSPECIFIED)?;
    }
    // Inherited by what is accepted.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}
