//! A deployment as a picture: a line for each instance, the time from left to right.

use cutover_core::machine::{Duty, Event, Instance, Record, ServiceState};
use cutover_core::plan::{Plan, Step};
use cutover_core::{InstanceId, Timestamp};

use super::time;
use crate::agent::api::Story;

/// How many columns the time has.
const WIDTH: usize = 72;

/// What is drawn for each duty, with its name for the legend.
const LEGEND: [(char, &str); 6] = [
    ('░', "starts, is probed"),
    ('▒', "known to the proxy, without traffic"),
    ('▓', "a share of the traffic"),
    ('█', "serves"),
    ('╌', "stands by, or finishes what it has"),
    ('·', "makes room"),
];

/// The picture.
pub fn text(story: &Story) -> String {
    let Some(Record { at: began, event: Event::Planned { plan, .. }, .. }) = story.events.first() else {
        return String::new();
    };
    let ended = story.events.last().map_or(*began, |last| last.at);
    let axis = Axis { began: *began, span: ended.since(*began).as_millis().max(1) };
    let rows = rows(story, plan, &axis);
    let label = rows.iter().map(|row| row.of.to_string().len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in &rows {
        text.push_str(&format!("{:<label$} {}\n", row.of.to_string(), row.cells.iter().collect::<String>().trim_end()));
    }
    let (line, marks) = marks(story, plan, &axis);
    text.push_str(&format!("{:<label$} {line}\n", ""));
    let took = time::length(ended.since(*began));
    text.push_str(&format!("{:<label$} 0{took:>width$}\n", "", width = WIDTH - 1));
    let drawn: String = rows.iter().flat_map(|row| &row.cells).collect();
    for (glyph, meaning) in LEGEND.into_iter().filter(|(glyph, _)| drawn.contains(*glyph)).chain(marks) {
        text.push_str(&format!("{:<label$} {glyph} {meaning}\n", ""));
    }
    text
}

struct Axis {
    began: Timestamp,
    span: u128,
}

impl Axis {
    fn column(&self, at: Timestamp) -> usize {
        let column = at.since(self.began).as_millis() * WIDTH as u128 / self.span;
        usize::try_from(column).unwrap_or(WIDTH).min(WIDTH - 1)
    }
}

struct Row {
    of: InstanceId,
    cells: Vec<char>,
}

/// What each instance was there for, from the fold of the events.
fn rows(story: &Story, plan: &Plan, axis: &Axis) -> Vec<Row> {
    let mut state = ServiceState::new(plan.service.clone());
    let serving = Instance { address: None, duty: Duty::Serving, attempt: 0, down: None };
    let before = plan.steps.iter().flat_map(|step| match step {
        Step::Shift { from, .. } => from.clone(),
        _ => Vec::new(),
    });
    state.instances.extend(before.filter(|id| Some(id.release) == plan.from).map(|id| (id, serving.clone())));
    let mut rows: Vec<Row> = Vec::new();
    for record in &story.events {
        // What happened before is not known here, so some events may not fit: the picture does without them.
        let _ = state.apply(record);
        let column = axis.column(record.at);
        for (id, instance) in &state.instances {
            let row = match rows.iter_mut().find(|row| row.of == *id) {
                Some(row) => row,
                None => {
                    rows.push(Row { of: id.clone(), cells: vec![' '; WIDTH] });
                    rows.last_mut().expect("it was just added")
                }
            };
            row.cells[column..].fill(glyph(instance));
        }
    }
    rows
}

fn glyph(instance: &Instance) -> char {
    match instance.duty {
        Duty::Starting => '░',
        Duty::Registered => '▒',
        Duty::Canary { .. } => '▓',
        Duty::Serving => '█',
        Duty::Standby | Duty::Retiring { .. } => '╌',
        Duty::Resting { .. } => '·',
        Duty::Gone => ' ',
    }
}

/// The moments at which the traffic moved, below the lines, and what is drawn for them.
fn marks(story: &Story, plan: &Plan, axis: &Axis) -> (String, Vec<(char, &'static str)>) {
    let mut cells = vec![' '; WIDTH];
    let mut legend = Vec::new();
    for record in &story.events {
        let mark = match &record.event {
            Event::StepDone { step } => match plan.steps.get(*step) {
                Some(Step::Shift { .. } | Step::Weigh { .. }) => ('▲', "the traffic has moved"),
                _ => continue,
            },
            Event::StepStarted { step, .. } if *step == plan.commit() => ('◆', "it counts"),
            Event::StepFailed { .. } | Event::AbortAsked { .. } => ('✗', "back from here"),
            _ => continue,
        };
        cells[axis.column(record.at)] = mark.0;
        if !legend.contains(&mark) {
            legend.push(mark);
        }
    }
    (cells.into_iter().collect::<String>().trim_end().to_owned(), legend)
}
