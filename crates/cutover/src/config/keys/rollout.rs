//! The keys of a rollout.

use super::Default::{Is, None, Rule};
use super::{Form, Section, key};

pub(super) const ROLLOUT: Section = Section {
    path: "service.NAME.rollout",
    meaning: "How the service moves from one release to the next.",
    keys: &[
        key(
            "strategy",
            Form::OneOf(&["blue_green", "rolling", "canary", "recreate"]),
            Is("\"blue_green\""),
            "`blue_green`: all new instances beside all old ones, then all traffic at once. `rolling`: a few at a time. `canary`: a \
             share of the traffic first. `recreate`: the old ones end before the new ones start, and requests wait meanwhile. See \
             [strategies.md](strategies.md).",
        ),
        key("batch", Form::Amount, Is("1"), "With `rolling`: how many instances are replaced at a time."),
        key(
            "max_surge",
            Form::Amount,
            Is("1"),
            "With `rolling`: how many more instances than `replicas` may run at a time; `0` to replace them in place.",
        ),
        key(
            "max_unavailable",
            Form::Amount,
            Is("0"),
            "With `rolling`: how many fewer instances than `replicas` may serve at a time.",
        ),
        key(
            "min_ready",
            Form::Number,
            Rule("what the two above leave, at least 1"),
            "With `rolling`: how many instances must serve at any time; a deployment that would go below is refused.",
        ),
        key(
            "steps",
            Form::Texts,
            None,
            "With `canary`: the shares and how long each is observed, such as `[\"5% for 2m\", \"25% for 5m\", \"100%\"]`.",
        ),
        key(
            "by",
            Form::Sharing,
            Is("\"request\""),
            "With `canary`: what has a share. `\"request\"`: so many of a hundred requests, whoever makes them. Otherwise so many of a \
             hundred clients, each of whom stays with its release: told apart by a `\"cookie\"` of the proxy's own, by their \
             `\"address\"`, or by the value of a header. With `tcp` there are only `\"request\"`, which means connections, and \
             `\"address\"`.",
        ),
        key(
            "false_alarm",
            Form::Percentage,
            Is("\"1%\""),
            "How often, at most, a release that is just like the old one may be found worse, of all deployments. `\"0%\"`: never. See \
             [verdicts.md](verdicts.md).",
        ),
        key(
            "tolerance",
            Form::Percentage,
            Is("\"0.1%\""),
            "How much higher the share of errors must be to matter, in points: from 1 % to 1.1 %.",
        ),
        key(
            "slower",
            Form::Percent,
            Is("\"20%\""),
            "How much longer the median or the p99 of the answers' times must be to matter; at most `\"10000%\"` ...",
        ),
        key("slower_least", Form::Duration, Is("\"1ms\""), "... and by how much at least."),
        key(
            "settle",
            Form::Duration,
            Is("\"30s\""),
            "How long the new release may take to come up to speed, in each step of a canary and in the watch: how long its answers \
             take counts only from then on, and not at all where less time is observed. Errors count at once.",
        ),
        key(
            "metric",
            Form::Tables("service.web.rollout.metric.errors"),
            None,
            "Figures of others that the new release is held against while it is observed: `[service.web.rollout.metric.errors]`.",
        ),
        key(
            "undecided",
            Form::OneOf(&["promote", "roll_back", "ask"]),
            Is("\"promote\""),
            "What happens when too little was seen for a verdict: the release is promoted, or turned back, or the deployment waits, for a \
             day at most, until somebody says `cutover resume` or `cutover abort`.",
        ),
        key(
            "extend",
            Form::Duration,
            Is("\"0s\""),
            "When too little was seen for a verdict, a step of a canary or the watch goes on for so much longer, once, before that happens.",
        ),
        key(
            "hold",
            Form::Duration,
            Is("\"30s\""),
            "With `recreate`: how long a request waits at most while nothing runs; then it is answered with 503.",
        ),
        key(
            "hold_requests",
            Form::Number,
            Is("1000"),
            "With `recreate`: how many requests wait at most; one more is answered with 503. Each holds up to `limits.buffer_body` of \
             its body in memory.",
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
        key(
            "check_memory",
            Form::Flag,
            Is("true"),
            "Refuse a deployment that would run more instances at a time than there is memory and swap space for, taking each for as large \
             as the largest that runs. The plan shows the arithmetic. `false` makes a note of it.",
        ),
        key(
            "no_rollback_past",
            Form::Flag,
            Is("false"),
            "Once this release has committed, `cutover rollback` refuses to go to a release before it: for one whose migrations the \
             earlier ones cannot work with. Until then it goes back as any other. `cutover rollback --past` goes all the same.",
        ),
        key("smoke_within", Form::Duration, Is("\"60s\""), "How long that command may take."),
    ],
};

pub(super) const METRIC: Section = Section {
    path: "service.NAME.rollout.metric.NAME",
    meaning: "A figure that is asked for while a new release is observed, of one of `prometheus`, `http` and `command`. Out of its bounds \
              it turns the release back; no answer says nothing. In `query` and `http`, `{service}`, `{release}` and `{previous}` are replaced. \
              See [verdicts.md](verdicts.md#figures-of-others).",
    keys: &[
        key("prometheus", Form::Text, None, "The address of a Prometheus, such as `\"http://localhost:9090\"`."),
        key("query", Form::Text, None, "With `prometheus`: a query that gives one value."),
        key("http", Form::Text, None, "An address that answers with a number, or with JSON that holds one."),
        key(
            "field",
            Form::Text,
            None,
            "With `http`: where the number is in the JSON, as a pointer such as `\"/data/errors\"`.",
        ),
        key(
            "command",
            Form::Command,
            None,
            "A command whose last line is the number, with exit status 0. It gets `CUTOVER_SERVICE`, `CUTOVER_RELEASE` and \
             `CUTOVER_PREVIOUS`.",
        ),
        key("min", Form::Decimal, None, "The smallest value that is good. One of `min` and `max` must be given."),
        key("max", Form::Decimal, None, "The largest value that is good."),
        key("every", Form::Duration, Is("\"15s\""), "How often it is asked for; once more when the time is over."),
        key("timeout", Form::Duration, Is("\"5s\""), "How long an answer may take."),
    ],
};
