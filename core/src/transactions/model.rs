/// A bug that is planted to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Partitions are added whatever the epoch of the producer.
    OldEpochsAreLetIn,
}
