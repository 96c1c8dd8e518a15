//! What is said about a deployment: from its events to facts, and from the facts to a sentence. Pure.
//!
//! **Invariant.** Nothing that a program wrote gets in: failures are told without their log lines, which may hold anything.

mod sentence;
#[cfg(test)]
mod tests;

use cutover_core::machine::{Event, Outcome, Record};
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::proof::Proof;
use cutover_core::spec::Occasion;
use cutover_core::{DeploymentId, Failure, ReleaseNo, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// The version of the fields below. A field that is added leaves it, a field that changes its meaning does not.
const VERSION: u32 = 1;

/// A reason longer than this is cut.
const LONGEST_REASON: usize = 400;

/// What a receiver gets: as JSON these very fields, in words the `text`. Documented in `docs/notifications.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The version of these fields.
    pub version: u32,
    /// The same at every try, and for nothing else: receivers drop what they have seen.
    pub id: String,
    /// The occasion, or `test`.
    pub event: String,
    /// When it happened, in UTC.
    pub at: String,
    /// All of it in a sentence.
    pub text: String,
    /// The project.
    pub project: String,
    /// The service.
    pub service: Option<ServiceName>,
    /// The deployment.
    pub deployment: Option<DeploymentId>,
    /// What was asked for.
    pub action: Option<Kind>,
    /// The release that was live when it began.
    pub from: Option<ReleaseNo>,
    /// The release that it leads to.
    pub to: Option<ReleaseNo>,
    /// Who asked.
    pub by: String,
    /// The release that is live now.
    pub live: Option<ReleaseNo>,
    /// Why it failed, was undone or needs a person.
    pub reason: Option<String>,
    /// What was counted, at the end.
    pub proof: Option<Counted>,
}

/// What was counted at the proxy while the deployment ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Requests that an instance answered.
    pub served: u64,
    /// Requests that got no whole answer.
    pub failed: u64,
    /// Answers with a status from 500 to 599 that the application gave.
    pub errors: u64,
    /// Requests sent a second time.
    pub retried: u64,
    /// The longest time in which requests waited and none was answered, in microseconds.
    pub longest_gap_us: u64,
    /// How long the deployment took, in milliseconds.
    pub took_ms: u64,
}

impl From<&Proof> for Counted {
    fn from(proof: &Proof) -> Self {
        let Proof { served, failed, errors, retried, longest_gap_us, took_ms, .. } = *proof;
        Self { served, failed, errors, retried, longest_gap_us, took_ms }
    }
}

/// What the events of a deployment tell, up to the last of them.
#[derive(Debug, Clone)]
struct Facts<'a> {
    occasion: Occasion,
    service: &'a ServiceName,
    deployment: DeploymentId,
    plan: &'a Plan,
    by: &'a str,
    began: Timestamp,
    at: Timestamp,
    /// Whether the new instances have the traffic.
    moved: bool,
    live: Option<ReleaseNo>,
    reason: Option<String>,
    /// The hook that failed when nothing could be undone any more, and how.
    hook_failed: Option<String>,
    /// What could not be undone.
    stuck_on: Option<String>,
    /// What is missing for a verdict, while a person is asked.
    undecided: Option<String>,
    aborted: bool,
    proof: Option<Counted>,
}

/// The message about the last of these events, which are those of one deployment from its beginning; `None` if nobody is
/// told of such an event. `journal` is the name of the journal that they are from.
pub fn about(events: &[Record], project: &str, journal: &str) -> Option<Message> {
    let facts = Facts::of(events)?;
    let seq = events.last()?.seq;
    Some(Message {
        version: VERSION,
        id: format!("{journal}-{seq}"),
        event: facts.occasion.name().to_owned(),
        at: moment(facts.at),
        text: sentence::of(&facts),
        project: project.to_owned(),
        service: Some(facts.service.clone()),
        deployment: Some(facts.deployment),
        action: Some(facts.plan.kind),
        from: facts.plan.from,
        to: facts.plan.to,
        by: facts.by.to_owned(),
        live: facts.live,
        reason: facts.why().cloned(),
        proof: facts.proof,
    })
}

