//! Which nodes are not connected any more: remembered, so that a controller that is elected because another one died knows
//! of whose death it must speak.

use corelane_core::{controller::Parting, ids::NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parted {
    nodes: BTreeMap<NodeId, Parting>,
}

impl Parted {
    /// A voter or broker has parted. What was certain stays so.
    pub fn note(&mut self, node: NodeId, parting: Parting) {
        let known = self.nodes.entry(node).or_insert(parting);
        if parting == Parting::Ended {
            *known = parting;
        }
    }

    /// A node was heard of.
    pub fn heard(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// All of them.
    pub fn nodes(&self) -> Vec<(NodeId, Parting)> {
        self.nodes.iter().map(|(node, parting)| (*node, *parting)).collect()
    }

    /// Whether so many of the voters have ended that the others elect no leader.
    pub fn leaves_no_majority(&self, voters: &[NodeId]) -> bool {
        let ended = voters.iter().filter(|voter| self.nodes.get(voter) == Some(&Parting::Ended)).count();
        ended * 2 >= voters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_node_that_parted_holds_until_it_is_heard_of() {
        let mut parted = Parted::default();
        parted.note(NodeId(2), Parting::Broken);
        parted.note(NodeId(3), Parting::Ended);
        parted.note(NodeId(3), Parting::Broken);
        assert_eq!(parted.nodes(), [(NodeId(2), Parting::Broken), (NodeId(3), Parting::Ended)]);
        parted.heard(NodeId(3));
        assert_eq!(parted.nodes(), [(NodeId(2), Parting::Broken)]);
    }

    #[test]
    fn without_the_majority_of_the_voters_nothing_can_be_decided() {
        let three = [NodeId(1), NodeId(2), NodeId(3)];
        let mut parted = Parted::default();
        parted.note(NodeId(1), Parting::Ended);
        parted.note(NodeId(2), Parting::Broken);
        parted.note(NodeId(9), Parting::Ended);
        assert!(!parted.leaves_no_majority(&three), "a broken connection may be mended");
        parted.note(NodeId(2), Parting::Ended);
        assert!(parted.leaves_no_majority(&three));
        assert!(parted.leaves_no_majority(&[NodeId(1), NodeId(4)]), "two decide together");
    }
}
