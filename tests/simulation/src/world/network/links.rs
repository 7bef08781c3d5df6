//! What goes wrong between two machines: nothing passes in one direction or both, or slowly. Clients are not behind
//! such a link.

use super::{Far, Happening, Packet};
use crate::world::{Event, ProcessId, Shard, World};
use corelane_seam::ConnectionId;
use std::collections::BTreeMap;

/// The longest that TCP waits before it sends again what did not arrive, once it could, in ns.
const RETRANSMISSION_NS_MAX: u64 = 400_000_000;

/// In how many of a million cases a connection that a cut held up was given up meanwhile.
const GIVEN_UP: u32 = 250_000;

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut: bool,
    slow_ns: u64,
}

/// The state of each direction between two processes in which something is wrong.
#[derive(Debug, Default)]
pub(in crate::world) struct Links(BTreeMap<(ProcessId, ProcessId), Link>);

impl Links {
    pub(super) fn is_cut(&self, from: ProcessId, to: ProcessId) -> bool {
        self.0.get(&(from, to)).is_some_and(|link| link.cut)
    }

    pub(super) fn slow_ns(&self, from: ProcessId, to: ProcessId) -> u64 {
        self.0.get(&(from, to)).map_or(0, |link| link.slow_ns)
    }
}

impl<S: Shard> World<S> {
    /// Nothing that `from` sends arrives at `to` until [`heal`](Self::heal). The other direction is another cut.
    pub fn cut(&mut self, from: ProcessId, to: ProcessId) {
        self.note_fault(&format!("nothing passes from {from} to {to}"));
        self.links.0.entry((from, to)).or_default().cut = true;
    }

    /// Cuts both directions between a process and every other.
    pub fn isolate(&mut self, process: ProcessId) {
        for other in self.others(process) {
            self.cut(process, other);
            self.cut(other, process);
        }
    }

    /// Everything from `from` to `to` takes up to `ns` longer, until [`heal`](Self::heal).
    pub fn slow_link(&mut self, from: ProcessId, to: ProcessId, ns: u64) {
        self.note_fault(&format!("from {from} to {to} takes up to {ns} ns longer"));
        self.links.0.entry((from, to)).or_default().slow_ns = ns;
    }

    /// All is well again from `from` to `to`. Connections go on, but for some that were given up meanwhile.
    pub fn heal(&mut self, from: ProcessId, to: ProcessId) {
        let Some(link) = self.links.0.remove(&(from, to)) else { return };
        self.note_fault(&format!("all passes from {from} to {to}"));
        if !link.cut {
            return;
        }
        let touched: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in touched {
            self.go_on_after_cut(id, from, to);
        }
    }

    /// Heals every link of a process.
    pub fn heal_links_of(&mut self, process: ProcessId) {
        for other in self.others(process) {
            self.heal(process, other);
            self.heal(other, process);
        }
    }

    /// All processes but this one.
    pub fn others(&self, process: ProcessId) -> impl Iterator<Item = ProcessId> + use<S> {
        (0..self.processes.len()).map(ProcessId).filter(move |other| *other != process)
    }

    fn go_on_after_cut(&mut self, id: ConnectionId, from: ProcessId, to: ProcessId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Far::Peer(peer) = &connection.far else { return };
        let (here, there, end) = (connection.process, peer.process, peer.end);
        let dial_waits = peer.dial_waits();
        if (here, there) == (from, to) {
            self.acknowledge(id);
        }
        if dial_waits && [(from, to), (to, from)].contains(&(here, there)) {
            self.soon(id, RETRANSMISSION_NS_MAX, Happening::Dial);
        }
        if (there, here) != (from, to) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let stalled = std::mem::take(&mut connection.stalled);
        if stalled == 0 {
            return;
        }
        if self.rng.chance(GIVEN_UP) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.wire.clear();
            }
            self.in_order(id, Packet::Reset);
            self.in_order(end, Packet::Reset);
            return;
        }
        // Each takes what is next on the wire, so that the order stays.
        for _ in 0..stalled {
            let delay_ns = self.rng.below(RETRANSMISSION_NS_MAX);
            self.schedule_after(delay_ns, Event::Network { connection: id, happening: Happening::Arrive });
        }
    }
}
