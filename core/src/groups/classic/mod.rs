//! Classic groups: members join, a leader among them assigns, everyone syncs (KIP-62, KIP-134, KIP-345, KIP-394,
//! KIP-814; `ClassicGroup` and `GroupMetadataManager` in Kafka).
//!
//! The states and what leads from one to the next:
//!
//! ```text
//! Empty ──join──▶ PreparingRebalance ──all joined, or time──▶ CompletingRebalance ──leader's sync stored──▶ Stable
//!   ▲                 │        ▲ ▲                                   │                                       │
//!   └──none joined────┘        │ └───────────join, leave, expiry─────┘                                       │
//!                              └─────────────────────join, leave, expiry────────────────────────────────────┘
//! ```

mod group;
mod join;
mod member;
mod rebalance;
mod session;

pub use member::Terms;

pub(super) use group::{ClassicGroup, State};
pub(super) use join::Join;
pub(super) use member::Member;

use super::{
    alarms::Alarms,
    face::{Outcome, Scene},
    records::GroupId,
};

/// One thing that happens to one group.
pub(super) struct Act<'a> {
    pub id: &'a GroupId,
    pub group: &'a mut ClassicGroup,
    pub alarms: &'a mut Alarms,
    pub scene: Scene<'a>,
    pub out: &'a mut Outcome,
}
