//! What happens in a run: the world goes on, brokers start and end, disturbances come, and clients hear of all that
//! concerns them.

use super::{
    AUDITOR, Broken, HEALS_AFTER_NS_MAX, Run, WAKE_DEADLINE, WAKE_DISTURB, WAKE_HEAL, WAKE_REST, WAKE_START,
    actor::{self, Actor},
    answers,
    broker::Cluster,
};
use crate::{
    client::history::Event,
    workload::{ToTheDisk, disk_faults, link_faults},
    world::{CrashKind, Notice},
};
use corelane_seam::ConnectionId;
use corelane_shard::Report;

impl Run {
    /// Lets things happen until `done`.
    pub(super) fn pump(
        &mut self,
        patience_ns: u64,
        what: &'static str,
        done: impl Fn(&Run) -> bool,
    ) -> Result<(), Broken> {
        let deadline_ns = self.world.now_ns() + patience_ns;
        self.world.wake_after(patience_ns, WAKE_DEADLINE);
        while !done(self) {
            let stuck = |run: &Run, why: &str| {
                let waits: Vec<String> =
                    run.actors.iter().filter(|it| !it.is_done()).map(Actor::waits_for).collect();
                let serving: Vec<bool> = run.brokers.iter().map(|broker| broker.serving).collect();
                let text = format!("{what} does not end: {why}; serving: {serving:?}; {waits:?}");
                Broken { promise: "liveness", text }
            };
            if self.world.now_ns() >= deadline_ns {
                return Err(stuck(self, &format!("{} virtual seconds passed", patience_ns / 1_000_000_000)));
            }
            if self.world.events() > self.events_max {
                return Err(stuck(self, &format!("{} events passed", self.events_max)));
            }
            let Some(notice) = self.world.advance()? else { return Err(stuck(self, "nothing happens")) };
            if let Some((promise, text)) = self.watch.borrow_mut().broken.take() {
                return Err(Broken { promise, text });
            }
            self.drain_reports()?;
            self.notice(notice)?;
        }
        Ok(())
    }

    pub(super) fn notice(&mut self, notice: Notice) -> Result<(), Broken> {
        match notice {
            Notice::Wake(WAKE_DISTURB) => self.disturb(),
            Notice::Wake(WAKE_DEADLINE | WAKE_REST) => {}
            Notice::Wake(key) if key >= WAKE_HEAL => {
                let index = usize::try_from(key - WAKE_HEAL).expect("a broker's place");
                let broker = &self.brokers[index];
                link_faults::heal(&mut self.world, broker.process);
                if broker.disk_is_full && !broker.disk_is_bad {
                    // What it said meanwhile is excused still; that there is room it finds out by itself.
                    disk_faults::repair(&self.world, broker.process);
                }
                self.passing -= 1;
            }
            Notice::Wake(key) if key >= WAKE_START => {
                let shards = u16::try_from(self.rng.between(1, 4)).unwrap_or(1);
                let index = usize::try_from(key - WAKE_START).expect("a broker's place");
                self.world.start(self.brokers[index].process, shards);
            }
            Notice::Wake(number) => {
                let index = usize::try_from(number).unwrap_or(AUDITOR);
                self.with_actor(index, |actor, outside| actor.wake(outside))?;
                self.count_operations();
            }
            Notice::Refused(connection) | Notice::Closed(connection) => {
                self.of(connection, |actor, outside| actor.closed(connection, outside))?;
            }
            Notice::Received(connection, bytes) => {
                self.of(connection, |actor, outside| actor.received(connection, &bytes, outside))?;
            }
            Notice::Started(process) => {
                let index = self.index_of(process);
                self.brokers[index].serving = true;
                self.starts += 1;
            }
            Notice::StartFailed(process, reason) => {
                let index = self.index_of(process);
                if !self.brokers[index].is_excused() {
                    let text = format!("the broker refuses to start on a healthy disk: {reason}");
                    return Err(Broken { promise: "machine", text });
                }
                // Whoever runs it repairs the disk first.
                disk_faults::repair(&self.world, process);
                self.start_later(index);
            }
            Notice::ShardStopped(process, shard) => {
                let index = self.index_of(process);
                self.excused(index, &format!("{shard:?} stopped without being asked"))?;
                self.crash_somehow(index);
            }
            Notice::StopOverdue(process) => {
                self.excused(
                    self.index_of(process),
                    &format!("{process} was asked to stop and does not end"),
                )?;
            }
            Notice::Stopped(process) => self.start_later(self.index_of(process)),
            Notice::Crashed(process, kind) => {
                if kind == CrashKind::PowerCut {
                    self.history.note(Event::PowerCut);
                }
                self.start_later(self.index_of(process));
            }
        }
        Ok(())
    }

