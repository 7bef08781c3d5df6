//! Receiving, as far as the drivers do it alike.

use bytes::BytesMut;
use rustix::net::{RecvFlags, recv};
use std::{io, net::SocketAddr, os::fd::BorrowedFd};

/// Room made for a connection that was given an empty buffer: an idle connection then holds no memory.
const RECEIVE_ROOM: usize = 16 << 10;

/// Receives what is there into the spare capacity, which is made if there is none. How much that was, and how much it
/// could have been.
pub(crate) fn receive_now(socket: BorrowedFd<'_>, buffer: &mut BytesMut) -> io::Result<(usize, usize)> {
    if buffer.spare_capacity_mut().is_empty() {
        buffer.reserve(RECEIVE_ROOM);
    }
    let space = buffer.spare_capacity_mut();
    let room = space.len();
    let bytes = recv(socket, space, RecvFlags::DONTWAIT)?.1;
    // SAFETY: the kernel has written `bytes` bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + bytes) };
    Ok((bytes, room))
}

/// Errors that say nothing of the connection.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Peers go away all the time; a file that ends too early is ours to answer for.
pub(crate) fn log_failure(error: &io::Error, peer: SocketAddr) {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            tracing::error!(%peer, %error, "a response was cut short: connection closed");
        }
        _ => tracing::debug!(%peer, %error, "connection failed"),
    }
}
