//! Connections that this process makes: to peers, few, and rarely.

use super::{context::Context, shared::Done};
use corelane_seam::Token;
use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::Duration,
};

/// How long a peer may take to answer. One that is there answers in a round trip; a name may have several addresses.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks up and connects on a thread of its own: both may hang, and neither may hold up files.
pub(super) fn start<M, P>(token: Token, host: String, port: u16, context: &Context<M, P>) {
    let me = Arc::clone(&context.me);
    let connecting = {
        let me = Arc::clone(&me);
        move || me.post(Done::Connected { token, result: connect(&host, port) })
    };
    if let Err(error) = thread::Builder::new().name("connect".to_owned()).spawn(connecting) {
        me.post(Done::Connected { token, result: Err(error) });
    }
}

fn connect(host: &str, port: u16) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let connected = TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok((stream.into(), address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
