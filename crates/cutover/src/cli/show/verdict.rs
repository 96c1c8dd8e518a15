//! What the comparisons of a deployment found, in words.

use std::collections::BTreeMap;

use cutover_core::machine::{Event, Judgement, Record};
use serde::Serialize;

use crate::agent::api::Story;

/// What one step found last.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The step, counted from 1.
    step: usize,
    /// What was found.
    judgement: Judgement,
}

/// The last look of each step.
pub fn last(events: &[Record]) -> Vec<Judged> {
    let judged = events.iter().filter_map(|record| match &record.event {
        Event::Judged { step, judgement } => Some((*step, judgement.as_ref().clone())),
        _ => None,
    });
    let by_step: BTreeMap<usize, Judgement> = judged.collect();
    by_step.into_iter().map(|(step, judgement)| Judged { step: step + 1, judgement }).collect()
}

/// All of them.
pub fn text(story: &Story, judged: &[Judged]) -> String {
    let (deployment, service) = (story.summary.deployment, &story.summary.service);
    if judged.is_empty() {
        return format!(
            "deployment {deployment} of {service} compared nothing: there was no old release, no route of cutover's proxy, or no \
             time for a look"
        );
    }
    let one = |judged: &Judged| match &judged.judgement.findings {
        Some(findings) => format!("step {}: {findings}", judged.step),
        None => format!("step {}: not enough data: no look has counted yet", judged.step),
    };
    judged.iter().map(one).collect::<Vec<_>>().join("\n")
}
