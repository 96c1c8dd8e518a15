//! The keys of a route.

use super::Default::{self, Is, Required, Rule};
use super::{Form, Section, key};

pub(super) const ROUTE: Section = Section {
    path: "service.NAME.route",
    meaning: "Which traffic the service gets, by way of cutover's proxy. Several HTTP services may share one address, told \
              apart by host and path: an exact host wins over a wildcard, that over any host, then the longest path. What else is \
              done with requests, and the same in nginx: [routing.md](routing.md).",
    keys: &[
        key(
            "listen",
            Form::ListenOrSocket,
            Rule("required without `nginx`"),
            "Where the proxy listens: `\":80\"` is port 80 on every IPv4 address, `\"127.0.0.1:8080\"` one address, \
             `\"[::]:80\"` IPv6 too; a plain `8080` is `\":8080\"`. `\"unix:/run/shop/web.sock\"` is a unix socket, for somebody in front on the \
             same machine: see [routing.md](routing.md#listening-on-a-unix-socket).",
        ),
        key(
            "preview",
            Form::Listen,
            Default::None,
            "Another address, such as `\"127.0.0.1:8101\"`, where people can look at a new release while it is deployed, with or \
             without traffic. 503 while there is none. See [strategies.md](strategies.md#preview).",
        ),
        key(
            "hosts",
            Form::Texts,
            Rule("any host"),
            "The host names, without port; `\"*.example.com\"` is every name below `example.com`; not with `tcp`.",
        ),
        key(
            "path",
            Form::Paths,
            Is("\"/\""),
            "The beginning of the path, or a list of them: `\"/shop\"` takes `/shop` and `/shop/…` but not `/shopping`; not with \
             `tcp`.",
        ),
        key(
            "strip",
            Form::Flag,
            Is("false"),
            "Whether the instances get the path without that beginning; it is told them in `X-Forwarded-Prefix`.",
        ),
        key(
            "tcp",
            Form::Flag,
            Is("false"),
            "Pass on connections of any protocol, instead of HTTP requests. The address then belongs to this \
             service alone.",
        ),
        key(
            "protocol",
            Form::OneOf(&["http1", "h2c", "h2"]),
            Is("\"http1\""),
            "What the instances are spoken to in: HTTP/1.1, or HTTP/2, as gRPC needs it: `\"h2c\"` without TLS and with prior knowledge, \
             `\"h2\"` with `instance_tls`. Clients may speak either in all cases. Not with `tcp`. See [http2.md](http2.md).",
        ),
        key(
            "instance_tls",
            Form::Table,
            Default::None,
            "TLS to the instances, mutual if asked. Not with `tcp`, where bytes are passed on as they are.",
        ),
        key(
            "balance",
            Form::OneOf(&["least_connections", "round_robin", "power_of_two", "hash"]),
            Is("\"least_connections\""),
            "How an instance is chosen: the one with the fewest requests in flight; each in turn; of two, taken at random, the one with \
             fewer requests; or the same one for the same client. See [balancing.md](balancing.md).",
        ),
        key(
            "hash_header",
            Form::Text,
            Rule("the client's address"),
            "With `balance = \"hash\"`: the header whose value tells clients apart, such as `\"X-Tenant\"`. A request without it goes \
             where the load is least. Not with `tcp`.",
        ),
        key(
            "sticky",
            Form::Flag,
            Is("false"),
            "A client stays with the instance that answered it first, by a cookie, as long as that serves. Not with `tcp`.",
        ),
        key(
            "slow_start",
            Form::Duration,
            Is("\"0s\""),
            "How long an instance that begins to serve is spared: it gets a tenth of its share at first, and more as time passes.",
        ),
        key("eject", Form::Table, Rule("see below"), "When an instance that fails is left out for a while."),
        key(
            "metrics",
            Form::Listen,
            Default::None,
            "An address, such as `\"127.0.0.1:9180\"`, where Prometheus reads the service's counters at `/metrics`. Services may share \
             it. Whoever reaches it may read: keep it off the Internet. See [metrics.md](metrics.md).",
        ),
        key("access_log", Form::Table, Rule("see below"), "A line in a file for each request."),
        key(
            "request_id",
            Form::Flag,
            Is("false"),
            "Each request gets an `X-Request-ID`, which its answer names too; that of a `trusted` peer is kept. Not with `tcp`.",
        ),
        key(
            "trace",
            Form::Flag,
            Is("false"),
            "A request without a `traceparent` (W3C Trace Context) gets one, marked as sampled. One that has it keeps it in any case. \
             Not with `tcp`.",
        ),
        key("spans", Form::Table, Rule("see below"), "A span for each request, sent over OTLP. Not with `tcp`."),
        key(
            "trusted",
            Form::Texts,
            Is("[]"),
            "Peers whose `X-Forwarded-*` headers are believed, as addresses or ranges such as `\"10.0.0.0/8\"`, or `\"unix:\"` for \
             whoever comes by the unix socket; from anybody else they are replaced. Belongs to the address: services that share one must agree. Not \
             with `tcp`.",
        ),
        key(
            "proxy_from",
            Form::Texts,
            Is("[]"),
            "Peers that begin each connection with a header of the PROXY protocol, version 1 or 2, such as a load balancer for TCP: as addresses \
             or ranges, or `\"unix:\"`. From these it is required, from others it is not read. Belongs to the address, like `trusted`.",
        ),
        key(
            "send_proxy",
            Form::OneOf(&["v1", "v2"]),
            Default::None,
            "With `tcp`: each connection to an instance begins with a header of the PROXY protocol that names the client.",
        ),
        key("limits", Form::Table, Rule("see below"), "Waits and sizes."),
        key("tls", Form::Table, Rule("none"), "TLS at `listen`."),
        key("redirect", Form::List("service.web.route.redirect"), Default::None, "Requests that are sent elsewhere."),
        key(
            "rewrite",
            Form::List("service.web.route.rewrite"),
            Default::None,
            "Paths that instances get in another form.",
        ),
        key("request_headers", Form::Table, Default::None, "Headers of requests that are set, added or removed."),
        key("response_headers", Form::Table, Default::None, "Headers of answers that are set, added or removed."),
        key(
            "pages",
            Form::Values,
            Default::None,
            "Files that clients see in place of the proxy's own words: `{ 502 = \"errors/down.html\" }`, for 401, \
             403, 404, 413, 429, 502, 503 and 504. What an instance answers stays as it is. UTF-8 text of at most 64 KiB, read by `cutover deploy`: `.html`, `.json`, or plain text.",
        ),
        key("files", Form::List("service.web.route.files"), Default::None, "Files that the proxy sends itself."),
        key("access", Form::Table, Default::None, "Who may ask, and how much."),
        key("password", Form::Table, Default::None, "Only with a name and a password."),
        key("compress", Form::Table, Default::None, "Text is compressed on its way to the client."),
        key("maintenance", Form::Table, Rule("see below"), "What clients get during maintenance."),
        key(
            "nginx",
            Form::Table,
            Rule("see below"),
            "An nginx that is there already sends the traffic, in place of cutover's proxy: nothing but `tcp` stands beside \
             it.",
        ),
    ],
};

