//! The keys of a rollout.

use super::Default::{Is, None};
use super::{Form, Section, key};

pub(super) const ROLLOUT: Section = Section {
    path: "service.NAME.rollout",
    meaning: "How the service moves from one release to the next.",
    keys: &[
        key(
            "strategy",
            Form::OneOf(&["blue_green"]),
            Is("\"blue_green\""),
            "`blue_green`: all new instances are started beside all old ones, then all traffic moves at once.",
        ),
        key(
            "watch",
            Form::Duration,
            Is("\"10s\""),
            "How long the new release is observed, with the old one still alive, before the deployment counts as \
             done. Until then going back is instant.",
        ),
        key(
            "drain",
            Form::Duration,
            Is("\"30s\""),
            "How long requests in flight may take to finish on the old release.",
        ),
        key(
            "stream_drain",
            Form::Duration,
            Is("\"1h\""),
            "How long streams (WebSocket, event streams, TCP connections) may live on the old release. They do not \
             hold up the deployment.",
        ),
        key(
            "deadline",
            Form::Duration,
            Is("\"10m\""),
            "The whole deployment, to the end of the watch, must end within this time, or it is undone.",
        ),
        key(
            "keep_releases",
            Form::Number,
            Is("5"),
            "How many releases are kept to roll back to, the live one included; 2 to 1000.",
        ),
        key(
            "smoke",
            Form::Command,
            None,
            "A command that tries the new release before it gets traffic; exit status 0 passes. It gets \
             `CUTOVER_PREVIEW_URL`, `CUTOVER_SERVICE` and `CUTOVER_RELEASE`.",
        ),
        key("smoke_within", Form::Duration, Is("\"60s\""), "How long that command may take."),
    ],
};
