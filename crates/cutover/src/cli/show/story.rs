//! One deployment, step by step.

use std::time::Duration;

use cutover_core::machine::{Event, Outcome};
use cutover_core::plan::Plan;

use super::{event, history, proof, time};
use crate::agent::api::Story;

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
    if let Some(Outcome::RolledBack { failure, .. }) = &summary.outcome {
        text.push_str(&format!("  because: {failure}\n"));
        failure.log.iter().for_each(|line| text.push_str(&format!("  | {line}\n")));
    }
    if summary.proof.is_some() {
        text.push_str(&proof::text(summary.proof.as_ref()));
    }
    text
}

/// One line per thing that took time or is worth knowing: when, how long, what.
fn timeline(story: &Story) -> String {
    let mut text = String::new();
    let mut plan: Option<&Plan> = None;
    let mut since = story.summary.began;
    for record in &story.events {
        if let Event::Planned { plan: planned, .. } = &record.event {
            plan = Some(planned);
        }
        let name = |step: usize| plan.and_then(|plan| plan.steps.get(step)).map_or("?", cutover_core::plan::Step::name);
        let told = match &record.event {
            Event::StepStarted { .. } | Event::UndoStarted { .. } => {
                since = record.at;
                None
            }
            Event::StepDone { step } => Some((name(*step).to_owned(), record.at.since(since))),
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
    }
    text
}
