//! Clients of Kafka's protocol on the controller's listener: their requests to the front, its questions to the active
//! controller or to the data shards, its answers out.

use super::{
    Operations, QuorumShard,
    control::{Leader, Origin},
};
use bytes::Bytes;
use corelane_core::engine::{Controllers, FrontEffects, GatherId, OwnerResponse, ShardMessage};
use corelane_seam::{ConnectionId, Now, Operation};

impl QuorumShard {
    /// Frames of Kafka's protocol came.
    pub(super) fn asked(&mut self, now: Now, frames: Vec<(ConnectionId, Bytes)>, out: &mut Operations) {
        if frames.is_empty() {
            return;
        }
        self.front.know(self.controllers());
        let mut effects = FrontEffects::default();
        for (connection, frame) in frames {
            self.front.frame(now, connection, frame, &mut effects);
        }
        self.answer_clients(now, effects, out);
    }

    /// A data shard answered the front.
    pub(super) fn owner_answered(
        &mut self,
        now: Now,
        gather: GatherId,
        response: OwnerResponse,
        out: &mut Operations,
    ) {
        let mut effects = FrontEffects::default();
        self.front.owner_answered(now, gather, response, &mut effects);
        self.answer_clients(now, effects, out);
    }

    /// Does what the front wants.
    pub(super) fn answer_clients(&mut self, now: Now, effects: FrontEffects, out: &mut Operations) {
        if let Some(filter) = effects.log_filter {
            self.log.apply(&filter);
        }
        for (gather, request) in effects.asks {
            self.control.ask(now, Origin::Front(gather), request);
        }
        for (to, gather, request) in effects.owner_asks {
            let message = ShardMessage::Ask { gather, request, seen: None };
            out.push(Operation::Message { to, message });
        }
        for (connection, parts) in effects.replies {
            self.server.respond(now, connection, parts, out);
        }
        for (connection, reason) in effects.closes {
            self.server.hang_up(now, connection, &reason, out);
        }
    }

    /// Who the controllers are, as this node knows.
    fn controllers(&self) -> Controllers {
        let active = match self.leader {
            Leader::Here => Some(self.node),
            Leader::There(node) => Some(node),
            Leader::Unknown => None,
        };
        let known = self.addresses.current().into_iter();
        Controllers { active, endpoints: known.map(|(node, (host, port))| (node, host, port)).collect() }
    }
}
