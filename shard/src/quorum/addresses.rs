//! Where the quorum's nodes are: at one address each, or at one of two, if the configuration says something else than the
//! log. Which of them is out of date nobody knows, so each is tried when the other fails.

use corelane_core::ids::NodeId;
use std::collections::{BTreeMap, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    nodes: BTreeMap<NodeId, VecDeque<(String, u16)>>,
}

impl Addresses {
    /// Takes `HOST:PORT` of all nodes, the one to be tried first before another of the same node. Endpoints were
    /// checked when they were read; what has no port is no address.
    pub fn set(&mut self, endpoints: Vec<(NodeId, String)>) {
        self.nodes.clear();
        for (node, endpoint) in endpoints {
            let Some((host, port)) = endpoint.rsplit_once(':') else { continue };
            let Ok(port) = port.parse() else { continue };
            let address = (host.trim_matches(['[', ']']).to_owned(), port);
            let known = self.nodes.entry(node).or_default();
            if !known.contains(&address) {
                known.push_back(address);
            }
        }
    }

    /// Where to try each of them now.
    pub fn current(&self) -> Vec<(NodeId, (String, u16))> {
        let first =
            |(node, known): (&NodeId, &VecDeque<(String, u16)>)| Some((*node, known.front()?.clone()));
        self.nodes.iter().filter_map(first).collect()
    }

    /// A node was not reached: where else it may be.
    pub fn next(&mut self, node: NodeId) -> Option<(String, u16)> {
        let known = self.nodes.get_mut(&node).filter(|known| known.len() > 1)?;
        known.rotate_left(1);
        known.front().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_addresses_each_is_tried_when_the_other_fails() {
        let mut addresses = Addresses::default();
        let endpoint = |node, text: &str| (NodeId(node), text.to_owned());
        let (log, configured) = (("new".to_owned(), 1), ("::1".to_owned(), 2));
        let all = [endpoint(1, "new:1"), endpoint(1, "[::1]:2"), endpoint(2, "a:3"), endpoint(2, "a:3")];
        addresses.set([&all[..], &[endpoint(3, "")]].concat());
        let second = (NodeId(2), ("a".to_owned(), 3));
        assert_eq!(addresses.current(), [(NodeId(1), log.clone()), second.clone()]);
        assert_eq!(addresses.next(NodeId(1)), Some(configured.clone()));
        assert_eq!(addresses.current(), [(NodeId(1), configured), second]);
        assert_eq!(addresses.next(NodeId(1)), Some(log));
        assert_eq!((addresses.next(NodeId(2)), addresses.next(NodeId(3))), (None, None));
    }
}
