//! A controller's place in the quorum: its [`Quorum`], and, as long as nobody there speaks to it, an [`Observer`] beside it.
//!
//! A controller that is to be added later, one that was removed, and one that was removed while it was away and does not
//! know it: none of them gets the log any more, and all of them may be brokers, or be added (again). So they pull what is
//! committed as a node without a vote does, from where their own log ends. When the leader speaks to the quorum again and
//! that has caught up, the observer goes.
//!
//! What is committed is one history, whoever tells it. Each batch is told once, by whichever of the two has it first.

use crate::{
    observer::{Observer, refusal, source::Sources, wire::is_pull},
    quorum::{Quorum, QuorumInput, QuorumOutput, QuorumSettings},
};
use corelane_core::{
    engine::QuorumStanding,
    error::Fatal,
    ids::NodeId,
    metadata::{Image, MetadataOffset},
};
use corelane_seam::{Disk, Monotonic, Now};
use std::{fmt, time::Duration};

/// The observer's calls have ids from here on; the quorum's stay below.
const OBSERVER_CALLS: u64 = 1 << 63;

/// A voter that hears of no leader for so many election time-outs asks whether there is one that does not know it.
const PATIENCE_ELECTIONS: u32 = 3;

/// See the module. Driven like a [`Quorum`].
pub struct Seat {
    quorum: Quorum,
    observer: Option<Observer>,
    /// `controller.quorum.bootstrap.servers`: where there may be a controller.
    bootstrap: Vec<String>,
    /// Up to here all is told.
    told: Option<MetadataOffset>,
    /// What the quorum said last of who leads.
    leader: Option<(Option<NodeId>, u64, bool)>,
    /// How often leaders have spoken, and when that was last looked at with news.
    heard: (u64, Monotonic),
    patience: Duration,
    /// What is to be told with the next poll.
    outputs: Vec<QuorumOutput>,
    ended: bool,
}

impl Seat {
    /// As [`Quorum::open`]; `bootstrap` has endpoints of controllers whose ids are not known.
    ///
    /// # Errors
    /// As [`Quorum::open`].
    pub fn open(
        settings: QuorumSettings,
        bootstrap: Vec<String>,
        disk: &dyn Disk,
        now: Now,
    ) -> Result<Seat, Fatal> {
        let patience = PATIENCE_ELECTIONS * Duration::from_millis(settings.timing.election_ms_max);
        Ok(Seat {
            quorum: Quorum::open(settings, disk, now)?,
            observer: None,
            bootstrap,
            told: None,
            leader: None,
            heard: (0, now.monotonic),
            patience,
            outputs: Vec::new(),
            ended: false,
        })
    }

    /// The quorum itself.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The same, to be set up.
    pub fn quorum_mut(&mut self) -> &mut Quorum {
        &mut self.quorum
    }

    /// Whether it follows as a node without a vote does.
    pub fn observes(&self) -> bool {
        self.observer.is_some()
    }

    /// The metadata as far as it is known.
    pub fn image(&self) -> Image {
        let observed = self.observer.as_ref().map(Observer::image);
        let known = self.quorum.image();
        observed.filter(|observed| observed.last_applied() > known.last_applied()).unwrap_or(known)
    }

    /// Who votes, as far as this node knows.
    pub fn voters(&self) -> Vec<NodeId> {
        let learned = self.observer.as_ref().map(Observer::voters).unwrap_or_default();
        if learned.is_empty() {
            return self.quorum.voters();
        }
        learned.into_iter().map(|(voter, _)| voter).collect()
    }

    /// Whom it may call, as [`Quorum::endpoints`] tells it, and under negative ids endpoints whose nodes are not known.
    pub fn endpoints(&self) -> Vec<(NodeId, String)> {
        let observed = self.observer.iter().flat_map(Observer::controllers);
        observed.chain(self.quorum.endpoints()).collect()
    }

    /// How far the metadata has come.
    pub fn standing(&self, now: Now) -> QuorumStanding {
        match &self.observer {
            Some(observer) if !self.quorum.leads() => observer.standing(),
            Some(_) | None => self.quorum.standing(now),
        }
    }