pub(super) const NGINX: Section = Section {
    path: "service.NAME.route.nginx",
    meaning: "An nginx that is there already, and the place in its configuration that says who serves. One of `upstream`, \
              `variable`, `down` and `sites` says what is written into `file`. How each works, what it proves, and why it is \
              better to point nginx once at cutover's proxy: [nginx.md](nginx.md).",
    keys: &[
        key(
            "file",
            Form::Path,
            Required,
            "The file that is written, on the host that nginx runs on. For a container: on this host, in a folder that is \
             mounted into it. nginx's configuration must include it already.",
        ),
        key(
            "upstream",
            Form::Text,
            Default::None,
            "The file gets a whole block `upstream NAME { … }`, for `proxy_pass http://NAME` or `fastcgi_pass NAME`.",
        ),
        key(
            "directives",
            Form::Texts,
            Is("[]"),
            "More directives of that block, such as `[\"keepalive 16\", \"least_conn\"]`; with `upstream`.",
        ),
        key(
            "server",
            Form::Text,
            Default::None,
            "Parameters of each server in that block, such as `\"max_fails=3 fail_timeout=5s\"`; with `upstream`.",
        ),
        key(
            "variable",
            Form::Text,
            Default::None,
            "The file gets `set $NAME value;`, for `proxy_pass $NAME`. For one instance.",
        ),
        key(
            "value",
            Form::Text,
            Is("\"http://{address}\""),
            "What the variable is set to; `{address}` becomes `address:port`. With `variable`.",
        ),
        key(
            "down",
            Form::Text,
            Default::None,
            "The name of an upstream in `file`, which is yours: the word `down` is added to its `server` lines and taken \
             away, and nothing else is touched. For instances on fixed ports or addresses.",
        ),
        key(
            "sites",
            Form::Values,
            Default::None,
            "Files of yours by port or `address:port`: the one for whoever serves is copied to `file`. For one instance on \
             fixed ports or addresses.",
        ),
        key(
            "container",
            Form::Text,
            Default::None,
            "The container that nginx runs in: its name, or `project/service` for a service of a Compose project.",
        ),
        key(
            "ssh",
            Form::Text,
            Default::None,
            "The host that nginx runs on, as ssh takes it: `user@host`, or a name of ssh's configuration. It must work \
             without asking for a password.",
        ),
        key(
            "ssh_options",
            Form::Texts,
            Default::None,
            "Options for ssh, such as `[\"-i\", \"/etc/cutover/key\"]`; with `ssh`.",
        ),
        key(
            "command",
            Form::Command,
            Is("[\"nginx\"]"),
            "The program, before `-t` and `-s reload`: for an agent that is not root perhaps `[\"sudo\", \"-n\", \"nginx\"]`.",
        ),
        key("config", Form::Path, Rule("the built-in one"), "nginx's main configuration (its option `-c`)."),
        key(
            "reload",
            Form::Command,
            Rule("`command` with `-s reload`"),
            "The command that makes nginx read its configuration again, such as `[\"systemctl\", \"reload\", \"nginx\"]`.",
        ),
        key(
            "url",
            Form::Text,
            Default::None,
            "Where clients reach the service, seen from here. With `http://` it is asked after each switch, and the answer \
             must come by way of the new state.",
        ),
        key(
            "advertise",
            Form::Text,
            Rule("the instance's own"),
            "The address by which nginx reaches the instances, if that is another one: this host's, when nginx is elsewhere.",
        ),
        key(
            "access_log",
            Form::Path,
            Default::None,
            "The access log of the service, where nginx runs: inside the container, or on the other host. Its errors then tell whether a \
             new release is worse. See [verdicts.md](verdicts.md#behind-an-nginx).",
        ),
    ],
};

