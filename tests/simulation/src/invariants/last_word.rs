//! What something that clients set may be when all is well again: what one of the last changes made it, and without any
//! what it was. A change that was agreed to outdoes all that were answered before it was asked. One whose answer was
//! lost, or that failed, may have happened at any time since.

use crate::client::history::Moment;

/// See the module.
#[derive(Debug)]
pub(super) struct LastWord<T> {
    /// What it was when it was last looked at, if no change since is known to have happened.
    before: Option<T>,
    /// What was asked since and may have the last word: when it was answered, if it was, and for what.
    asked: Vec<(Option<Moment>, T)>,
    /// Whether one of those happened for certain.
    changed: bool,
}

impl<T> Default for LastWord<T> {
    fn default() -> Self {
        LastWord { before: None, asked: Vec::new(), changed: false }
    }
}

impl<T: Clone + PartialEq> LastWord<T> {
    /// It was looked at, and is this.
    pub fn seen(value: T) -> LastWord<T> {
        LastWord { before: Some(value), ..LastWord::default() }
    }

    pub fn asked(&mut self, value: T) {
        self.asked.push((None, value));
    }

    /// One of those that were asked for just this is answered.
    pub fn agreed(&mut self, value: &T, asked: Moment, at: Moment) {
        let is_it = |(answered, other): &&mut (Option<Moment>, T)| answered.is_none() && other == value;
        if let Some((answered, _)) = self.asked.iter_mut().find(is_it) {
            *answered = Some(at);
        }
        (self.before, self.changed) = (None, true);
        self.asked.retain(|(answered, _)| answered.is_none_or(|answered| answered >= asked));
    }

    /// Whether it is known what it may be.
    pub fn is_known(&self) -> bool {
        self.before.is_some() || self.changed
    }

    /// All that it may be, if that is known.
    pub fn may_be(&self) -> impl Iterator<Item = &T> {
        self.before.iter().chain(self.asked.iter().map(|(_, value)| value))
    }
}
