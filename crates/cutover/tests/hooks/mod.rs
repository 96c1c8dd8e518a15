//! Scripts that are hooks, and what is to be seen of them.

#![allow(dead_code)] // Each test uses a part of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use cutover::agent::api::Story;
use cutover_core::machine::{Event, Record};
use cutover_core::spec::Hook;
use cutover_testkit::host::{App, Host};

pub fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

/// A script in the host's folder: whatever it starts under its own name is found by that.
pub fn script(host: &Host, name: &str, body: &str) -> String {
    let path = host.root().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("it can be written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it can be made executable");
    path.display().to_string()
}

/// The sample with these lines in its table of hooks.
pub fn app(hooks: &str) -> App {
    App { more: format!("\n[service.sample.hooks]\n{hooks}\n"), ..App::default() }
}

pub fn diary(host: &Host) -> PathBuf {
    host.root().join("diary")
}

/// The lines that hooks wrote into the diary.
pub fn lines(host: &Host) -> Vec<String> {
    let text = std::fs::read_to_string(diary(host)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The processes of hooks and their children that run.
pub fn of_hooks(host: &Host) -> Vec<String> {
    let scripts = host.processes().into_iter().filter(|found| found.command.contains(".hook"));
    scripts.map(|found| found.command).collect()
}

/// What `cutover show` has kept of a hook's output.
pub fn output(story: &Story, wanted: Hook) -> Vec<String> {
    let told = |record: &Record| match &record.event {
        Event::HookEnded { hook, report } if *hook == wanted => Some(report.output.clone()),
        _ => None,
    };
    story.events.iter().find_map(told).unwrap_or_default()
}

/// Children of every kind: in the background, in a session of their own that nobody waits for, and one whose environment says nothing
/// of us.
pub const CHILDREN: &str = "sh \"$(dirname $0)/child.hook\" &\n(setsid sh \"$(dirname $0)/child.hook\" &)\n\
     env -i sh \"$(dirname $0)/child.hook\" &\n";

pub fn with_children(host: &Host, then: &str) -> String {
    script(host, "child.hook", "while true; do sleep 0.2; done");
    script(host, "parent.hook", &format!("{CHILDREN}echo begun\n{then}"))
}
