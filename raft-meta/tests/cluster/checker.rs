//! What must hold whatever happens, and what of it did not.

use corelane_core::metadata::{Batch, Image};
use corelane_raft_meta::ProposeError;
use std::collections::{BTreeMap, BTreeSet};

/// Watches all nodes. It sees what they tell, nothing of what is inside.
#[derive(Debug, Default)]
pub struct Checker {
    /// Of each term, as any node told.
    leaders: BTreeMap<u64, i32>,
    /// Of each place in the log: the batch and the image with it, as the first node told.
    applied: BTreeMap<u64, (Batch, Image)>,
    /// The last place that each living process told of.
    last: BTreeMap<i32, u64>,
    /// Proposals under way, and by whom.
    proposed: BTreeMap<u64, i32>,
    /// Proposals that were acknowledged, and their places.
    acknowledged: BTreeMap<u64, u64>,
    /// Proposals that were answered to be without effect.
    refused: BTreeSet<u64>,
    pub violations: Vec<String>,
}

/// What a proposal leaves in the image.
pub fn name(id: u64) -> String {
    format!("proposal-{id}")
}

impl Checker {
    fn violated(&mut self, text: String) {
        self.violations.push(text);
    }

    /// A process began.
    pub fn started(&mut self, node: i32) {
        self.last.remove(&node);
    }

    /// A process ended without a word: what it had under way has no answer.
    pub fn crashed(&mut self, node: i32) {
        self.proposed.retain(|_, by| *by != node);
    }

    pub fn leader(&mut self, term: u64, leader: i32) {
        let known = *self.leaders.entry(term).or_insert(leader);
        if known != leader {
            self.violated(format!("two leaders of term {term}: {known} and {leader}"));
        }
    }

    /// A leader may decide on its image: it holds all that was acknowledged until now.
    pub fn writable(&mut self, node: i32, image: &Image) {
        let lost = self.acknowledged.keys().find(|id| image.feature(&name(**id)) != 1).copied();
        if let Some(lost) = lost {
            self.violated(format!("lost: {node} leads without proposal {lost}"));
        }
    }

    pub fn applied(&mut self, node: i32, offset: u64, batch: &Batch, image: &Image) {
        if self.last.insert(node, offset).is_some_and(|last| last >= offset) {
            self.violated(format!("order: {node} applied {offset} too late"));
        }
        match self.applied.get(&offset) {
            None => {
                self.applied.insert(offset, (batch.clone(), image.clone()));
            }
            Some(known) if (&known.0, &known.1) == (batch, image) => {}
            Some(_) => self.violated(format!("diverged: {node} applied something else at {offset}")),
        }
    }

    pub fn replaced(&mut self, node: i32, image: &Image) {
        let Some(offset) = image.last_applied().map(|offset| offset.0) else { return };
        if self.last.insert(node, offset).is_some_and(|last| last > offset) {
            self.violated(format!("order: {node} went back to {offset}"));
        }
        if self.applied.get(&offset).is_some_and(|(_, known)| known != image) {
            self.violated(format!("diverged: {node} loaded something else at {offset}"));
        }
    }

    pub fn proposed(&mut self, node: i32, id: u64) {
        self.proposed.insert(id, node);
    }

    pub fn answered(&mut self, node: i32, id: u64, result: &Result<u64, ProposeError>) {
        if self.proposed.remove(&id) != Some(node) {
            self.violated(format!("answers: {node} answered {id}, which it was not asked"));
        }
        match result {
            Ok(offset) => {
                if self.last.get(&node).is_none_or(|last| last < offset) {
                    self.violated(format!("answers: {node} answered {id} before it was applied"));
                }
                self.acknowledged.insert(id, *offset);
            }
            Err(ProposeError::LeadershipLost | ProposeError::Stopped | ProposeError::Fatal(_)) => {}
            Err(_) => {
                self.refused.insert(id);
            }
        }
    }

    /// All is quiet: `images` are those of all nodes.
    pub fn settled<'a>(&mut self, images: impl Iterator<Item = &'a Image>) {
        let images: Vec<&Image> = images.collect();
        if images.windows(2).any(|pair| pair[0] != pair[1]) {
            self.violated("diverged: the images differ at the end".to_owned());
        }
        let lost = |id: &&u64| images.iter().any(|image| image.feature(&name(**id)) != 1);
        if let Some(lost) = self.acknowledged.keys().find(lost).copied() {
            self.violated(format!("lost: proposal {lost} at the end"));
        }
        let done = |id: &&u64| images.iter().any(|image| image.feature(&name(**id)) == 1);
        if let Some(done) = self.refused.iter().find(done).copied() {
            self.violated(format!("answers: proposal {done} took effect though it was refused"));
        }
        if let Some((id, node)) = self.proposed.first_key_value() {
            self.violated(format!("answers: {node} never answered {id}"));
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }
}
