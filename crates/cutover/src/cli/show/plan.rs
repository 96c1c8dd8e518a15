//! A plan, as `cutover plan` shows it.

use console::style;
use cutover_core::plan::{HookCall, Plan, Step};
use cutover_core::spec::{Hook, ServiceSpec};
use cutover_core::unit::duration;

use crate::agent::address;

/// The plan: what starts, what stops, and the steps between.
pub fn text(plan: &Plan, spec: &ServiceSpec) -> String {
    let release =
        |no: Option<_>| no.map_or("nothing".to_owned(), |no: cutover_core::ReleaseNo| format!("release {no}"));
    let mut text = format!("{} {}: {} → {}\n", plan.service, plan.kind.verb(), release(plan.from), release(plan.to));
    for instance in plan.starts() {
        text.push_str(&format!("  {} {instance}  {}\n", style("+").green(), spec.run.title()));
    }
    for instance in plan.adopts() {
        text.push_str(&format!("  {} {instance}  runs already\n", style("=").green()));
    }
    for instance in plan.retires() {
        text.push_str(&format!("  {} {instance}\n", style("-").red()));
    }
    let wide = plan.steps.iter().map(|step| step.name().len()).max().unwrap_or_default().max(9);
    for (index, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!(
            "  {:>2}. {:<wide$} {}\n",
            index + 1,
            step.name(),
            meaning(step, spec.route.as_ref().map(address), plan.makes_room())
        ));
    }
    if plan.together {
        let waits = "before it counts, it waits until all have been observed that are deployed together with it";
        text.push_str(&format!("  {} {waits}\n", style("note:").yellow()));
    }
    for HookCall { hook, within, .. } in &plan.if_undone {
        let when = if *hook == Hook::OnFailure { "undone because something failed" } else { "undone" };
        text.push_str(&format!("  if it is {when}: {}, for {} at most\n", hook.name(), duration::text(*within)));
    }
    for note in &plan.notes {
        text.push_str(&format!("  {} {note}\n", style("note:").yellow()));
    }
    text
}

/// What a step does, in words.
pub fn meaning(step: &Step, route: Option<String>, partial: bool) -> String {
    let count = |instances: &Vec<_>| match instances.len() {
        1 => "1 instance".to_owned(),
        several => format!("{several} instances"),
    };
    match step {
        Step::Prepare { release } => format!("copy what release {release} runs"),
        Step::Adopt { instances } => format!("take over {} that runs already, as it is", count(instances)),
        Step::Start { instances } => format!("start {} beside what serves", count(instances)),
        Step::Ready { within, .. } => format!("probe each on its own address, for {} at most", duration::text(*within)),
        Step::WarmUp { .. } => "make warm-up requests".to_owned(),
        Step::Smoke { instance, .. } => format!("run the smoke command against {instance}"),
        Step::Hook { hook, release, within, .. } => {
            let within = duration::text(*within);
            format!("run the hook of release {release} {}, for {within} at most", place(*hook))
        }
        Step::Register { .. } => {
            "make them known to the proxy, without traffic, and look at each through it".to_owned()
        }
        Step::Shift { to, from } => match (to.len(), from.len(), route) {
            (0, _, _) => format!("take {} out of the traffic", count(from)),
            (_, _, Some(_)) if partial => format!("{} take over from {}", count(to), count(from)),
            (_, _, None) => format!("{} take over", count(to)),
            (_, _, Some(route)) => format!("move all traffic of {route} at once, and look that it moved"),
        },
        Step::Weigh { instances, percent } => format!("{percent} % of the traffic to {}", count(instances)),
        Step::Rest { instances, .. } => {
            format!("stop {} to make room; the way back starts them again", count(instances))
        }
        Step::Drain { within, .. } => {
            format!("let requests in flight finish, for {} at most; streams go on", duration::text(*within))
        }
        Step::Watch { time, .. } => format!("observe for {}, with the way back open", duration::text(*time)),
        Step::Commit { .. } => "from here on it counts".to_owned(),
        Step::Retire { instances } => {
            format!("stop {}, or in the background when their streams have ended", count(instances))
        }
        Step::Prune { releases, .. } if releases.is_empty() => {
            "remove logs of instances that ended long ago".to_owned()
        }
        Step::Prune { releases, .. } => format!(
            "remove {} that no roll back needs",
            match releases.len() {
                1 => "1 release".to_owned(),
                several => format!("{several} releases"),
            }
        ),
    }
}

/// When a hook runs, as a part of a sentence.
fn place(hook: Hook) -> &'static str {
    match hook {
        Hook::BeforeBuild => "before it is built",
        Hook::BeforeStart => "before anything of it starts",
        Hook::BeforeSwitch => "before it gets traffic",
        Hook::AfterSwitch => "now that it has all the traffic",
        Hook::AfterWatch => "now that the old one is gone",
        Hook::OnFailure | Hook::OnRollback => "now that it is taken back",
    }
}
