//! Processes that stand still for a while, as under SIGSTOP or on a machine that swaps: their kernel goes on, nothing
//! of theirs happens, and everything has piled up when they go on.

use super::{Completion, Event, Happening, Notice, ProcessId, Shard, ShardId, World};
use std::collections::VecDeque;

impl<S: Shard> World<S> {
    /// Nothing of the process happens until [`go_on`](Self::go_on), or until it crashes. It still seems to listen.
    pub fn pause(&mut self, process: ProcessId) {
        self.note_fault(&format!("{process} stands still"));
        self.processes[process.0].paused.get_or_insert_default();
    }

    /// It goes on with what has piled up, in its order.
    pub fn go_on(&mut self, process: ProcessId) {
        let now_ns = self.now_ns;
        let machine = &mut self.processes[process.0];
        let Some(held) = machine.paused.take() else { return };
        machine.resumed_ns = now_ns;
        self.note_fault(&format!("{process} goes on, {} events late", held.len()));
        self.backlog.extend(held);
    }

    /// Whether it stands still.
    pub fn is_paused(&self, process: ProcessId) -> bool {
        self.processes[process.0].paused.is_some()
    }

    /// The event, or nothing if it waits for a process that stands still.
    pub(super) fn unless_paused(&mut self, event: Event<S::Message>) -> Option<Event<S::Message>> {
        let process = match &event {
            Event::Boot { process, .. } | Event::Shard { process, .. } => *process,
            // What the kernel and the network do goes on, and so does the outside.
            Event::StopOverdue { .. } | Event::File { .. } | Event::Network { .. } | Event::Wake(_) => {
                return Some(event);
            }
        };
        match self.held(process) {
            Some(held) => {
                held.push_back(event);
                None
            }
            None => Some(event),
        }
    }

    /// The completion, or nothing if it waits for a process that stands still.
    pub(super) fn deliver_later(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        completion: Completion<S::Message>,
    ) -> Option<Completion<S::Message>> {
        let incarnation = self.processes[process.0].incarnation;
        let Some(held) = self.held(process) else { return Some(completion) };
        let happening = Happening::Complete(completion);
        held.push_back(Event::Shard { process, incarnation, shard, happening });
        None
    }

    fn held(&mut self, process: ProcessId) -> Option<&mut VecDeque<Event<S::Message>>> {
        self.processes[process.0].paused.as_mut()
    }

    /// A stop takes too long, unless the process stood still meanwhile.
    pub(super) fn stop_overdue(&mut self, process: ProcessId, incarnation: u32) {
        let machine = &self.processes[process.0];
        if machine.incarnation != incarnation {
            return;
        }
        let since_ns = if machine.paused.is_some() { self.now_ns } else { machine.resumed_ns };
        let fair_ns = since_ns + self.settings.stop_ns_max;
        if machine.resumed_ns == 0 && machine.paused.is_none() || fair_ns <= self.now_ns {
            self.notices.push_back(Notice::StopOverdue(process));
        } else {
            self.schedule_at(fair_ns, Event::StopOverdue { process, incarnation });
        }
    }
}
