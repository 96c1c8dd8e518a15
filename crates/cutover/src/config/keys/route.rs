//! The keys of a route.

use super::Default::{Is, Required, Rule};
use super::{Form, Section, key};

pub(super) const ROUTE: Section = Section {
    path: "service.NAME.route",
    meaning: "Which traffic the service gets, by way of cutover's proxy. Several HTTP services may share one address, told \
              apart by host and path: an exact host wins over any host, then the longest path.",
    keys: &[
        key(
            "listen",
            Form::Listen,
            Required,
            "Where the proxy listens: `\":80\"` is port 80 on every IPv4 address, `\"127.0.0.1:8080\"` one address, \
             `\"[::]:80\"` IPv6 too; a plain `8080` is `\":8080\"`.",
        ),
        key("hosts", Form::Texts, Rule("any host"), "The host names, without port; not with `tcp`."),
        key(
            "path",
            Form::Text,
            Is("\"/\""),
            "The beginning of the path: `\"/shop\"` takes `/shop` and `/shop/…` but not `/shopping`; not with `tcp`.",
        ),
        key(
            "tcp",
            Form::Flag,
            Is("false"),
            "Pass on connections of any protocol, instead of HTTP requests. The address then belongs to this \
             service alone.",
        ),
        key(
            "balance",
            Form::OneOf(&["least_connections", "round_robin"]),
            Is("\"least_connections\""),
            "How an instance is chosen: the one with the fewest requests in flight, or each in turn.",
        ),
        key(
            "trusted",
            Form::Texts,
            Is("[]"),
            "Peers whose `X-Forwarded-*` headers are believed, as addresses or ranges such as `\"10.0.0.0/8\"`; \
             from anybody else they are replaced. Belongs to the address: services that share one must agree. Not \
             with `tcp`.",
        ),
        key("limits", Form::Table, Rule("see below"), "Waits and sizes."),
    ],
};

pub(super) const LIMITS: Section = Section {
    path: "service.NAME.route.limits",
    meaning: "Waits and sizes of the proxy; `\"0s\"` is no limit. Only `connect` has a meaning with `tcp`.",
    keys: &[
        key("connect", Form::Duration, Is("\"2s\""), "How long a connection to an instance may take to open."),
        key(
            "answer",
            Form::Duration,
            Is("\"60s\""),
            "How long an instance may take from the end of the request to the head of its answer.",
        ),
        key(
            "keep_idle",
            Form::Duration,
            Is("\"4s\""),
            "How long a connection to an instance is kept idle. Keep it below the time after which the program \
             closes idle connections (5 s in many).",
        ),
        key(
            "buffer_body",
            Form::Size,
            Is("\"16KiB\""),
            "Request bodies up to this size are read in full before an instance is chosen, so that a slow upload \
             holds nobody.",
        ),
        key("max_body", Form::Size, Is("\"100MiB\""), "The largest request body that is passed on; 413 beyond."),
    ],
};
