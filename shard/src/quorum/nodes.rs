//! What the quorum's shard and other nodes say to each other: calls, their ends, and connections that are gone.

use super::{
    CORRELATION_BYTES, Operations, QuorumShard,
    control::Leader,
    server::{Call, controller_answer, read_controller_answer},
};
use crate::peers::Ended;
use bytes::Bytes;
use corelane_core::{
    controller::Parting,
    engine::{ControllerRequest, ControllerResponse, DeskEffects, ReplyTo},
    error::ErrorCode,
    ids::NodeId,
    wire::PeerKind,
};
use corelane_raft_meta::QuorumInput;
use corelane_seam::Now;
use tracing::warn;

impl QuorumShard {
    /// What became of calls to other nodes, and of the lines to them.
    pub(super) fn calls_ended(&mut self, now: Now, effects: &mut DeskEffects, out: &mut Operations) {
        for node in self.server.take_parted() {
            self.parted(now, node, false, effects, out);
        }
        for ended in std::mem::take(&mut self.ended) {
            match ended {
                Ended::Up { peer } => self.parted.heard(peer),
                Ended::Down { peer, refused } => {
                    let elsewhere = self.addresses.next(peer).filter(|_| peer != self.node);
                    // Who is perhaps elsewhere has not ended because nobody listens here.
                    self.parted(now, peer, refused && elsewhere.is_none(), effects, out);
                    if let Some(address) = elsewhere {
                        self.peers.locate(now, peer, Some(address), out, &mut self.ended);
                    }
                }
                Ended::Answered { correlation, frame, .. } => {
                    self.answered(now, correlation, frame.slice(CORRELATION_BYTES..), out);
                }
                Ended::Failed { peer, correlation, unsent } => {
                    if let Some(id) = self.quorum_calls.remove(&correlation) {
                        let result = Err(format!("node {peer} cannot be reached"));
                        self.quorum.handle(now, QuorumInput::Answered { id, result });
                    } else if let Some(origin) = self.control.failed(now, correlation, unsent) {
                        let lost = ControllerResponse::Unavailable(ErrorCode::NotController);
                        self.deliver(now, origin, lost, out);
                    }
                }
            }
        }
    }

    fn answered(&mut self, now: Now, correlation: i32, body: Bytes, out: &mut Operations) {
        if let Some(id) = self.quorum_calls.remove(&correlation) {
            return self.quorum.handle(now, QuorumInput::Answered { id, result: Ok(body) });
        }
        let read = read_controller_answer(&body);
        let response =
            read.and_then(|(end, response)| Some((end, ControllerResponse::decode(response).ok()?)));
        let Some((end, response)) = response else {
            warn!("a controller's answer cannot be read");
            if let Some(origin) = self.control.failed(now, correlation, false) {
                self.deliver(
                    now,
                    origin,
                    ControllerResponse::Unavailable(ErrorCode::UnknownServerError),
                    out,
                );
            }
            return;
        };
        let applied_end = self.applied_end();
        if let Some((origin, response)) = self.control.answered(now, correlation, end, applied_end, response)
        {
            self.deliver(now, origin, response, out);
        }
    }

    /// A connection with a node is gone, or was refused. Nobody is left to listen where it is refused, and a node that none
    /// of its own connections speaks for has parted: the quorum and the controller are told.
    fn parted(
        &mut self,
        now: Now,
        node: NodeId,
        refused: bool,
        effects: &mut DeskEffects,
        out: &mut Operations,
    ) {
        if node == self.node {
            // Somebody calls itself so.
            return;
        }
        if self.leader == Leader::There(node) {
            // Its next connection must not wait for the next heartbeat.
            self.hurry(now);
        }
        // An endpoint without an id is called when it is needed: its node may be connected under its own by now.
        if !refused && node.0 >= 0 {
            self.locate_broker(now, node, out);
            self.peers.reach(now, node, out);
        }
        if self.server.hears(node) {
            return;
        }
        self.quorum.handle(now, QuorumInput::Parted { voter: node, ended: refused });
        // Whoever connects can name any number of nodes.
        if self.voters.contains(&node) || self.image.broker(node).is_some() {
            let parting = if refused { Parting::Ended } else { Parting::Broken };
            self.parted.note(node, parting);
            self.desk.parted(now.monotonic, node, parting, effects);
        }
    }

    /// A broker without a vote listens for clients only: there it shows whether its process lives.
    fn locate_broker(&mut self, now: Now, node: NodeId, out: &mut Operations) {
        if self.voters.contains(&node) {
            return;
        }
        let endpoint = self.image.broker(node).and_then(|broker| broker.endpoints.first());
        if let Some(endpoint) = endpoint.map(|it| (it.host.clone(), it.port)) {
            self.peers.locate(now, node, Some(endpoint), out, &mut self.ended);
        }
    }

    pub(super) fn called(&mut self, now: Now, calls: Vec<Call>, out: &mut Operations) {
        let mut effects = DeskEffects::default();
        for Call { id, request } in calls {
            self.parted.heard(request.from);
            match request.kind {
                PeerKind::Quorum => {
                    let (from, body) = (request.from, request.body);
                    self.quorum.handle(now, QuorumInput::Called { id, from, body });
                }
                PeerKind::Controller => match ControllerRequest::decode(&request.body) {
                    Ok(request) if self.leader == Leader::Here => {
                        self.decide(now, ReplyTo::Peer(id), request, &mut effects);
                    }
                    Ok(_) => {
                        let elsewhere = ControllerResponse::Unavailable(ErrorCode::NotController);
                        self.server.answer(id, &controller_answer(0, &elsewhere.encode()), out);
                    }
                    Err(error) => self.server.refuse(now, id, &error, out),
                },
            }
        }
        self.tell(now, effects, out);
    }
}
