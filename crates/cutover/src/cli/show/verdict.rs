//! What the comparisons of a deployment found, in words.

use std::collections::BTreeMap;

use cutover_core::machine::{Event, Judgement, Record};
use cutover_core::rule::verdict::Outcome;
use serde::Serialize;

use crate::agent::api::Story;

/// What was found last.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// By a step that compared the releases.
    Judged {
        /// The step, counted from 1.
        step: usize,
        /// What was found.
        judgement: Box<Judgement>,
    },
    /// By a step that asked somebody outside for a figure.
    Asked {
        /// The step, counted from 1.
        step: usize,
        /// Which figure.
        metric: String,
        /// What it means.
        outcome: Outcome,
        /// What was answered.
        said: String,
    },
}

/// The last look of each step, and the last answer to each question.
pub fn last(events: &[Record]) -> Vec<Found> {
    let mut found: BTreeMap<(usize, Option<&str>), Found> = BTreeMap::new();
    for record in events {
        match &record.event {
            Event::Judged { step, judgement } => {
                let judged = Found::Judged { step: step + 1, judgement: judgement.clone() };
                found.insert((*step, None), judged);
            }
            Event::Asked { step, metric, outcome, said } => {
                let (metric, said) = (metric.as_str(), said.clone());
                let asked = Found::Asked { step: step + 1, metric: metric.to_owned(), outcome: *outcome, said };
                found.insert((*step, Some(metric)), asked);
            }
            _ => {}
        }
    }
    found.into_values().collect()
}

/// All of them.
pub fn text(story: &Story, found: &[Found]) -> String {
    let (deployment, service) = (story.summary.deployment, &story.summary.service);
    if found.is_empty() {
        return format!(
            "deployment {deployment} of {service} compared nothing: there was no old release, no route of cutover's proxy, or no \
             time for a look"
        );
    }
    let one = |found: &Found| match found {
        Found::Judged { step, judgement } => match &judgement.findings {
            Some(findings) => format!("step {step}: {findings}"),
            None => format!("step {step}: not enough data: no look has counted yet"),
        },
        Found::Asked { step, metric, said, .. } => format!("step {step}: {metric}: {said}"),
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}
