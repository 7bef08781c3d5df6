//! What one connection has to send, and what that waits for: the same on every driver.

use super::{
    blocking::WarmJob,
    context::Context,
    helpers::Job,
    send::{Sending, Socket, Step},
    slots::Name,
};
use corelane_seam::{Completion, ConnectionId, Part};
use std::{io, os::fd::BorrowedFd, sync::Arc};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Its driver lists it among those that may send on.
    Turn,
    /// The kernel tells when the socket takes more.
    Writable,
    /// A helper reads a cold range.
    Warming,
}

/// What the driver does next for a connection.
pub(crate) enum Next {
    /// Nothing: all was sent, or a helper reads what comes next.
    Nothing,
    /// It used up its turn: gives it another after the others.
    Turn,
    /// Lets the kernel tell when the socket takes more.
    Watch,
    /// Ends it.
    End(io::Error),
}

/// The one send that may be under way on a connection.
#[derive(Default)]
pub(crate) struct Outgoing(Option<(Sending, Wait)>);

impl Outgoing {
    pub(crate) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the kernel is to tell when the socket takes more.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.0, Some((_, Wait::Writable)))
    }

    /// # Panics
    /// When a send is under way already: a bug of the shard.
    pub(crate) fn begin(&mut self, id: ConnectionId, parts: Vec<Part>) {
        assert!(self.0.is_none(), "{id:?} is being sent to already");
        self.0 = Some((Sending::new(parts), Wait::Turn));
    }

    /// Sends on, for a turn.
    pub(crate) fn advance<M, P>(
        &mut self,
        socket: BorrowedFd<'_>,
        kind: Socket,
        (name, id): (Name, ConnectionId),
        context: &mut Context<M, P>,
    ) -> Next {
        let Some((sending, wait)) = &mut self.0 else { return Next::Nothing };
        let step = sending.advance(socket, kind, context.settings.send_turn_bytes as u64);
        if matches!(step, Step::Again | Step::Blocked) {
            let ahead = sending.read_on();
            if !ahead.is_empty() {
                context.helpers.read(Job::Ahead(ahead));
            }
        }
        match step {
            Step::Done => {
                self.0 = None;
                context.events.push_back(Completion::Sent { connection: id });
                Next::Nothing
            }
            Step::Again => {
                *wait = Wait::Turn;
                Next::Turn
            }
            Step::Blocked => {
                *wait = Wait::Writable;
                Next::Watch
            }
            Step::Cold { range, ahead } => {
                *wait = Wait::Warming;
                let me = Arc::clone(&context.me);
                context.helpers.read(Job::Warm(WarmJob { connection: name, range, ahead, me }));
                Next::Nothing
            }
            Step::Failed(error) => Next::End(error),
        }
    }

    /// The socket takes more; whether that was waited for.
    pub(crate) fn writable(&mut self) -> bool {
        let Some((_, wait @ Wait::Writable)) = &mut self.0 else { return false };
        *wait = Wait::Turn;
        true
    }

    /// A helper has read the cold range; whether that was waited for.
    pub(crate) fn warmed(&mut self) -> bool {
        let Some((sending, wait @ Wait::Warming)) = &mut self.0 else { return false };
        *wait = Wait::Turn;
        sending.warmed();
        true
    }

    /// Nothing of it is sent any more.
    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }
}
