//! The states of a transactional id (`TransactionState`).

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its producer is initialised and has begun nothing.
    Empty,
    /// A transaction has begun.
    Ongoing,
    /// It is decided that the transaction commits; markers are on their way.
    PrepareCommit,
    /// It is decided that the transaction aborts; markers are on their way.
    PrepareAbort,
    /// The last transaction has committed, and every partition knows.
    CompleteCommit,
    /// The last transaction was aborted, and every partition knows.
    CompleteAbort,
    /// Kafka's word for an id that is being expired. It is in no log: here the id is gone with its tombstone.
    Dead,
    /// Kafka's word for a producer that is being fenced before its transaction is aborted. It is in no log: here both are
    /// one decision.
    PrepareEpochFence,
}

impl State {
    /// All of them; their places are their numbers in records.
    const ALL: [State; 8] = [
        State::Empty,
        State::Ongoing,
        State::PrepareCommit,
        State::PrepareAbort,
        State::CompleteCommit,
        State::CompleteAbort,
        State::Dead,
        State::PrepareEpochFence,
    ];

    /// Its number in records.
    pub fn number(self) -> i8 {
        match self {
            State::Empty => 0,
            State::Ongoing => 1,
            State::PrepareCommit => 2,
            State::PrepareAbort => 3,
            State::CompleteCommit => 4,
            State::CompleteAbort => 5,
            State::Dead => 6,
            State::PrepareEpochFence => 7,
        }
    }

    /// By its number in records.
    pub fn from_number(number: i8) -> Option<State> {
        usize::try_from(number).ok().and_then(|place| State::ALL.get(place)).copied()
    }

    /// Kafka's word for it, as tools print it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
            State::Dead => "Dead",
            State::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// By Kafka's word for it.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether it may stand in a log.
    pub fn is_durable(self) -> bool {
        !matches!(self, State::Dead | State::PrepareEpochFence)
    }

    /// Whether the outcome of a transaction is decided, and its markers are not all written.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }

    /// Whether there is no transaction.
    pub fn is_idle(self) -> bool {
        matches!(self, State::Empty | State::CompleteCommit | State::CompleteAbort)
    }

    /// Whether one may follow another (`TransactionState.VALID_PREVIOUS_STATES`, of what is ever in a log).
    pub fn may_follow(self, before: State) -> bool {
        match self {
            State::Empty => before.is_idle(),
            State::Ongoing => before.is_idle() || before == State::Ongoing,
            State::PrepareCommit => before == State::Ongoing,
            State::PrepareAbort => before.is_idle() || before == State::Ongoing,
            State::CompleteCommit => before == State::PrepareCommit,
            State::CompleteAbort => before == State::PrepareAbort,
            State::Dead | State::PrepareEpochFence => false,
        }
    }
}
