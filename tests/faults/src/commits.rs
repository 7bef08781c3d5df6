//! What a member of a group committed and what it was told of it, and the one judge of what the group's coordinator
//! tells afterwards.

use std::fmt;

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The answer is missing.
    Unknown,
    /// It is durable.
    Acknowledged,
    /// It was not taken.
    Refused,
}

/// What one member committed for one partition, in order: nobody else commits for it.
#[derive(Clone, Debug)]
pub struct Commits {
    /// Whose.
    pub group: String,
    /// For which partition.
    pub partition: i32,
    /// How each ended. The offset that was committed is the place here: each is one more than the one before.
    pub fates: Vec<Fate>,
    /// What the coordinator told last: it may tell nothing older any more.
    told: Option<i64>,
}

impl Commits {
    /// None so far.
    pub fn new(group: &str, partition: i32) -> Commits {
        Commits { group: group.to_owned(), partition, fates: Vec::new(), told: None }
    }

    /// One more is sent: its offset.
    pub fn send(&mut self) -> i64 {
        self.fates.push(Fate::Unknown);
        self.fates.len() as i64 - 1
    }

    /// The answer to a commit came.
    ///
    /// # Panics
    /// When it was never sent.
    pub fn answered(&mut self, offset: i64, fate: Fate) {
        let place = usize::try_from(offset).expect("offsets count from zero");
        self.fates[place] = fate;
    }

    /// How many ended so.
    pub fn count(&self, fate: Fate) -> u64 {
        self.fates.iter().filter(|it| **it == fate).count() as u64
    }

    /// The least that must be there: the last that was acknowledged, or was told.
    fn floor(&self) -> Option<i64> {
        let acknowledged = self.fates.iter().rposition(|fate| *fate == Fate::Acknowledged);
        acknowledged.map(|place| place as i64).max(self.told)
    }

    /// Holds what the coordinator tells (`None`: nothing was ever committed) against what was sent.
    ///
    /// Demanded: what was acknowledged is there, or what the same member sent later; what was refused is not; nothing is
    /// there that was not sent; and what was told once is not taken back.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn judge(&mut self, told: Option<i64>) -> Result<(), Wrong> {
        let floor = self.floor();
        let wrong = |what| Wrong { group: self.group.clone(), partition: self.partition, told, floor, what };
        if told < floor {
            return Err(wrong("acknowledged or told before, and lost"));
        }
        if let Some(told) = told {
            match usize::try_from(told).ok().and_then(|place| self.fates.get(place)) {
                None => return Err(wrong("never sent")),
                Some(Fate::Refused) => return Err(wrong("refused, and there")),
                Some(Fate::Unknown | Fate::Acknowledged) => {}
            }
        }
        self.told = told;
        Ok(())
    }
}

/// Why a told offset is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    group: String,
    partition: i32,
    told: Option<i64>,
    floor: Option<i64>,
    what: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { group, partition, told, floor, what } = self;
        write!(f, "{group}, partition {partition}: {what}: told {told:?}, at least {floor:?} is known")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets 0 to 4: acknowledged, acknowledged, refused, unknown, unknown.
    fn history() -> Commits {
        let mut commits = Commits::new("g", 0);
        (0..5).for_each(|expected| assert_eq!(commits.send(), expected));
        commits.answered(0, Fate::Acknowledged);
        commits.answered(1, Fate::Acknowledged);
        commits.answered(2, Fate::Refused);
        commits
    }

    fn wrong(told: Option<i64>) -> Option<&'static str> {
        history().judge(told).err().map(|wrong| wrong.what)
    }

    #[test]
    fn the_last_acknowledged_commit_is_enough_and_a_later_one_of_unknown_fate_may_be_there() {
        assert_eq!([1, 3, 4].map(|told| wrong(Some(told))), [None; 3]);
        assert_eq!(Commits::new("g", 0).judge(None), Ok(()), "nothing was committed");
    }

    #[test]
    fn a_lost_a_refused_and_an_invented_commit_are_found() {
        let lost = Some("acknowledged or told before, and lost");
        assert_eq!((wrong(None), wrong(Some(0))), (lost, lost));
        assert_eq!(wrong(Some(2)), Some("refused, and there"));
        assert_eq!(wrong(Some(5)), Some("never sent"));
    }

    #[test]
    fn what_was_told_once_may_not_be_taken_back_though_nobody_acknowledged_it() {
        let mut commits = history();
        assert_eq!(commits.judge(Some(3)), Ok(()));
        assert!(commits.judge(Some(1)).is_err());
        assert_eq!(commits.judge(Some(4)), Ok(()));
    }
}
