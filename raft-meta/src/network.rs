//! How voters talk to each other. A quorum of one has no one to talk to: every call answers that the peer cannot be
//! reached. All of the trait's methods are written out, because two of its defaults are wrong for us: `pre_vote`
//! would grant, and an isolated node would then raise its term for ever; `transfer_leader` would be ignored.

use crate::types::{Peer, TypeConfig};
use corelane_core::metadata::Image;
use openraft::{
    AnyError, RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::{SnapshotOf, VoteOf},
};

/// Makes the peers' lines.
pub(crate) struct Network;

/// The line to one peer.
pub(crate) struct Line {
    peer: u64,
    endpoint: String,
}

impl Line {
    fn unreachable(&self) -> Unreachable<TypeConfig> {
        let text = format!("voter {} ({}): a quorum of one has no peers", self.peer, self.endpoint);
        Unreachable::new(&AnyError::error(text))
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Line;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Line {
        Line { peer: target, endpoint: node.endpoint.clone() }
    }
}

impl RaftNetworkV2<TypeConfig> for Line {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<TypeConfig>,
        _snapshot: SnapshotOf<TypeConfig, Image>,
        _cancel: impl Future<Output = ReplicationClosed> + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(StreamingError::Unreachable(self.unreachable()))
    }

    async fn transfer_leader(
        &mut self,
        _request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }
}