    pub(super) fn start_later(&mut self, index: usize) {
        self.brokers[index].serving = false;
        let delay_ns = self.rng.between(1_000_000, 300_000_000);
        self.world.wake_after(delay_ns, WAKE_START + index as u64);
    }

    /// The process is killed, and the next one reads a page cache that may show what failed flushes never brought to
    /// the disk; or the machine starts anew.
    pub(super) fn crash_somehow(&mut self, index: usize) {
        let kind = if self.rng.below(2) == 0 { CrashKind::Kill } else { CrashKind::PowerCut };
        self.world.crash(self.brokers[index].process, kind);
    }

    /// A broker that cannot go on is ended, as its supervisor or the operator would.
    pub(super) fn drain_reports(&mut self) -> Result<(), Broken> {
        for index in 0..self.brokers.len() {
            while let Ok(report) = self.brokers[index].reports.try_recv() {
                if let Report::Fatal(fatal) = report {
                    self.excused(index, &fatal.0)?;
                    self.crash_somehow(index);
                }
            }
        }
        Ok(())
    }

    /// Whether a broken disk explains it.
    pub(super) fn excused(&self, index: usize, text: &str) -> Result<(), Broken> {
        if self.brokers[index].is_excused() {
            Ok(())
        } else {
            Err(Broken { promise: "machine", text: format!("on a healthy disk: {text}") })
        }
    }

    pub(super) fn disturb(&mut self) {
        if let Some(disturbance) = self.disturbing.take() {
            self.world.note(&format!("disturbance: {}", disturbance.name));
            let index = self.some_broker();
            self.unsettle();
            let empties = disturbance.to_the_disk == ToTheDisk::Takes && self.may_lose_a_disk(index);
            if self.brokers.len() > 1 {
                let heals_after_ns = self.rng.between(100_000_000, HEALS_AFTER_NS_MAX);
                self.world.wake_after(heals_after_ns, WAKE_HEAL + index as u64);
                self.passing += 1;
            }
            self.brokers[index].disk_is_bad |= disturbance.to_the_disk == ToTheDisk::Breaks;
            self.brokers[index].disk_is_full |= disturbance.to_the_disk == ToTheDisk::Fills;
            let process = self.brokers[index].process;
            (disturbance.happen)(&mut self.world, process, &mut self.rng);
            if empties {
                self.world.replace_disk(process);
                self.emptied = Some(index);
                self.catalog.routes.avoid(Cluster::node(index));
            }
        }
    }

    /// Lets the next disturbance come when enough operations have begun: soon, so that it meets them under way.
    pub(super) fn count_operations(&mut self) {
        let begun: u64 = self.actors.iter().map(|actor| actor.begun).sum();
        self.operations_begun += begun;
        if begun > 0 {
            self.last_begun_ns = self.world.now_ns();
        }
        self.actors.iter_mut().for_each(|actor| actor.begun = 0);
        if self.disturbing.is_none()
            && let Some((_, disturbance)) = self.disturbances.pop_if(|(at, _)| *at <= self.operations_begun)
        {
            self.disturbing = Some(disturbance);
            let delay_ns = self.rng.below(4_000_000);
            self.world.wake_after(delay_ns, WAKE_DISTURB);
        }
    }

    // ---- clients ----

    pub(super) fn of(
        &mut self,
        connection: ConnectionId,
        call: impl FnOnce(&mut Actor, &mut actor::Outside<'_>) -> Result<(), String>,
    ) -> Result<(), Broken> {
        match self.actors.iter().position(|actor| actor.holds(connection)) {
            Some(index) => self.with_actor(index, call),
            // A connection that its client gave up.
            None => Ok(()),
        }
    }

    pub(super) fn with_actor(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut Actor, &mut actor::Outside<'_>) -> Result<(), String>,
    ) -> Result<(), Broken> {
        let mut outside =
            actor::Outside { world: &mut self.world, history: &mut self.history, catalog: &mut self.catalog };
        call(&mut self.actors[index], &mut outside).map_err(answers)
    }
}
