//! Puts an order to the engine, as the command line would.

use std::time::Duration;

use cutover::engine::{CommandError, Engine, Member, Request, Steer, Want};
use cutover_core::plan::Refusal;

use crate::script::{Act, Order};

/// What the engine answers.
pub(crate) type Answer = Result<(), CommandError>;

/// Who asks.
const BY: &str = "somebody";

pub(crate) async fn ask(engine: &Engine, order: &Order, salt: u64) -> Answer {
    let service = &order.service;
    let want = match &order.act {
        Act::Deploy(build) => {
            Want::Deploy { spec: Box::new(build.spec(service, salt)), again: false, together: build.together }
        }
        Act::Adopt(build) => Want::Adopt { spec: Box::new(build.spec(service, salt)) },
        Act::Rollback(to) => Want::Rollback { to: *to, past: false },
        Act::Restart => Want::Restart,
        Act::Scale(replicas) => Want::Scale { replicas: *replicas },
        Act::Stop => Want::Stop,
        Act::Remove => Want::Remove,
        Act::Steer(steer) => return engine.steer(service, BY, *steer).await.map(drop),
        Act::Agree => return engine.agree(&awaiting(engine), BY).await,
        Act::Abort => return engine.abort(service, BY, "they changed their mind").await.map(drop),
        Act::Lock(millis) => return engine.lock(service, BY, "a holiday", Duration::from_millis(*millis)).await,
        Act::Unlock => return engine.unlock(service, BY).await,
        Act::Nothing => return Ok(()),
    };
    engine.begin(&Request { service: service.clone(), want, by: BY.to_owned() }).await.map(drop)
}

/// Those that wait for others.
pub(crate) fn awaiting(engine: &Engine) -> Vec<Member> {
    let view = engine.ledger().view();
    let running = view.services.values().filter_map(|state| Some((state.name.clone(), state.deployment.as_ref()?.id)));
    let running = running.filter(|(service, _)| engine.awaits_others(service));
    running.map(|(service, deployment)| Member { service, deployment }).collect()
}

pub(crate) fn verb(act: &Act) -> &'static str {
    match act {
        Act::Deploy(_) => "deploy",
        Act::Adopt(_) => "adopt",
        Act::Rollback(_) => "rollback",
        Act::Restart => "restart",
        Act::Scale(_) => "scale",
        Act::Stop => "stop",
        Act::Remove => "remove",
        Act::Abort => "abort",
        Act::Steer(Steer::Pause) => "pause",
        Act::Steer(Steer::Resume) => "resume",
        Act::Steer(Steer::Promote) => "promote",
        Act::Agree => "agree",
        Act::Lock(_) => "lock",
        Act::Unlock => "unlock",
        Act::Nothing => "nothing",
    }
}

pub(crate) fn kind(error: &CommandError) -> &'static str {
    match error {
        CommandError::Journal(_) => "failed: journal",
        CommandError::Failed(_) => "failed",
        CommandError::Refused(refusal) => match refusal {
            Refusal::UnknownService { .. } => "refused: unknown service",
            Refusal::NothingToAdopt { .. } => "refused: nothing to adopt",
            Refusal::Unchanged { .. } => "refused: unchanged",
            Refusal::WentBack { .. } => "refused: went back",
            Refusal::NotAwaiting { .. } => "refused: does not wait",
            Refusal::Busy { .. } => "refused: busy",
            Refusal::Stuck { .. } => "refused: stuck",
            Refusal::Locked { .. } => "refused: locked",
            Refusal::NothingToRollBackTo { .. } => "refused: nothing to roll back to",
            Refusal::NoWayPast { .. } => "refused: no way past",
            Refusal::UnknownRelease { .. } => "refused: unknown release",
            Refusal::NotRunning { .. } => "refused: not running",
            Refusal::CannotOverlap { .. } => "refused: cannot overlap",
            Refusal::Strategy { .. } => "refused: strategy",
            Refusal::RouteTaken { .. } => "refused: route taken",
            Refusal::NothingToAbort { .. } => "refused: nothing to abort",
            Refusal::TooLate { .. } => "refused: too late",
            Refusal::Preflight { .. } => "refused: preflight",
        },
    }
}
