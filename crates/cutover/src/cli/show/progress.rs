//! A deployment as it goes: a list of all stages on a terminal, plain lines in a pipe, values in JSON.

use std::time::Duration;

use console::style;
use cutover_core::machine::{Event, Record};
use cutover_core::plan::{Plan, Step};
use cutover_core::{Failure, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::super::printer::Printer;
use super::{event, time};

/// Shows events as they come.
pub struct Progress {
    printer: Printer,
    plan: Option<Plan>,
    since: Timestamp,
    stages: Option<Stages>,
    /// The step at work, and what was last told of how far it has come.
    at_work: Option<usize>,
    come: Option<String>,
    /// Why the hook failed that is at work, if that does not fail its step.
    hook_failed: Option<Failure>,
}

/// The list of stages on a terminal.
struct Stages {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Progress {
    /// For the printer's kind of output.
    pub fn new(printer: &Printer) -> Self {
        Self {
            printer: printer.clone(),
            plan: None,
            since: Timestamp(0),
            stages: None,
            at_work: None,
            come: None,
            hook_failed: None,
        }
    }

    /// Shows one event.
    pub fn take(&mut self, record: &Record) {
        self.printer.value(record);
        if let Event::Planned { plan, by, .. } = &record.event {
            self.begin(plan, by);
        }
        let took = record.at.since(self.since);
        match &record.event {
            Event::StepStarted { step, .. } => {
                self.since = record.at;
                (self.at_work, self.come) = (Some(*step), None);
                self.spin(*step);
            }
            Event::Agreed { .. } => self.at_work.into_iter().for_each(|step| self.tick(step, took)),
            Event::UndoStarted { .. } => self.since = record.at,
            // Its step tells of it.
            Event::HookEnded { hook, report } if self.at_work.is_some_and(|step| self.name(step) == hook.name()) => {
                self.hook_failed.clone_from(&report.failure);
            }
            Event::StepDone { step } => match self.hook_failed.take() {
                None => self.tick(*step, took),
                Some(failure) => self.fail(*step, &failure),
            },
            Event::StepFailed { step, failure } => {
                self.hook_failed = None;
                self.fail(*step, failure);
            }
            Event::UndoDone { step } if self.step(*step).is_some_and(Step::has_undo) => {
                self.say(format!("  {} undo {}  {}", style("↶").yellow(), self.name(*step), time::length(took)));
            }
            Event::Planned { .. } | Event::UndoDone { .. } | Event::Ended { .. } => {}
            other => self.say(format!("    {}", event::what(other))),
        }
    }

    /// Shows how far the step at work has come: beside its name on a terminal, as a line where there is none.
    pub fn come(&mut self, come: Option<String>) {
        let (Some(step), Some(line)) = (self.at_work, come) else { return };
        if self.come.as_ref() == Some(&line) {
            return;
        }
        match self.bar(step) {
            Some(bar) => bar.set_message(format!("{} {line}", self.name(step))),
            None => self.say(format!("    {line}")),
        }
        self.come = Some(line);
    }

    /// Leaves the list as it is.
    pub fn finish(&mut self) {
        if let Some(stages) = self.stages.take() {
            stages.bars.iter().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }

    fn begin(&mut self, plan: &Plan, by: &str) {
        let release = |no: Option<_>| no.map_or("nothing".to_owned(), |no: cutover_core::ReleaseNo| no.to_string());
        let (from, to) = (release(plan.from), release(plan.to));
        let head = format!("{}: {} {from} → {to}, by {by}", style(&plan.service).bold(), plan.kind.verb());
        self.printer.line(head);
        plan.notes.iter().for_each(|note| self.printer.line(format!("  {} {note}", style("note:").yellow())));
        self.plan = Some(plan.clone());
        if self.printer.live() {
            let all = MultiProgress::new();
            let bars = plan.steps.iter().map(|step| waiting(&all, step)).collect();
            self.stages = Some(Stages { all, bars });
        }
    }

    fn spin(&self, step: usize) {
        let Some(bar) = self.bar(step) else { return };
        bar.set_style(template("  {spinner:.cyan} {msg:<10} {elapsed}"));
        bar.reset_elapsed();
        bar.enable_steady_tick(Duration::from_millis(80));
    }

    fn tick(&self, step: usize, took: Duration) {
        match self.bar(step) {
            None => self.say(format!("  {} {:<9} {}", style("✓").green(), self.name(step), time::length(took))),
            Some(bar) => {
                bar.set_style(template("{msg}"));
                let line = format!("  {} {:<10} {}", style("✓").green(), self.name(step), time::length(took));
                bar.finish_with_message(line);
            }
        }
    }

    fn fail(&self, step: usize, failure: &Failure) {
        self.cross(step);
        self.say(format!("  {} {}: {}", style("✗").red(), self.name(step), failure.summary));
    }

    fn cross(&self, step: usize) {
        if let Some(bar) = self.bar(step) {
            bar.set_style(template("{msg}"));
            bar.abandon_with_message(format!("  {} {}", style("✗").red(), self.name(step)));
        }
    }

    fn say(&self, line: String) {
        match &self.stages {
            Some(stages) => drop(stages.all.println(line)),
            None => self.printer.line(line),
        }
    }

    fn step(&self, index: usize) -> Option<&Step> {
        self.plan.as_ref()?.steps.get(index)
    }

    fn name(&self, index: usize) -> &'static str {
        self.step(index).map_or("?", Step::name)
    }

    fn bar(&self, index: usize) -> Option<&ProgressBar> {
        self.stages.as_ref()?.bars.get(index)
    }
}

fn waiting(all: &MultiProgress, step: &Step) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    bar.set_style(template("  {msg:.dim}"));
    bar.set_message(format!("· {}", step.name()));
    bar.tick();
    bar
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
