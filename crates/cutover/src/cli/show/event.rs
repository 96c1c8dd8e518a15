//! One event in a line.

use cutover_core::machine::{Event, HookReport, Outcome, Record};
use cutover_core::spec::Hook;
use cutover_core::unit::duration;

use super::time;

/// The event with its number, time and service.
pub fn line(record: &Record) -> String {
    let deployment = record.deployment.map(|id| format!(" #{id}")).unwrap_or_default();
    let (seq, at) = (record.seq, time::moment(record.at));
    format!("{seq:>6}  {at}  {}{deployment}: {}", record.service, what(&record.event))
}

/// What happened.
pub fn what(event: &Event) -> String {
    let release = |no: Option<cutover_core::ReleaseNo>| no.map_or("nothing".to_owned(), |no| format!("release {no}"));
    match event {
        Event::Planned { plan, by, .. } => {
            format!("{} planned by {by}: {} → {}", plan.kind.verb(), release(plan.from), release(plan.to))
        }
        Event::StepStarted { step, .. } => format!("step {} begins", step + 1),
        Event::StepDone { step } => format!("step {} done", step + 1),
        Event::StepFailed { step, failure } => format!("step {} failed: {failure}", step + 1),
        Event::AbortAsked { by, reason } => format!("{by} asked to turn back: {reason}"),
        Event::Judged { step, judgement } => match &judgement.findings {
            None => format!("step {} begins to compare the releases", step + 1),
            Some(findings) => format!("step {} compared: {}: {}", step + 1, findings.outcome(), findings.reason),
        },
        Event::Asked { step, metric, said, .. } => format!("step {} asked for {metric}: {said}", step + 1),
        Event::Extended { step, by, reason } => {
            format!("step {} observes for {} more: {reason}", step + 1, duration::text(*by))
        }
        Event::Undecided { step, reason } => {
            format!("step {} waits for somebody to resume or abort: there is no verdict: {reason}", step + 1)
        }
        Event::PauseAsked { by } => format!("{by} asked to pause"),
        Event::ResumeAsked { by } => format!("{by} asked to go on"),
        Event::PromoteAsked { by } => format!("{by} asked to promote it without further holds"),
        Event::Agreed { by } => format!("{by} found all ready that are deployed together: it counts"),
        Event::UndoStarted { step, .. } => format!("undo of step {} begins", step + 1),
        Event::UndoDone { step } => format!("step {} undone", step + 1),
        Event::UndoFailed { step, failure } => format!("step {} could not be undone: {failure}", step + 1),
        Event::UndoRetried { by } => format!("{by} asked to try the undo again"),
        Event::HookStarted { hook, .. } => format!("{} begins", hook.name()),
        Event::HookEnded { hook, report } => hook_ended(*hook, report),
        Event::Ended { outcome: Outcome::Done, .. } => "done".to_owned(),
        Event::Ended { outcome: Outcome::RolledBack { failure, .. }, .. } => format!("rolled back: {failure}"),
        Event::InstanceStarted { instance, address } => format!("{instance} runs at {address}"),
        Event::InstanceDied { instance, exit } => format!("{instance} {exit}"),
        Event::InstanceRevived { instance, attempt } => format!("{instance} is started again, for the {attempt}. time"),
        Event::InstanceBack { instance } => format!("{instance} is ready again"),
        Event::InstanceRetired { instance, how } => format!("{instance} was stopped: {how}"),
        Event::RouterReturned { down_ms, in_hand } => {
            format!("the proxy was gone for {down_ms} ms, with about {in_hand} requests and streams in hand")
        }
        Event::Locked { by, reason, until } => format!("locked by {by} until {}: {reason}", time::moment(*until)),
        Event::Unlocked { by } => format!("unlocked by {by}"),
        Event::MaintenanceBegan { by, reason, .. } => format!("taken down for maintenance by {by}: {reason}"),
        Event::MaintenanceEnded { by } => format!("up again after maintenance, by {by}"),
    }
}

fn hook_ended(hook: Hook, report: &HookReport) -> String {
    let (name, lines) = (hook.name(), report.output.len());
    match &report.failure {
        Some(failure) => format!("{name} failed: {failure}"),
        None if lines == 0 => format!("{name} ended well"),
        None => format!("{name} ended well, and wrote {lines} lines"),
    }
}
