//! How the quorum's shard ends: let go by the controller, with its data shards, or because it cannot go on.

use super::{Operations, QuorumShard, Stop};
use crate::node::Report;
use corelane_core::{
    engine::{BrokerLife, ShardMessage},
    error::Fatal,
};
use corelane_raft_meta::QuorumInput;
use corelane_seam::{Now, Operation};
use tracing::error;

impl QuorumShard {
    pub(super) fn stop(&mut self, now: Now) {
        if self.stop == Stop::No {
            self.stop = Stop::Asked;
            let is_alone = self.is_alone();
            match &mut self.life {
                // To be let go means to lead nothing more: without anyone to take over, clients would only be told so.
                Some(life) if !is_alone => life.stop(now.monotonic),
                Some(_) => {}
                // Nothing is kept here; a leader hands over.
                None => {
                    self.stop = Stop::Told;
                    self.quorum.handle(now, QuorumInput::Stop);
                }
            }
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.image.brokers().all(|broker| broker.id == self.node)
    }

    /// Data shards stop when nothing is led here any more, or when there is nobody who could lead it, or decide who does.
    pub(super) fn stop_if_let_go(&mut self, out: &mut Operations) {
        let others_decide = self.voters.iter().any(|voter| *voter != self.node);
        let forsaken = || others_decide && self.parted.leaves_no_majority(&self.voters);
        let may_stop = || self.life.as_ref().is_none_or(BrokerLife::may_stop);
        if self.stop == Stop::Asked && (self.is_alone() || may_stop() || forsaken()) {
            self.tell_stop(out);
        }
    }

    fn tell_stop(&mut self, out: &mut Operations) {
        if self.stop != Stop::Told {
            self.stop = Stop::Told;
            out.extend(self.shards().map(|to| Operation::Message { to, message: ShardMessage::Stop }));
        }
    }

    pub(super) fn fatal(&mut self, now: Now, fatal: Fatal, out: &mut Operations) {
        error!("the metadata quorum cannot go on: {fatal}");
        for to in self.shards() {
            out.push(Operation::Message { to, message: ShardMessage::DirectoryOffline(fatal.clone()) });
        }
        // Whoever started the broker may have gone; nothing depends on it.
        let _ = self.reports.send(Report::Fatal(fatal));
        self.end(now, out);
    }

    pub(super) fn end(&mut self, now: Now, out: &mut Operations) {
        if !self.stopped {
            self.stopped = true;
            self.tell_stop(out);
            self.server.close_all(out);
            self.peers.close_all(now, out, &mut self.ended);
        }
    }
}
