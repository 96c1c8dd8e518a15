//! One deployment, step by step.

use std::time::Duration;

use cutover_core::machine::{Event, Outcome, Record};
use cutover_core::plan::{Plan, Step};

use super::{event, history, proof, time};
use crate::agent::api::{Notification, Story};

/// Its timeline and its proof.
pub fn text(story: &Story) -> String {
    let summary = &story.summary;
    let mut text = format!(
        "deployment {} of {}: {} by {}, {}\n",
        summary.deployment,
        summary.service,
        summary.kind.verb(),
        summary.by,
        history::outcome(summary)
    );
    text.push_str(&timeline(story));
    if let Some(overhead) = overhead(&story.events) {
        let what =
            "cutover's own: all up to the commit but preparing, the program's start and end, checks, drain and watch";
        text.push_str(&format!("  {:>9}  {what}\n", time::length(overhead)));
    }
    if let Some(Outcome::RolledBack { failure, .. }) = &summary.outcome {
        text.push_str(&format!("  because: {failure}\n"));
        failure.log.iter().for_each(|line| text.push_str(&format!("  | {line}\n")));
    }
    if summary.proof.is_some() {
        text.push_str(&proof::text(summary.proof.as_ref()));
        text.push('\n');
    }
    story.notifications.iter().for_each(|told| text.push_str(&notification(told)));
    text
}

/// Whether somebody was told of something: `told slack of done: answered 200 OK: ok`.
fn notification(told: &Notification) -> String {
    let Notification { on, sink, state, tries, due, said, .. } = told;
    let said = said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
    let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
    match (state.as_str(), due) {
        ("delivered", _) => format!("  {sink} was told of {on}{said}\n"),
        ("waiting", Some(due)) => {
            format!("  {sink} was not told of {on} yet, after {tries}; next at {}{said}\n", time::moment(*due))
        }
        _ => format!("  {sink} was NOT told of {on}, given up after {tries}{said}\n"),
    }
}

/// What a deployment takes beside what it waits for: the copy or pull, the program's own start and (where the new one takes its place) its end,
/// the checks that the user asked for, requests and streams in flight, and the watch. `None` if it did not commit.
pub fn overhead(events: &[Record]) -> Option<Duration> {
    let Event::Planned { plan, .. } = &events.first()?.event else { return None };
    let (mut since, mut waited) = (events.first()?.at, Duration::ZERO);
    for record in events {
        match &record.event {
            Event::StepStarted { .. } => since = record.at,
            // The end of a watch that others were waited for in.
            Event::Agreed { .. } => waited += record.at.since(since),
            Event::StepDone { step } if waits(plan.steps.get(*step)?) => waited += record.at.since(since),
            Event::StepDone { step } if *step == plan.commit() => {
                return Some(record.at.since(events.first()?.at).saturating_sub(waited));
            }
            _ => {}
        }
    }
    None
}

fn waits(step: &Step) -> bool {
    use Step::{Drain, Hook, Prepare, Ready, Rest, Smoke, Start, WarmUp, Watch};
    let waits = matches!(step, Prepare { .. } | Start { .. } | Ready { .. } | WarmUp { .. } | Smoke { .. });
    waits || matches!(step, Hook { .. } | Drain { .. } | Rest { .. } | Watch { .. })
}

/// One line per thing that took time or is worth knowing: when, how long, what.
fn timeline(story: &Story) -> String {
    let mut text = String::new();
    let mut plan: Option<&Plan> = None;
    let (mut since, mut hook_told) = (story.summary.began, false);
    for record in &story.events {
        if let Event::Planned { plan: planned, .. } = &record.event {
            plan = Some(planned);
        }
        let name = |step: usize| plan.and_then(|plan| plan.steps.get(step)).map_or("?", Step::name);
        let told = match &record.event {
            Event::StepStarted { .. } | Event::UndoStarted { .. } | Event::HookStarted { .. } => {
                since = record.at;
                None
            }
            Event::HookEnded { .. } => {
                hook_told = true;
                Some((event::what(&record.event), record.at.since(since)))
            }
            // How it ended has been told with its hook.
            Event::StepDone { .. } | Event::StepFailed { .. } if std::mem::take(&mut hook_told) => None,
            Event::StepDone { step } => Some((name(*step).to_owned(), record.at.since(since))),
            Event::Agreed { .. } => Some((event::what(&record.event), record.at.since(since))),
            Event::UndoDone { step } => Some((format!("undo {}", name(*step)), record.at.since(since))),
            Event::StepFailed { step, failure } => {
                Some((format!("{} failed: {}", name(*step), failure.summary), record.at.since(since)))
            }
            Event::Ended { .. } => None,
            other => Some((event::what(other), Duration::ZERO)),
        };
        if let Some((what, took)) = told {
            let offset = time::length(record.at.since(story.summary.began));
            let took = if took.is_zero() { String::new() } else { time::length(took) };
            text.push_str(&format!("  {offset:>9}  {took:>9}  {what}\n"));
        }
        if let Event::HookEnded { report, .. } = &record.event {
            report.output.iter().for_each(|line| text.push_str(&format!("  {:>20}  | {line}\n", "")));
        }
    }
    text
}