/// A message that only shows that messages arrive.
pub fn test(id: String, project: &str, sink: &str, by: &str, at: Timestamp) -> Message {
    Message {
        version: VERSION,
        id,
        event: "test".to_owned(),
        at: moment(at),
        text: format!("{project}: this is a test of the notification {sink}, by {by}."),
        project: project.to_owned(),
        service: None,
        deployment: None,
        action: None,
        from: None,
        to: None,
        by: by.to_owned(),
        live: None,
        reason: None,
        proof: None,
    }
}

/// Whether somebody may be told of an event like this. It saves reading the deployment for all others.
pub fn may_tell(event: &Event) -> bool {
    use Event::{Ended, Planned, StepDone, StepFailed, Undecided, UndoFailed};
    let told = matches!(event, Planned { .. } | StepDone { .. } | Undecided { .. } | Ended { .. });
    told || matches!(event, StepFailed { .. } | UndoFailed { .. })
}

/// What an event is to those who are told. Whatever else will make a deployment wait for a person belongs to
/// [`Occasion::NeedsYou`].
fn occasion(event: &Event, plan: &Plan) -> Option<Occasion> {
    match event {
        Event::Planned { .. } => Some(Occasion::Started),
        Event::StepDone { step } if is_last_shift(plan, *step) => Some(Occasion::Promoted),
        Event::StepFailed { .. } => Some(Occasion::Failed),
        Event::UndoFailed { .. } | Event::Undecided { .. } => Some(Occasion::NeedsYou),
        Event::Ended { outcome: Outcome::Done, .. } => Some(Occasion::Done),
        Event::Ended { outcome: Outcome::RolledBack { .. }, .. } => Some(Occasion::RolledBack),
        _ => None,
    }
}

/// Whether all the traffic is on the new release when this step is done: no later one moves more of it.
fn is_last_shift(plan: &Plan, step: usize) -> bool {
    let moves = |step: &Step| matches!(step, Step::Shift { to, .. } if !to.is_empty());
    plan.steps.iter().rposition(moves) == Some(step)
}

impl<'a> Facts<'a> {
    fn of(events: &'a [Record]) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let Event::Planned { deployment, plan, by, .. } = &first.event else { return None };
        let mut facts = Self {
            occasion: occasion(&last.event, plan)?,
            service: &first.service,
            deployment: *deployment,
            plan,
            by,
            began: first.at,
            at: last.at,
            moved: false,
            live: plan.from,
            reason: None,
            hook_failed: None,
            stuck_on: None,
            undecided: None,
            aborted: false,
            proof: None,
        };
        events.iter().for_each(|record| facts.take(&record.event));
        Some(facts)
    }

    /// What comes first of what is wrong.
    fn why(&self) -> Option<&String> {
        let Self { stuck_on, reason, undecided, hook_failed, .. } = self;
        stuck_on.as_ref().or(reason.as_ref()).or(undecided.as_ref()).or(hook_failed.as_ref())
    }

    fn take(&mut self, event: &Event) {
        let step = |index: &usize| self.plan.steps.get(*index);
        match event {
            Event::StepStarted { step: index, .. } => match step(index) {
                Some(Step::Shift { to, .. }) if !to.is_empty() => self.moved = true,
                Some(Step::Commit { live }) => self.live = *live,
                _ => {}
            },
            Event::UndoStarted { step: index, .. } if matches!(step(index), Some(Step::Shift { .. })) => {
                self.moved = false;
            }
            Event::Undecided { reason, .. } => self.undecided = Some(short(reason)),
            Event::ResumeAsked { .. } | Event::PromoteAsked { .. } => self.undecided = None,
            Event::StepFailed { failure, .. } => self.reason = Some(told(failure)),
            Event::AbortAsked { by, reason } => {
                self.reason = Some(short(&format!("aborted by {by}: {reason}")));
                self.aborted = true;
            }
            Event::HookEnded { report, .. } => self.hook_failed = report.failure.as_ref().map(told),
            Event::UndoFailed { failure, .. } => self.stuck_on = Some(told(failure)),
            Event::UndoRetried { .. } => self.stuck_on = None,
            Event::Ended { outcome, proof } => {
                self.proof = proof.as_ref().map(Counted::from);
                if let Outcome::RolledBack { failure, aborted } = outcome {
                    (self.reason, self.aborted) = (Some(told(failure)), *aborted);
                }
            }
            _ => {}
        }
    }
}

/// A failure on one line, without what a program wrote.
fn told(failure: &Failure) -> String {
    short(&failure.to_string())
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn moment(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| "?".to_owned(), |at| format!("{at:.3}"))
}
