//! The deployment machine.
//!
//! [`ServiceState::apply`] is the one place where an event changes what is known; it serves live recording and replay after a
//! crash alike. [`ServiceState::next`] says what is to be done in that state. Between the two there is nothing else: an
//! engine is a loop that asks `next`, records the intent, acts, and records what came of it.
//!
//! **Invariant (intent first).** Whatever an engine does, it finds as the answer of `next` *after* the event that announces
//! it was made durable.
//!
//! **Invariant (order).** Steps are carried out in the plan's order and undone in the reverse one. Since every plan registers
//! before it shifts, and shifts and drains before it retires, no instance is told to stop before the router has
//! acknowledged that it gets nothing new.

mod apply;
mod event;
mod next;
mod route;
mod state;
#[cfg(test)]
mod tests;

pub use apply::Inconsistent;
pub use event::{Event, HookReport, Judgement, Outcome, Record};
pub use next::Next;
pub use route::{RouteConflict, table};
pub use state::{Deployment, Down, Duty, Instance, Last, Lock, Mark, Progress, ReleaseState, ServiceState};
