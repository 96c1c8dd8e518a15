use cutover_core::InstanceId;
use cutover_core::machine::HookReport;
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::spec::Hook;

use super::*;

const WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

fn service() -> ServiceName {
    ServiceName::new("web").unwrap()
}

fn plan(kind: Kind, from: Option<u32>, to: Option<u32>) -> Plan {
    let instance = |release: u32| InstanceId { service: service(), release: ReleaseNo(release), number: release };
    let (new, old): (Vec<_>, Vec<_>) =
        (to.map(instance).into_iter().collect(), from.map(instance).into_iter().collect());
    let live = to.map(ReleaseNo);
    let steps = vec![
        Step::Ready { instances: new.clone(), within: WITHIN },
        Step::Shift { to: new, from: old },
        Step::Commit { live },
    ];
    Plan {
        service: service(),
        kind,
        from: from.map(ReleaseNo),
        to: live,
        steps,
        stream_drain: WITHIN,
        hold: None,
        together: false,
        pin: None,
        preview: None,
        if_undone: Vec::new(),
        no_rollback_past: false,
        notes: Vec::new(),
    }
}

fn begun(step: usize) -> Event {
    Event::StepStarted { step, until: Timestamp(0) }
}

fn failure() -> Failure {
    let failure = Failure::new("web.r2.i2 was not ready within 20s").hint("look at it");
    Failure { causes: vec!["it answered\n503".to_owned()], ..failure }.log(vec!["password=hunter2".to_owned()])
}

fn undone(aborted: bool) -> Event {
    Event::Ended { outcome: Outcome::RolledBack { failure: failure(), aborted }, proof: None }
}

fn done(proof: Option<Proof>) -> Event {
    Event::Ended { outcome: Outcome::Done, proof }
}

/// What is said of the last of these events.
fn said_of(plan: Plan, events: Vec<Event>) -> Option<Message> {
    let (deployment, by, deadline) = (DeploymentId(7), "ann@vm".to_owned(), Timestamp(0));
    let planned = Event::Planned { deployment, plan, by, deadline, fingerprint: None, baseline: None };
    let events = std::iter::once(planned).chain(events).zip(1..);
    let record = |(event, seq): (Event, u64)| {
        let at = Timestamp(1_795_000_000_000 + seq * 1200);
        Record { seq, at, service: service(), deployment: Some(deployment), event }
    };
    about(&events.map(record).collect::<Vec<_>>(), "shop", "j0")
}

fn sentences() -> Vec<(String, String)> {
    let proof = Proof { served: 1114, longest_gap_us: 2000, took_ms: 11_100, ..Proof::default() };
    let deploy = || plan(Kind::Deploy, Some(1), Some(2));
    let first = || plan(Kind::Deploy, None, Some(1));
    let failed = |step: usize| Event::StepFailed { step, failure: failure() };
    let stuck = Event::UndoFailed { step: 1, failure: Failure::new("web.r1.i1 does not pass its probe") };
    let abort = Event::AbortAsked { by: "bob".to_owned(), reason: "by hand".to_owned() };
    let shifted = || [begun(0), Event::StepDone { step: 0 }, begun(1)].to_vec();
    let after_shift = |more: &[Event]| [&shifted()[..], more].concat();
    let committed =
        |end: Event| after_shift(&[Event::StepDone { step: 1 }, begun(2), Event::StepDone { step: 2 }, end]);
    let report = HookReport { failure: Some(failure()), output: vec!["password=hunter2".to_owned()] };
    let told = Event::HookEnded { hook: Hook::AfterWatch, report: Box::new(report) };
    let committed_with_hook = || {
        let behind = [Event::StepDone { step: 1 }, begun(2), Event::StepDone { step: 2 }, told.clone(), done(None)];
        after_shift(&behind)
    };
    let cases = vec![
        ("begun", deploy(), vec![]),
        ("the first begun", first(), vec![]),
        ("promoted", deploy(), after_shift(&[Event::StepDone { step: 1 }])),
        ("failed before the traffic moved", deploy(), vec![begun(0), failed(0)]),
        ("failed after it", deploy(), after_shift(&[failed(1)])),
        ("the first failed", first(), vec![begun(0), failed(0)]),
        ("stuck", deploy(), after_shift(&[failed(1), stuck.clone()])),
        ("stuck when aborted", deploy(), after_shift(&[abort.clone(), stuck])),
        ("rolled back", deploy(), vec![begun(0), failed(0), undone(false)]),
        ("aborted", deploy(), vec![begun(0), abort, undone(true)]),
        ("the first rolled back", first(), vec![begun(0), failed(0), undone(false)]),
        ("done", deploy(), committed(done(Some(proof)))),
        ("done, but for a hook", deploy(), committed_with_hook()),
        ("a worker is done", deploy(), committed(done(None))),
        ("a roll back is done", plan(Kind::Rollback, Some(2), Some(1)), committed(done(None))),
        ("a restart is done", plan(Kind::Restart, Some(2), Some(2)), committed(done(None))),
        ("a stop is done", plan(Kind::Stop, Some(2), None), committed(done(None))),
    ];
    let said = |(what, plan, events): (&str, Plan, Vec<Event>)| {
        let message = said_of(plan, events).unwrap_or_else(|| panic!("nothing is said of {what}"));
        (format!("{what} ({})", message.event), message.text)
    };
    cases.into_iter().map(said).collect()
}