    /// Takes an input. What comes of it shows with the next [`poll`](Self::poll).
    pub fn handle(&mut self, now: Now, input: QuorumInput) {
        match input {
            QuorumInput::Answered { id, result } if id >= OBSERVER_CALLS => {
                // One that is gone wants no answer.
                if let Some(observer) = &mut self.observer {
                    observer.handle(now, QuorumInput::Answered { id: id - OBSERVER_CALLS, result });
                }
            }
            // What this node knows it has from others: whoever asks is better served there.
            QuorumInput::Called { id, body, .. }
                if is_pull(&body) && self.quorum.is_seated() == Some(false) =>
            {
                self.outputs.push(QuorumOutput::Answer { id, body: refusal("this node is no voter") });
            }
            input => self.quorum.handle(now, input),
        }
    }

    /// Runs everything that can run, and appends what it wants and tells to `out`.
    pub fn poll(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        out.append(&mut self.outputs);
        let mut told = Vec::new();
        self.quorum.poll(now, &mut told);
        for output in told {
            self.pass(output, out);
        }
        if !self.ended {
            self.change_places(now.monotonic, out);
            self.observe(now, out);
        }
    }

    /// What the quorum says, if it is news.
    fn pass(&mut self, output: QuorumOutput, out: &mut Vec<QuorumOutput>) {
        match &output {
            QuorumOutput::Applied { offset, .. } if !self.is_news(Some(*offset)) => return,
            QuorumOutput::ImageReplaced { offset, .. } if !self.is_news(*offset) => return,
            QuorumOutput::LeaderChanged { leader, term, writable } => {
                self.leader = Some((*leader, *term, *writable));
                if self.observer.is_some() {
                    return;
                }
            }
            QuorumOutput::Fatal(_) | QuorumOutput::Stopped => {
                self.observer = None;
                self.ended = true;
            }
            _ => {}
        }
        out.push(output);
    }

    fn is_news(&mut self, offset: Option<MetadataOffset>) -> bool {
        let is_news = offset > self.told || self.told.is_none();
        self.told = self.told.max(offset);
        is_news
    }

    /// Begins or ends to observe.
    fn change_places(&mut self, now: Monotonic, out: &mut Vec<QuorumOutput>) {
        let Some(is_seated) = self.quorum.is_seated() else { return };
        let leads = self.quorum.leads();
        let heard = self.quorum.heard();
        if leads || heard != self.heard.0 {
            self.heard = (heard, now);
        }
        // One without a log was never served: its disk is new, and what becomes of it the others' log says.
        let is_forgotten = now >= self.heard.1 + self.patience && self.quorum.knows_members();
        let is_served = leads || (is_seated && !is_forgotten);
        if !is_served && self.observer.is_none() {
            let (meta, image, position) = self.quorum.continuation();
            let known = self.quorum.endpoints();
            if let Some(sources) = Sources::of_controllers(meta.node_id, known, self.bootstrap.clone()) {
                self.observer = Some(Observer::over(meta, sources, image, position));
                out.push(QuorumOutput::Located(self.endpoints()));
            } else {
                // Nobody to ask: it is looked at again later.
                self.heard.1 = now;
            }
        } else if is_served && self.observer.is_some() && self.quorum.image().last_applied() >= self.told {
            self.observer = None;
            out.push(QuorumOutput::Located(self.endpoints()));
            if let Some((leader, term, writable)) = self.leader {
                out.push(QuorumOutput::LeaderChanged { leader, term, writable });
            }
        }
        self.quorum.forgotten(!is_served);
    }

    /// What the observer says, if it is news.
    fn observe(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        let Some(observer) = &mut self.observer else { return };
        let mut told = Vec::new();
        observer.poll(now, &mut told);
        for output in told {
            match output {
                QuorumOutput::Call { id, to, body } => {
                    out.push(QuorumOutput::Call { id: id + OBSERVER_CALLS, to, body });
                }
                QuorumOutput::Applied { offset, .. } if !self.is_news(Some(offset)) => {}
                QuorumOutput::ImageReplaced { offset, .. } if !self.is_news(offset) => {}
                QuorumOutput::Fatal(fatal) => {
                    self.observer = None;
                    self.ended = true;
                    out.push(QuorumOutput::Fatal(fatal));
                }
                output => out.push(output),
            }
        }
    }

    /// When to poll though nothing came in.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let observer = self.observer.as_ref();
        // Who leads is served; who observes looks with every answer.
        let waits = observer.is_none() && !self.quorum.leads() && self.quorum.knows_members();
        let forgotten = waits.then(|| self.heard.1 + self.patience);
        [self.quorum.next_deadline(), observer.and_then(Observer::next_deadline), forgotten]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.ended || self.quorum.next_deadline().is_some())
    }

    /// Whether it stopped or broke.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({:?}, observes: {})", self.quorum, self.observer.is_some())
    }
}
