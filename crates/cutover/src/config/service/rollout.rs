//! How a service moves from one release to the next.

use std::collections::BTreeMap;

use cutover_core::rule::verdict;
use cutover_core::spec::{Hook, HookSpec, ReadySpec, RolloutSpec, Strategy, Undecided};
use cutover_core::unit::duration;

use super::command::Command;
use super::{Place, command, metric, program};
use crate::config::reader::{Reader, Zero};

/// Reads the `rollout` table of a service.
pub(super) fn read(
    service: &Reader,
    place: &Place,
    ready: &ReadySpec,
    strategy: Strategy,
    replicas: u16,
    hooks: BTreeMap<Hook, HookSpec>,
) -> RolloutSpec {
    let reader = service.section("rollout");
    let default = RolloutSpec::default();
    let wait = |key, zero| reader.duration(key, zero);
    let smoke = command::read(&reader, "smoke").map(|smoke| beside_file(&reader, "smoke", smoke, place));
    let spec = RolloutSpec {
        strategy,
        watch: wait("watch", Zero::Allowed).unwrap_or(default.watch),
        drain: wait("drain", Zero::Allowed).unwrap_or(default.drain),
        stream_drain: wait("stream_drain", Zero::Allowed).unwrap_or(default.stream_drain),
        deadline: wait("deadline", Zero::Refused).unwrap_or(default.deadline),
        keep_releases: reader.number("keep_releases", 2..=1000).map_or(default.keep_releases, |keep| keep.value),
        smoke,
        smoke_within: wait("smoke_within", Zero::Refused).unwrap_or(default.smoke_within),
        verdict: verdict::Limits {
            false_alarm: reader.percentage("false_alarm").unwrap_or(default.verdict.false_alarm),
            tolerance: reader.percentage("tolerance").unwrap_or(default.verdict.tolerance),
            slower_percent: reader.percent("slower", 10_000).unwrap_or(default.verdict.slower_percent),
            slower_least: wait("slower_least", Zero::Allowed).unwrap_or(default.verdict.slower_least),
        },
        metrics: reader.tables("metric").iter().filter_map(|reader| metric::read(reader, place)).collect(),
        settle: wait("settle", Zero::Allowed).unwrap_or(default.settle),
        undecided: reader.one_of("undecided", &UNDECIDED).unwrap_or_default(),
        extend: wait("extend", Zero::Allowed).unwrap_or(default.extend),
        check_memory: reader.flag("check_memory").is_none_or(|flag| flag.value),
        no_rollback_past: reader.flag("no_rollback_past").is_some_and(|flag| flag.value),
        hooks,
    };
    check_deadline(&reader, &spec, ready, replicas);
    spec
}

const UNDECIDED: [(&str, Undecided); 3] =
    [("promote", Undecided::Promote), ("roll_back", Undecided::RollBack), ("ask", Undecided::Ask)];

/// A deadline below the sum of the limits would undo a deployment that keeps each of them.
fn check_deadline(reader: &Reader, spec: &RolloutSpec, ready: &ReadySpec, replicas: u16) {
    let smoke = if spec.smoke.is_some() { spec.smoke_within } else { std::time::Duration::ZERO };
    let batches = match &spec.strategy {
        Strategy::Rolling(rolling) => usize::from(replicas).div_ceil(rolling.batch.rounded_up(replicas.into()).max(1)),
        _ => 1,
    };
    let limits = (ready.within + spec.drain) * u32::try_from(batches).unwrap_or(u32::MAX) + smoke + spec.watch;
    if spec.deadline < limits {
        let (deadline, limits) = (duration::text(spec.deadline), duration::text(limits));
        reader
            .odd_value(
                "deadline",
                reader.place_of("deadline"),
                format_args!("{deadline} is less than the limits it holds"),
            )
            .hint(format!("ready.within and drain for each batch, smoke_within and watch come to {limits}"));
    }
}

/// A command that the agent runs. It has no working directory of its own, so a program with a `/` becomes absolute, from the
/// folder of the file.
pub(in crate::config) fn beside_file(reader: &Reader, key: &str, command: Command, place: &Place) -> Vec<String> {
    let folder = place.folder.to_owned();
    let search = program::Search { directory: Some(&folder), artifact: None, path: place.surroundings.path() };
    if let Some(program) = command.value.first() {
        program::check(reader, key, program, &search);
    }
    let mut words = command::into_words(Some(command));
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = place.resolve(program).display().to_string();
    }
    words
}