#[test]
fn each_occasion_has_its_sentence() {
    let told: String = sentences().iter().map(|(what, text)| format!("{what}\n  {text}\n")).collect();
    insta::assert_snapshot!(told);
}

/// Seen to fail with the log lines of a failure in the reason.
#[test]
fn no_sentence_tells_what_a_program_wrote_nor_breaks_a_line() {
    for (what, text) in sentences() {
        assert!(!text.contains("hunter2") && !text.contains('\n'), "{what}: {text}");
    }
}

#[test]
fn nobody_is_told_of_the_steps_between() {
    let deploy = || plan(Kind::Deploy, Some(1), Some(2));
    assert_eq!(said_of(deploy(), vec![begun(0)]), None);
    assert_eq!(said_of(deploy(), vec![begun(0), Event::StepDone { step: 0 }]), None);
    let unlocked = Event::Unlocked { by: "ann".to_owned() };
    assert_eq!(said_of(deploy(), vec![unlocked]), None);
    assert_eq!(about(&[], "shop", "j0"), None);
}

/// Nothing is promoted by a stop, and a rollout that moves the traffic in parts has promoted its release after the last.
/// Seen to fail with every shift taken for the last.
#[test]
fn promoted_is_who_has_all_the_traffic() {
    let stop = plan(Kind::Stop, Some(2), None);
    assert_eq!(said_of(stop, vec![begun(1), Event::StepDone { step: 1 }]), None);
    let mut parts = plan(Kind::Deploy, Some(1), Some(2));
    parts.steps.insert(1, parts.steps[1].clone());
    assert_eq!(said_of(parts.clone(), vec![begun(1), Event::StepDone { step: 1 }]), None);
    let second = said_of(parts, vec![begun(1), Event::StepDone { step: 1 }, begun(2), Event::StepDone { step: 2 }]);
    assert_eq!(second.map(|message| message.event).as_deref(), Some("promoted"));
}

/// The documented form. A change of it is a new version.
#[test]
fn the_fields_are_these() {
    let proof =
        Proof { served: 12, failed: 1, errors: 2, retried: 3, longest_gap_us: 4, took_ms: 5, ..Proof::default() };
    let events = [begun(0), begun(1), begun(2), done(Some(proof))].to_vec();
    let message = said_of(plan(Kind::Deploy, Some(1), Some(2)), events).unwrap();
    let json = serde_json::to_string_pretty(&message).unwrap();
    insta::assert_snapshot!(json);
    assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
}
