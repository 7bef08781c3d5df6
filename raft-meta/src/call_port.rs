//! The way from futures to other voters: a call goes out under an id, its answer ends the await.

use crate::{
    executor::Runtime,
    quorum::{Outbox, QuorumOutput},
};
use bytes::Bytes;
use corelane_core::ids::NodeId;
use openraft_rt::AsyncRuntime;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};
use tokio::sync::oneshot;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The voter was not reached, or the connection was lost: it may have done what was asked.
    Failed(String),
    /// Nothing came in time. What comes later is dropped.
    TimedOut,
}

struct State {
    next_id: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Bytes, String>>>,
    outbox: Outbox,
}

/// Where the quorum's tasks ask other voters.
#[derive(Clone)]
pub(crate) struct CallPort(Rc<RefCell<State>>);

/// Forgets a call when no one waits for it any more.
struct Forget {
    port: CallPort,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.port.0.borrow_mut().waiting.remove(&self.id);
    }
}

impl CallPort {
    /// Ids count up from 1.
    pub fn new(outbox: Outbox) -> CallPort {
        CallPort(Rc::new(RefCell::new(State { next_id: 1, waiting: BTreeMap::new(), outbox })))
    }

    /// Hands an answer to who waits for it; no one does if the call was given up. False when there was no such call.
    pub fn complete(&self, id: u64, result: Result<Bytes, String>) -> bool {
        let mut state = self.0.borrow_mut();
        let waiting = state.waiting.remove(&id);
        let was_asked = id > 0 && id < state.next_id;
        drop(state);
        if let Some(waiting) = waiting {
            // Who asked may have given up in the same moment.
            let _ = waiting.send(result);
        }
        was_asked
    }

    /// Asks, and waits at most so long.
    pub async fn call(&self, to: u64, body: Bytes, patience: Duration) -> Result<Bytes, Unanswered> {
        let Some(to) = i32::try_from(to).ok().map(NodeId) else {
            return Err(Unanswered::Failed(format!("{to} is no node id")));
        };
        let (answer, answered) = oneshot::channel();
        let forget = {
            let mut state = self.0.borrow_mut();
            let id = state.next_id;
            state.next_id += 1;
            state.waiting.insert(id, answer);
            state.outbox.push(QuorumOutput::Call { id, to, body });
            Forget { port: self.clone(), id }
        };
        let outcome = Runtime::timeout(patience, answered).await;
        drop(forget);
        match outcome {
            Ok(Ok(result)) => result.map_err(Unanswered::Failed),
            Ok(Err(_)) => Err(Unanswered::Failed("the quorum is gone".to_owned())),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }
}
