//! The calls that the engine makes, and the one gate that all of them go through.
//!
//! The gate is where faults strike: a call fails, is slow, is done twice, loses its answer, or the agent dies around it. An
//! agent that has died makes no more calls: those of its tasks that are still around stop for ever at the gate.

use std::future::pending;
use std::time::Duration;

use super::{Inner, Port};
use crate::faults::Fault;

/// A call of the engine to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of a port of the same name")]
pub enum Call {
    Load,
    Append,
    Releases,
    SaveRelease,
    DropReleases,
    Fingerprint,
    Prepare,
    Start,
    Stop,
    Forget,
    Adoptable,
    LetGo,
    Hook,
    EndHooks,
    Discard,
    CanRoute,
    Publish,
    Stats,
    Mark,
    Look,
    CloseStreams,
    Probe,
    WarmUp,
    Smoke,
}

impl Call {
    /// What fails together with it: a full disk fails all writes of the journal, a router that is gone answers nothing.
    pub(crate) fn group(self) -> Group {
        match self {
            Self::Load | Self::Append | Self::Releases | Self::SaveRelease | Self::DropReleases => Group::Journal,
            Self::Publish | Self::Stats | Self::Mark | Self::Look | Self::CloseStreams | Self::CanRoute => {
                Group::Router
            }
            Self::Probe | Self::WarmUp | Self::Smoke => Group::Prober,
            _ => Group::Runtime,
        }
    }

    /// Whether its caller may be told that it failed although it did not. A journal must know what it holds.
    fn may_lie(self) -> bool {
        self.group() != Group::Journal
    }
}

/// Calls that fail together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Journal,
    Runtime,
    Router,
    Prober,
}

/// What the gate decided about a call.
enum Verdict {
    Stop,
    Fail(u64),
    Go { twice: bool, lose: bool, crash: bool, pause: (u64, u64) },
}

impl Port {
    /// Makes a call: `effect` is what it does to the world, `failed` what its caller hears when it does not get there.
    pub(super) async fn call<T, E>(
        &self,
        call: Call,
        about: &(dyn Fn() -> String + Sync),
        failed: impl Fn(String) -> E,
        mut effect: impl FnMut(&mut Inner) -> Result<T, E>,
    ) -> Result<T, E> {
        let (twice, lose, crash, pause) = match self.admit(call, about) {
            Verdict::Stop => pending().await,
            Verdict::Fail(after) => {
                self.pause(after).await;
                return Err(failed(format!("{call:?} fails, as the simulation wants")));
            }
            Verdict::Go { twice, lose, crash, pause } => (twice, lose, crash, pause),
        };
        self.pause(pause.0).await;
        let result = self.take_effect(|inner| {
            if twice {
                let _ = effect(inner);
            }
            effect(inner)
        });
        let Some(result) = result else { pending().await };
        if crash {
            self.world.crash();
            pending::<()>().await;
        }
        self.pause(pause.1).await;
        if lose { Err(failed(format!("the answer to {call:?} was lost, as the simulation wants"))) } else { result }
    }

    /// Does something to the world, if the agent that wants it still lives.
    pub(super) fn take_effect<T>(&self, effect: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        let mut inner = self.world.lock();
        if inner.epoch != self.epoch || inner.crashed {
            return None;
        }
        inner.settle();
        let result = effect(&mut inner);
        drop(inner);
        self.world.wake();
        Some(result)
    }

    fn admit(&self, call: Call, about: &dyn Fn() -> String) -> Verdict {
        let mut inner = self.world.lock();
        if inner.epoch != self.epoch || inner.crashed {
            return Verdict::Stop;
        }
        inner.settle();
        let fault = inner.fault_for(call);
        if inner.trace.is_some() {
            let line =
                format!("{call:?} {}{}", about(), fault.map_or(String::new(), |fault| format!("   !! {fault:?}")));
            inner.note(line);
        }
        let go = |twice, lose, crash, pause| Verdict::Go { twice, lose, crash, pause };
        match fault {
            Some(Fault::Fail | Fault::FailFor(_)) => Verdict::Fail(1),
            Some(Fault::SlowFail(after)) => Verdict::Fail(after),
            Some(Fault::CrashBefore) => {
                drop(inner);
                self.world.crash();
                Verdict::Stop
            }
            Some(Fault::CrashAfter) => go(false, false, true, (1, 0)),
            Some(Fault::Twice) => go(true, false, false, (1, 1)),
            Some(Fault::LoseAnswer) if call.may_lie() => go(false, true, false, (1, 1)),
            Some(Fault::Delay(time)) => go(false, false, false, (time / 2, time / 2)),
            Some(Fault::LoseAnswer) | None => go(false, false, false, (1, 1)),
        }
    }

    pub(super) async fn pause(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
