//! Where the nodes of a cluster stand: network namespaces on a bridge, where links can be cut, or, where this process may
//! not make them, loopback.

use anyhow::{Context, bail, ensure};
use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsRawFd,
    process::Command,
    thread,
};

/// The clients' port of a node in a namespace of its own.
const CLIENT_PORT: u16 = 9092;
/// The controller's.
const CONTROLLER_PORT: u16 = 9093;

/// A network namespace without a name. It is gone with the last process that is in it and this handle, so that nothing is
/// left behind however the test ends, and tests do not meet.
#[derive(Debug)]
struct Namespace(File);

impl Namespace {
    fn new() -> anyhow::Result<Namespace> {
        // A thread of its own: it leaves for the new namespace, and ends there.
        let made = thread::spawn(|| {
            // SAFETY: unshare takes flags and touches no memory.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.join().ok().context("a thread panicked")?;
        Ok(Namespace(file.context("cannot make a network namespace")?))
    }

    /// A name for other programs, for as long as this process holds it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// What a command is started by to run within.
    fn wrapper(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.path())]
    }

    /// Moves this thread, and the threads and processes that it starts from now on.
    fn enter(&self) -> anyhow::Result<()> {
        // SAFETY: setns takes a descriptor, which is open, and flags.
        if unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error()).context("cannot enter a network namespace");
        }
        Ok(())
    }

    fn run(&self, line: &str) -> anyhow::Result<()> {
        let words = self.wrapper().into_iter().chain(line.split_whitespace().map(str::to_owned));
        let words: Vec<String> = words.collect();
        let output = Command::new(&words[0]).args(&words[1..]).output().context("cannot run nsenter")?;
        if !output.status.success() {
            bail!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Ground {
    /// The clients' namespace, which has the bridge; None on loopback.
    clients: Option<Namespace>,
    nodes: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    namespace: Option<Namespace>,
    client: SocketAddr,
    controller: SocketAddr,
}

/// Who a packet is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A node, by its place from 0.
    Node(usize),
    /// The clients.
    Clients,
}

impl Ground {
    /// Namespaces for so many nodes; loopback where this process may not make them, which is told on standard output.
    /// With namespaces this thread moves into that of the clients: it and what it starts can reach the nodes.
    ///
    /// # Errors
    /// When a namespace can be made and not be furnished.
    pub fn new(nodes: usize) -> anyhow::Result<Ground> {
        match Namespace::new() {
            Ok(clients) => Ground::namespaces(clients, nodes),
            Err(error) => {
                println!("on loopback, without cuts: {error:#}");
                Ground::loopback(nodes)
            }
        }
    }

    fn namespaces(clients: Namespace, nodes: usize) -> anyhow::Result<Ground> {
        clients.run("ip link set lo up")?;
        clients.run("ip link add lan type bridge")?;
        clients.run(&format!("ip addr add {}/24 dev lan", Sender::Clients.address()))?;
        clients.run("ip link set lan up")?;
        let mut places = Vec::new();
        for index in 0..nodes {
            let node = Namespace::new()?;
            let address = Sender::Node(index).address();
            let path = node.path();
            clients.run(&format!("ip link add node{index} type veth peer name lan netns {path}"))?;
            clients.run(&format!("ip link set node{index} master lan up"))?;
            node.run("ip link set lo up")?;
            node.run(&format!("ip addr add {address}/24 dev lan"))?;
            node.run("ip link set lan up")?;
            // Finds out now whether there is such a thing here.
            node.run("iptables -w -F INPUT")?;
            places.push(Place {
                namespace: Some(node),
                client: SocketAddr::new(address, CLIENT_PORT),
                controller: SocketAddr::new(address, CONTROLLER_PORT),
            });
        }
        clients.enter()?;
        Ok(Ground { clients: Some(clients), nodes: places })
    }

    /// So many nodes on loopback.
    ///
    /// # Errors
    /// When there are no ports.
    pub fn loopback(nodes: usize) -> anyhow::Result<Ground> {
        // All are held until all are known, so that none comes twice.
        let held: Vec<TcpListener> =
            (0..2 * nodes).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let mut addresses = held.iter().map(TcpListener::local_addr);
        let mut next = || addresses.next().context("an address")?.context("a bound address");
        let nodes = (0..nodes)
            .map(|_| Ok(Place { namespace: None, client: next()?, controller: next()? }))
            .collect::<anyhow::Result<_>>()?;
        Ok(Ground { clients: None, nodes })
    }

    /// Whether links can be cut here.
    pub fn can_cut(&self) -> bool {
        self.clients.is_some()
    }

    /// Where clients reach a node.
    pub fn client_address(&self, node: usize) -> SocketAddr {
        self.nodes[node].client
    }

    /// Where nodes reach its controller.
    pub fn controller_address(&self, node: usize) -> SocketAddr {
        self.nodes[node].controller
    }

    /// What a node's process is started by.
    pub fn wrapper(&self, node: usize) -> Vec<String> {
        self.nodes[node].namespace.as_ref().map(Namespace::wrapper).unwrap_or_default()
    }

    /// From now on no packet of this sender comes to this node.
    ///
    /// # Errors
    /// On loopback, and what iptables says.
    pub fn cut(&self, from: Sender, to: usize) -> anyhow::Result<()> {
        self.namespace(to)?.run(&format!("iptables -w -A INPUT -s {} -j DROP", from.address()))
    }

    /// From now on all packets come again.
    ///
    /// # Errors
    /// What iptables says.
    pub fn heal(&self) -> anyhow::Result<()> {
        for namespace in self.nodes.iter().filter_map(|place| place.namespace.as_ref()) {
            namespace.run("iptables -w -F INPUT")?;
        }
        Ok(())
    }

    fn namespace(&self, node: usize) -> anyhow::Result<&Namespace> {
        ensure!(self.can_cut(), "links of loopback cannot be cut");
        self.nodes[node].namespace.as_ref().context("a namespace")
    }
}

impl Sender {
    /// Within the namespaces.
    fn address(self) -> IpAddr {
        let last = match self {
            Sender::Node(index) => u8::try_from(index + 1).expect("a handful of nodes"),
            Sender::Clients => 254,
        };
        IpAddr::from([10, 77, 0, last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpStream, time::Duration};

    /// Whether a connection comes about; a dropped packet shows as silence.
    fn reaches(address: SocketAddr) -> bool {
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
    }

    /// A listener of a node, made by a thread that goes there.
    fn listener(ground: &Ground, node: usize) -> TcpListener {
        thread::scope(|scope| {
            let listening = scope.spawn(|| {
                ground.namespace(node).expect("namespaces").enter().expect("it may");
                TcpListener::bind(ground.client_address(node)).expect("a port")
            });
            listening.join().expect("no panic")
        })
    }

    #[test]
    fn a_cut_holds_one_way_and_between_those_two_only_until_it_is_healed() {
        let ground = Ground::new(2).expect("a ground");
        if !ground.can_cut() {
            println!("NOT RUN: no network namespaces can be made here");
            return;
        }
        let _listeners = [listener(&ground, 0), listener(&ground, 1)];
        let from_clients = |node| reaches(ground.client_address(node));
        assert!(from_clients(0) && from_clients(1));
        ground.cut(Sender::Clients, 0).expect("a cut");
        assert!(!from_clients(0) && from_clients(1));
        thread::scope(|scope| {
            let node = scope.spawn(|| {
                ground.namespace(1).expect("namespaces").enter().expect("it may");
                reaches(ground.client_address(0))
            });
            assert!(node.join().expect("no panic"), "nodes still reach each other");
        });
        ground.heal().expect("healed");
        assert!(from_clients(0));
    }

    #[test]
    fn on_loopback_every_port_is_another_and_nothing_can_be_cut() {
        let ground = Ground::loopback(3).expect("ports");
        let ports = (0..3).flat_map(|node| [ground.client_address(node), ground.controller_address(node)]);
        assert_eq!(ports.collect::<std::collections::BTreeSet<_>>().len(), 6);
        assert!(ground.cut(Sender::Clients, 0).is_err());
    }
}
