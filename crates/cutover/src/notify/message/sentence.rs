//! The facts in one sentence: who did what to which service, what came of it, and what is live.

use std::time::Duration;

use cutover_core::ReleaseNo;
use cutover_core::spec::Occasion;

use super::{Counted, Facts, short};
use crate::figure::{length, number};

/// The sentence.
pub(super) fn of(facts: &Facts) -> String {
    let subject = format!("{}: {} by {}", facts.service, action(facts), short(facts.by));
    match facts.occasion {
        Occasion::Started => format!("{subject} has begun."),
        Occasion::Promoted => format!("{subject}: {} has all the traffic, and is watched.", release(facts.plan.to)),
        Occasion::Failed => format!("{subject} failed: {}; {}.", reason(facts), way_back(facts)),
        Occasion::NeedsYou => needs_you(facts, &subject),
        Occasion::RolledBack if facts.aborted => {
            format!("{subject} was turned back: {}; {}.", reason(facts), as_before(facts))
        }
        Occasion::RolledBack => format!("{subject} was rolled back: {}; {}.", reason(facts), as_before(facts)),
        Occasion::Done => {
            let took = length(facts.at.since(facts.began));
            let hook = facts.hook_failed.as_ref().map(|how| format!(" But {how}: see to it.")).unwrap_or_default();
            format!("{subject} is done after {took}: {}; {}.{hook}", proof(facts.proof.as_ref()), live(facts))
        }
    }
}

/// `deploy 1 → 2`, `restart of release 2`, `stop of release 2`.
fn action(facts: &Facts) -> String {
    let verb = facts.plan.kind.verb();
    match (facts.plan.from, facts.plan.to) {
        (Some(from), Some(to)) if from != to => format!("{verb} {from} → {to}"),
        (_, Some(one)) | (Some(one), None) => format!("{verb} of release {one}"),
        (None, None) => verb.to_owned(),
    }
}

fn reason<'a>(facts: &'a Facts<'_>) -> &'a str {
    facts.reason.as_deref().unwrap_or("it is not known why")
}

/// What follows a failure.
fn way_back(facts: &Facts) -> String {
    match (facts.moved, facts.plan.from) {
        (true, Some(from)) => format!("the traffic goes back to release {from}"),
        (false, Some(from)) => format!("it is being undone, and release {from} stays live"),
        (_, None) => "it is being undone; nothing was live before it".to_owned(),
    }
}

fn needs_you(facts: &Facts, subject: &str) -> String {
    if let (Some(undecided), None) = (&facts.undecided, &facts.stuck_on) {
        let service = facts.service;
        return format!(
            "{subject} needs you: there is no verdict: {undecided}; both releases run, and `cutover resume {service}` lets it go \
             on, `cutover abort {service}` turns it back."
        );
    }
    let stuck_on = facts.stuck_on.as_deref().unwrap_or("it cannot be undone");
    let traffic = if facts.moved { facts.plan.to } else { facts.live };
    let traffic = match traffic {
        Some(release) => format!("release {release} has the traffic"),
        None => "nothing of it is live".to_owned(),
    };
    let because = facts.reason.as_ref().map(|reason| format!(" (it was being undone because: {reason})"));
    let because = because.unwrap_or_default();
    format!(
        "{subject} is stuck and needs you: {stuck_on}{because}; {traffic}, and `cutover abort {}` tries again.",
        facts.service
    )
}

fn as_before(facts: &Facts) -> String {
    match facts.live {
        Some(release) => format!("release {release} is live, as before"),
        None => "nothing of it is live, as before".to_owned(),
    }
}

fn live(facts: &Facts) -> String {
    match facts.live {
        Some(release) => format!("release {release} is live"),
        None => "nothing of it is live".to_owned(),
    }
}

fn proof(proof: Option<&Counted>) -> String {
    let Some(proof) = proof else { return "no requests came by cutover's own proxy".to_owned() };
    let gap = length(Duration::from_micros(proof.longest_gap_us));
    format!("{} requests served, {} failed, longest gap {gap}", number(proof.served), number(proof.failed))
}

fn release(number: Option<ReleaseNo>) -> String {
    number.map_or_else(|| "what is new".to_owned(), |number| format!("release {number}"))
}
