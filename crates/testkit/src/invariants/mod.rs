//! The invariants, checked at every call that changes something and at every event, against an oracle: the fold of the events
//! that are durable. What the engine believes is never asked.
//!
//! | invariant | checked |
//! |---|---|
//! | [`Invariant::Order`] | when an instance is told to stop, and when its streams are closed |
//! | [`Invariant::IntentFirst`] | at every effect: the durable events must announce it |
//! | [`Invariant::SomeoneServes`] | at every request, and when an instance is told to stop |
//! | [`Invariant::OneWriter`] | at every append: events fit, numbers have no gap and no double |
//! | [`Invariant::Truthful`] | when a watch, or a deployment, ends |
//! | [`Invariant::ReturnIsInstant`] | at the commit, and when traffic goes back |
//! | [`Invariant::TestedServes`] | when traffic moves: all have passed the gate |
//! | [`Invariant::AllOrNone`] | at every append |
//! | [`Invariant::OursAlone`] | whenever something is removed |
//! | [`Invariant::NoSecrets`] | at every event |
//! | [`Invariant::Once`] | when a hook begins |
//! | [`Invariant::Ends`] | when the faults have stopped |

mod effect;
mod ending;
mod event;
mod hook;
mod rest;

use std::collections::BTreeMap;

use cutover_core::machine::{Record, ServiceState};
use cutover_core::{InstanceId, ServiceName, Timestamp};

pub use event::SECRET;
pub use rest::{is_at_rest, is_stuck};

/// What must always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Nobody is told to stop before the router gives it nothing new, and it has nothing in hand or its limit has passed.
    Order,
    /// What is done has been announced durably.
    IntentFirst,
    /// Somebody ready takes the traffic of a live release.
    SomeoneServes,
    /// One deployment at a time, and one history.
    OneWriter,
    /// An end that is recorded is what is.
    Truthful,
    /// Until the commit the old instances are there, and traffic only goes back to somebody ready.
    ReturnIsInstant,
    /// Who serves has passed the gate.
    TestedServes,
    /// Deployments that count together do so at the same moment.
    AllOrNone,
    /// Only what is ours is removed, and never what a roll back needs.
    OursAlone,
    /// No secret is in an event.
    NoSecrets,
    /// A hook runs once for a deployment, or again under the same key if the agent died, and never beside itself.
    Once,
    /// When faults stop, everything ends within bounds and nothing is left over.
    Ends,
}

/// The fold of the durable events, with what the checks need to remember.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    services: BTreeMap<ServiceName, ServiceState>,
    before: BTreeMap<ServiceName, Before>,
}

/// What was before a deployment, and how far it is.
#[derive(Debug, Clone, Default)]
struct Before {
    serving: Vec<InstanceId>,
    routed: bool,
    watch_began: Option<Timestamp>,
    drained_since: Option<Timestamp>,
}

impl Oracle {
    /// What is durably known about a service.
    pub fn service(&self, name: &ServiceName) -> Option<&ServiceState> {
        self.services.get(name)
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &ServiceState> {
        self.services.values()
    }

    /// Folds events that are known to fit.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> BTreeMap<ServiceName, ServiceState> {
        let mut services = BTreeMap::new();
        for record in records {
            let state = services.entry(record.service.clone());
            let state = state.or_insert_with(|| ServiceState::new(record.service.clone()));
            state.apply(record).expect("it fitted when it was appended");
        }
        services
    }
}
