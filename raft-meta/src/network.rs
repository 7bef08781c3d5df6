//! How voters talk to each other: openraft's network as calls to other nodes. All of the trait's methods are written
//! out, because two of its defaults are wrong for us: `pre_vote` would grant, and an isolated node would then raise its
//! term for ever; `transfer_leader` would be ignored.

use crate::{
    call_port::{CallPort, Unanswered},
    identity::{Identity, Trust, Word},
    types::{Peer, RaftLogId, RaftVote, TypeConfig},
    wire::{self, Answer, CHUNK_BYTES_MAX, Chunk, Request},
};
use bytes::Bytes;
use corelane_core::metadata::Image;
use futures_util::future::{Either, select};
use openraft::{
    RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RPCTypes},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::{SnapshotOf, VoteOf},
};
use std::{pin::pin, time::Duration};

/// How long the last chunk may take, with which a snapshot is decoded, written and flushed.
const INSTALL_PATIENCE: Duration = Duration::from_secs(30);

/// How long any other chunk may take.
const CHUNK_PATIENCE: Duration = Duration::from_secs(2);

/// Makes the lines to other voters.
#[derive(Clone)]
pub(crate) struct Network {
    pub identity: Identity,
    pub port: CallPort,
    /// How long an append with entries may take: openraft's own limit is a heartbeat's, and a flush on a busy disk
    /// takes longer. Not longer than an election, or a lost append would.
    pub append_patience: Duration,
}

/// The line to one voter.
pub(crate) struct Line {
    peer: u64,
    network: Network,
}

/// Why a call gave nothing that openraft may be told.
struct Trouble {
    peer: u64,
    what: Unanswered,
    patience: Duration,
}

impl Trouble {
    fn unreachable(&self) -> Option<Unreachable<TypeConfig>> {
        match &self.what {
            Unanswered::Failed(reason) => {
                Some(Unreachable::from_string(format!("voter {}: {reason}", self.peer)))
            }
            Unanswered::TimedOut => None,
        }
    }

    fn timeout(&self, node: u64, action: RPCTypes) -> Timeout<TypeConfig> {
        Timeout { action, id: node, target: self.peer, timeout: self.patience }
    }
}

impl Line {
    fn trouble(&self, reason: String) -> Trouble {
        Trouble { peer: self.peer, what: Unanswered::Failed(reason), patience: Duration::ZERO }
    }

    fn rpc_error(&self, trouble: &Trouble, action: RPCTypes) -> RPCError<TypeConfig> {
        match trouble.unreachable() {
            Some(unreachable) => RPCError::Unreachable(unreachable),
            None => RPCError::Timeout(trouble.timeout(self.network.identity.node(), action)),
        }
    }

    /// The answer of the voter that is meant, if it counts.
    async fn ask(&self, request: Request, patience: Duration) -> Result<Answer, Trouble> {
        let Line { peer, network: Network { identity, port, .. } } = self;
        let body = request.encode(&identity.head(*peer));
        let answered = port.call(*peer, body, patience).await;
        let body = answered.map_err(|what| Trouble { peer: *peer, what, patience })?;
        let refused = |reason: String| {
            identity.refuse(*peer, &reason);
            self.trouble(reason)
        };
        let (head, rest) = wire::open(&body).map_err(|why| refused(format!("its answer is none: {why}")))?;
        // A refusal says more than who refuses.
        let answer = Answer::decode(rest).map_err(|why| refused(format!("its answer is none: {why}")))?;
        if let Answer::Refused(reason) = answer {
            return Err(refused(reason));
        }
        match identity.check(&head, *peer, Word::Answer).map_err(refused)? {
            Trust::Known => {
                identity.accept(*peer);
                Ok(answer)
            }
            Trust::New => Err(self.trouble("its directory is not recorded yet".to_owned())),
        }
    }

    fn strange(&self, answer: &Answer) -> Trouble {
        self.trouble(format!("{answer:?} answers another question"))
    }

    async fn ballot(
        &self,
        request: Request,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let answer = self.ask(request, option.soft_ttl()).await;
        let trouble = match answer {
            Ok(Answer::Vote { vote, granted, last }) => {
                let last = last.map(RaftLogId::from);
                return Ok(VoteResponse::new(RaftVote::from(vote), last, granted));
            }
            Ok(other) => self.strange(&other),
            Err(trouble) => trouble,
        };
        Err(self.rpc_error(&trouble, RPCTypes::Vote))
    }

    /// Sends a snapshot chunk by chunk, each when the one before was taken.
    async fn send_snapshot(
        &self,
        vote: RaftVote,
        snapshot: SnapshotOf<TypeConfig, Image>,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let image = Bytes::from(snapshot.snapshot.encode());
        let mut start = 0;
        loop {
            let end = image.len().min(start + CHUNK_BYTES_MAX);
            let is_last = end == image.len();
            let chunk = Request::Chunk(Chunk {
                vote,
                meta: snapshot.meta.clone(),
                offset: start as u64,
                data: image.slice(start..end),
                is_last,
            });
            let patience = if is_last { INSTALL_PATIENCE } else { CHUNK_PATIENCE };
            let trouble = match self.ask(chunk, patience).await {
                Ok(Answer::Snapshot { vote: theirs }) => {
                    let theirs = RaftVote::from(theirs);
                    if is_last || theirs > vote {
                        return Ok(SnapshotResponse::new(theirs));
                    }
                    start = end;
                    continue;
                }
                Ok(other) => self.strange(&other),
                Err(trouble) => trouble,
            };
            return Err(match trouble.unreachable() {
                Some(unreachable) => StreamingError::Unreachable(unreachable),
                None => StreamingError::Timeout(
                    trouble.timeout(self.network.identity.node(), RPCTypes::InstallSnapshot),
                ),
            });
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Line;

    async fn new_client(&mut self, target: u64, _node: &Peer) -> Line {
        Line { peer: target, network: self.clone() }
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &Peer) -> Line {
        let network = Network { append_patience: Duration::ZERO, ..self.clone() };
        Line { peer: target, network }
    }
}

impl RaftNetworkV2<TypeConfig> for Line {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let patience = option.soft_ttl().max(self.network.append_patience);
        let trouble = match self.ask(Request::Append(request), patience).await {
            Ok(Answer::Append(appended)) => match appended.open(previous, last) {
                Ok(response) => return Ok(response),
                Err(reason) => self.trouble(reason),
            },
            Ok(other) => self.strange(&other),
            Err(trouble) => trouble,
        };
        Err(self.rpc_error(&trouble, RPCTypes::AppendEntries))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ballot(Request::Vote(request), option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ballot(Request::PreVote(request), option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, Image>,
        cancel: impl Future<Output = ReplicationClosed> + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        match select(pin!(cancel), pin!(self.send_snapshot(vote, snapshot))).await {
            Either::Left((closed, _)) => Err(StreamingError::Closed(closed)),
            Either::Right((sent, _)) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let trouble = match self.ask(Request::Transfer(request), option.soft_ttl()).await {
            Ok(Answer::Transfer(transferred)) => return Ok(transferred.open()),
            Ok(other) => self.strange(&other),
            Err(trouble) => trouble,
        };
        Err(self.rpc_error(&trouble, RPCTypes::TransferLeader))
    }
}
