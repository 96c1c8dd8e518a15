//! The keys of the hooks.

use super::Default::{Is, None, Required};
use super::{Form, Key, Section, key};

const fn hook(name: &'static str, meaning: &'static str) -> Key {
    key(name, Form::Hook, None, meaning)
}

pub(super) const HOOKS: Section = Section {
    path: "service.NAME.hooks",
    meaning: "Commands at certain places of a deployment, each run once for a deployment, not once for an instance; see \
              [hooks.md](hooks.md). A command is a list, or a table with a time limit: \
              `before_start = { command = [\"./migrate\", \"expand\"], within = \"15m\" }`.",
    keys: &[
        hook(
            "before_build",
            "Before the image is built or the artifact is looked at, by whoever calls: in the folder of this file, with the caller's \
             environment.",
        ),
        hook(
            "before_start",
            "Before anything of the new release starts, in its surroundings: for migrations that the old release can live with. A \
             failure ends the deployment.",
        ),
        hook(
            "before_switch",
            "When the first new instances are ready, before the release gets any traffic. A failure undoes the deployment.",
        ),
        hook(
            "after_switch",
            "When all traffic is on the new release, before it is watched. A failure undoes the deployment.",
        ),
        hook(
            "after_watch",
            "When the release counts and the old instances have been stopped: for migrations that the old release could not live \
             with. A failure is told; the release stays live.",
        ),
        hook(
            "on_failure",
            "When a deployment was undone because something failed. A failure of its own changes nothing.",
        ),
        hook(
            "on_rollback",
            "When the release was taken back: its deployment was undone for whatever reason, or `cutover rollback` left it. A failure \
             of its own changes nothing.",
        ),
    ],
};

pub(super) const HOOK: Section = Section {
    path: "service.NAME.hooks.before_start",
    meaning: "A hook with more than its command. The keys are the same for each of them.",
    keys: &[
        key(
            "command",
            Form::Command,
            Required,
            "The program and its arguments, started as the service's own is; no shell is involved. `{release}` and `{artifact}` are \
             replaced in each argument. In a container it takes the place of the image's program and arguments.",
        ),
        key(
            "within",
            Form::Duration,
            Is("\"5m\""),
            "How long it may take; then it is ended with all that it started. It does not count against `deadline`.",
        ),
    ],
};
