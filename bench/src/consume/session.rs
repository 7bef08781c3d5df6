//! The client's side of a fetch session (KIP-227): what to put into the next request.

/// Of one connection to one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    wanted: bool,
    id: i32,
    epoch: i32,
}

/// Epoch of a request outside any session.
const SESSIONLESS_EPOCH: i32 = -1;

impl Session {
    pub(super) fn new(wanted: bool) -> Session {
        Session { wanted, id: 0, epoch: 0 }
    }

    /// Id and epoch of the next request.
    pub(super) fn request(&self) -> (i32, i32) {
        if self.wanted { (self.id, self.epoch) } else { (0, SESSIONLESS_EPOCH) }
    }

    /// Whether the next request names only the partitions that changed.
    pub(super) fn is_incremental(&self) -> bool {
        self.wanted && self.epoch > 0
    }

    /// The broker answered without a session error; 0 if it keeps no session.
    pub(super) fn answered(&mut self, id: i32) {
        self.id = id;
        self.epoch = match (id, self.epoch) {
            (0, _) => 0,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
    }

    /// The broker does not know the session: begin another.
    pub(super) fn reset(&mut self) {
        *self = Session::new(self.wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_count_up_and_wrap_to_one() {
        let mut session = Session::new(true);
        assert_eq!((session.request(), session.is_incremental()), ((0, 0), false));
        session.answered(7);
        assert_eq!((session.request(), session.is_incremental()), ((7, 1), true));
        session.epoch = i32::MAX;
        session.answered(7);
        assert_eq!(session.request(), (7, 1));
        session.reset();
        assert_eq!((session.request(), session.is_incremental()), ((0, 0), false));
    }

    #[test]
    fn a_broker_without_sessions_is_asked_in_full_each_time() {
        let mut session = Session::new(true);
        session.answered(0);
        assert_eq!((session.request(), session.is_incremental()), ((0, 0), false));
        assert_eq!(Session::new(false).request(), (0, -1));
    }
}