pub(super) const TLS: Section = Section {
    path: "service.NAME.route.tls",
    meaning: "TLS at the address of the route. Several services that share an address each bring their certificate: a client is \
              shown the one for the host that it asks for. What happens when files change, expire or are wrong: \
              [tls.md](tls.md).",
    keys: &[
        key(
            "acme",
            Form::TrueOrTable,
            Default::None,
            "The proxy orders a certificate for each of the `hosts`, from Let's Encrypt if nothing else is said, and renews them \
             in time.",
        ),
        key(
            "certificate",
            Form::Path,
            Rule("required without `acme`"),
            "The certificate in PEM, and behind it those that vouch for it (certbot's `fullchain.pem`). Read again when it \
             changes.",
        ),
        key(
            "key",
            Form::Path,
            Rule("required without `acme`"),
            "Its private key in PEM, not encrypted. The proxy must be able to read it.",
        ),
        key(
            "minimum",
            Form::OneOf(&["1.2", "1.3"]),
            Is("\"1.2\""),
            "The oldest version of TLS that is spoken with clients that ask for the hosts of this service.",
        ),
        key(
            "redirect",
            Form::Listen,
            Default::None,
            "Another address, usually `\":80\"`, where the same hosts and path are answered with 308 and the way to this one. It may \
             be shared with services without TLS; not with `tcp`.",
        ),
        key(
            "hsts",
            Form::Duration,
            Default::None,
            "Tells browsers for how long to remember that there is nothing here without TLS, such as `\"365d\"`. `\"0s\"` makes them \
             forget. What the application says itself has precedence; not with `tcp`.",
        ),
    ],
};

