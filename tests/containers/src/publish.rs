//! Published ports: what listens on the host and passes on what it hears to a container.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A port of the host that leads into a container. Dropping it closes the port and all that goes through it, as the end
/// of a container does.
pub struct Published {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    listener: Option<JoinHandle<()>>,
}

impl Published {
    /// Listens in the network namespace of the thread that calls.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn open(host: SocketAddr, container: SocketAddr) -> io::Result<Published> {
        let listener = TcpListener::bind(host)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (end, held) = (Arc::clone(&ended), Arc::clone(&streams));
        let listening = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // What cannot be reached is told by closing.
                let _ = pass_on(client, container, &held);
            }
        });
        Ok(Published { address, ended, streams, listener: Some(listening) })
    }
}

fn pass_on(client: TcpStream, container: SocketAddr, held: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    let server = TcpStream::connect(container)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        held.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
    }
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            // However one side ended, the other is told so.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

impl Drop for Published {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Fails where it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which sees that it is over.
        let _ = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, self.address.port()));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