pub(super) const ACCESS_LOG: Section = Section {
    path: "service.NAME.route.access_log",
    meaning: "A line for each request, written by the proxy beside its work: what the disk is too slow for is dropped and counted, \
              and no request waits. See [access-log.md](access-log.md).",
    keys: &[
        key(
            "file",
            Form::Path,
            Required,
            "The file. Services may share one, if they agree in `max_size` and `keep`. Opened anew by `cutover proxy reopen`.",
        ),
        key(
            "format",
            Form::Text,
            Is("\"combined\""),
            "`\"combined\"` as nginx and Apache write it, `\"json\"`, or a line of your own with nginx's names, such as \
             `\"$remote_addr $status $request_time $instance\"`.",
        ),
        key("query", Form::Flag, Is("true"), "Whether query strings are written, those of the referring page too."),
        key(
            "max_size",
            Form::Size,
            Is("\"100MiB\""),
            "At this size the file is set aside as `FILE.1`, and begun anew. `0` leaves that to others, such as logrotate.",
        ),
        key("keep", Form::Number, Is("5"), "How many files that were set aside are kept."),
    ],
};

pub(super) const SPANS: Section = Section {
    path: "service.NAME.route.spans",
    meaning: "A span for each request, sent over OTLP/HTTP to whoever collects traces. No request waits for it: what the receiver is too slow \
              for is dropped and counted. See [tracing.md](tracing.md).",
    keys: &[
        key(
            "endpoint",
            Form::Text,
            Required,
            "The receiver, such as `\"https://collector.example.com:4318\"`. Without a path, `/v1/traces` is meant. No user and no query: \
             secrets go to `headers_file`.",
        ),
        key(
            "headers_file",
            Form::Path,
            Default::None,
            "A file of lines `Name: value` that are sent along, such as `Authorization: Bearer …`. The proxy reads it before each batch, and nobody \
             shows it.",
        ),
        key(
            "ca_file",
            Form::Path,
            Rule("whom this machine believes"),
            "Certificates in PEM that vouch for the receiver, for one with a CA of its own.",
        ),
        key(
            "ratio",
            Form::Percentage,
            Is("\"100%\""),
            "Of the requests that belong to no trace yet, so many are recorded. All get a `traceparent` that says which.",
        ),
        key(
            "parent",
            Form::OneOf(&["anyone", "trusted"]),
            Is("\"anyone\""),
            "Whose `traceparent` decides whether its requests are recorded: everybody's, or only that of a peer in `trusted`. For the others `ratio` \
             decides.",
        ),
    ],
};

pub(super) const EJECT: Section = Section {
    path: "service.NAME.route.eject",
    meaning: "An instance that fails several times in a row (it refuses connections, breaks off, answers too late) gets nothing for a \
              while; then one request tries it. Never are more than half left out. Without this table, one that refused a connection is \
              passed over for a second. See [balancing.md](balancing.md).",
    keys: &[
        key("failures", Form::Number, Is("5"), "After so many failures in a row."),
        key("back_off", Form::Duration, Is("\"10s\""), "For how long the first time; twice as long each time after."),
        key("longest", Form::Duration, Is("\"5m\""), "Never for longer."),
        key("errors", Form::Flag, Is("false"), "Whether answers with a status from 500 to 599 are failures too."),
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
        key(
            "body_pause",
            Form::Duration,
            Is("\"60s\""),
            "How long a client may pause in the middle of its body; 408 beyond.",
        ),
        key(
            "head",
            Form::Duration,
            Is("\"30s\""),
            "How long the head of a request may take from its first byte to its last; 408 beyond. Of the services that share an address, \
             the longest counts. A change holds for new connections.",
        ),
        key(
            "client_idle",
            Form::Duration,
            Is("\"75s\""),
            "How long a client's connection is kept idle between two requests. Of the services that share an address, the longest counts.",
        ),
    ],
};
