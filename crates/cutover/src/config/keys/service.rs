//! The keys of a service, but for its route and its rollout.

use super::Default::{Is, None, Rule};
use super::{Form, Section, key};

pub(super) const SERVICE: Section = Section {
    path: "service.NAME",
    meaning: "A service: a program of which one or more instances run. It is a plain process (`command`), a container (`image`, or \
              `build` with it), or a service of a Compose project (`compose`).",
    keys: &[
        key(
            "command",
            Form::Command,
            Rule("required for a process; the image's own for a container"),
            "The program and its arguments. No shell is involved: no `&&`, no `$VAR`, no quotes. `{port}`, \
             `{socket}`, `{release}`, `{instance}` and `{artifact}` are replaced in each argument. A program without `/` is \
             searched in `PATH`, one with `/` starts from `directory`. For a container: the arguments in place of the \
             image's.",
        ),
        key(
            "depends_on",
            Form::Texts,
            None,
            "Services that `cutover deploy` deploys before this one, if it deploys them at all. Accessories may be named, too; they are \
             up before any service.",
        ),
        key(
            "image",
            Form::Text,
            None,
            "The image of a container, with or without a tag: `registry.example.com/shop/web:1.4`.",
        ),
        key(
            "port",
            Form::Number,
            Rule("the one port that the Compose service names; none otherwise"),
            "The port on which a container takes traffic, inside; 1 to 65535.",
        ),
        key(
            "entrypoint",
            Form::Command,
            Rule("the image's own"),
            "The program of a container, in place of the image's.",
        ),
        key(
            "volumes",
            Form::Texts,
            None,
            "What a container mounts: `name:/path` for a volume, `./folder:/path` for a folder of the host, either with `:ro`.",
        ),
        key(
            "networks",
            Form::Texts,
            None,
            "Networks that a container is attached to, after the one of `network`. They must be there.",
        ),
        key(
            "publish",
            Form::Ports,
            None,
            "Ports of the host, one for each instance that runs at a time (twice as many as replicas, fewer when rolling): instances get their traffic through one of them each, instead of \
             on the container's own address. For an nginx that knows nothing else.",
        ),
        key("publish_on", Form::Text, Is("\"127.0.0.1\""), "The host's address for `publish`."),
        key("labels", Form::Values, None, "Labels of a container, beside cutover's own."),
        key(
            "pull",
            Form::OneOf(&["auto", "always", "never"]),
            Is("\"auto\""),
            "When an image is pulled. `auto`: the registry says what the tag means now; an image that exists only here is taken as it is.",
        ),
        key("platform", Form::Text, Rule("the host's own"), "The platform of the image, as `linux/arm64`."),
        key("network", Form::Table, None, "The container network that matters."),
        key("container", Form::Table, None, "What the engine lets a container do and have."),
        key("health", Form::Table, Rule("the image's own"), "The engine's health check of a container."),
        key("build", Form::Table, None, "How the image is built."),
        key("login", Form::Table, Rule("the one of `docker login`"), "The login for the image's registry."),
        key("compose", Form::Table, None, "The Compose service that this is."),
        key(
            "artifact",
            Form::Path,
            None,
            "A file or folder that is copied into each release, so that a new build cannot hurt a running release \
             and a rollback finds the old one. `{artifact}` in the command is the copy.",
        ),
        key(
            "directory",
            Form::Path,
            Rule("the artifact's copy if that is a folder, else the folder of this file"),
            "The working directory.",
        ),
        key(
            "env",
            Form::Values,
            None,
            "Environment variables. `${NAME}` is replaced by a variable of whoever runs `cutover`, and `$${` is a \
             plain `${`. Numbers, `true` and `false` need no quotes. `PORT` and names beginning with `CUTOVER_` are \
             set by cutover.",
        ),
        key(
            "env_file",
            Form::Paths,
            None,
            "Files of environment variables, see below. A later file wins over an earlier one, and `env` over both.",
        ),
        key(
            "user",
            Form::Text,
            Rule("the user of the agent"),
            "The user to run as, by name. Needs an agent that runs as root.",
        ),
        key(
            "replicas",
            Form::Number,
            Is("1"),
            "How many instances serve; 1 to 1000. While a deployment runs there are twice as many.",
        ),
        key(
            "ports",
            Form::Ports,
            Rule("free ports, found by cutover"),
            "The ports that instances may listen on, one for each that runs at a time: twice as many as replicas, fewer when rolling. An instance learns its \
             port from `{port}` or from `PORT`.",
        ),
        key(
            "socket",
            Form::Path,
            None,
            "The unix socket on which each instance listens in place of a port, such as `\"/run/shop/{instance}.sock\"`: `{instance}` must be in it, \
             `{release}` may be. The program learns it from `{socket}` or from `CUTOVER_SOCKET`. The folder must be there, and the program able \
             to write to it; what lies there of an instance is removed before it starts and after it has ended. Not with an nginx, nor with \
             `instance_tls`.",
        ),
        key("ready", Form::Table, Rule("see below"), "When an instance counts as ready."),
        key("route", Form::Table, None, "Which traffic the service gets. A service without it is a worker."),
        key("rollout", Form::Table, Rule("see below"), "How it moves from one release to the next."),
        key("hooks", Form::Table, None, "Commands at certain places of a deployment."),
        key("stop", Form::Table, Rule("see below"), "How an instance is stopped."),
        key("limits", Form::Table, Rule("see below"), "What an instance may use."),
        key("logs", Form::Table, Rule("see below"), "How its output is kept."),
        key("restart", Form::Table, Rule("see below"), "What happens when an instance dies while it serves."),
    ],
};

pub(super) const READY: Section = Section {
    path: "service.NAME.ready",
    meaning: "The gate before traffic: one check, asked on the instance's own address. An instance that exits fails at once. \
              Without a check: `http = \"/\"` for an HTTP route, `tcp = true` for a TCP route and for one with `protocol = \"h2c\"`, `running = true` for a worker.",
    keys: &[
        key(
            "http",
            Form::Text,
            Rule("`\"/\"` if the route is HTTP"),
            "A GET request for this path passes when `status` and `body` fit.",
        ),
        key("tcp", Form::True, Rule("for a TCP route"), "The port accepts a connection."),
        key(
            "command",
            Form::Command,
            None,
            "A command exits with 0. It gets `CUTOVER_ADDRESS`, `CUTOVER_PORT`, `CUTOVER_RELEASE` and \
             `CUTOVER_INSTANCE`.",
        ),
        key("file", Form::Path, None, "This file exists. `{release}` and `{instance}` are replaced."),
        key(
            "fastcgi",
            Form::Text,
            None,
            "A FastCGI request for this script (its path in the instance, or php-fpm's ping page), with a query after `?`, passes \
             when `status` and `body` fit.",
        ),
        key(
            "grpc",
            Form::True,
            None,
            "gRPC's own health service (`grpc.health.v1.Health/Check`), asked by HTTP/2 without TLS, says SERVING.",
        ),
        key(
            "grpc_service",
            Form::Text,
            Rule("the server as a whole"),
            "The service whose state is asked for; with `grpc`.",
        ),
        key("health", Form::True, None, "The engine's own health check of the container says healthy."),
        key("running", Form::True, Rule("for a worker"), "It keeps running for `stable_for`. Proves little."),
        key("status", Form::Status, Is("\"200-399\""), "The statuses that pass; with `http` and `fastcgi`."),
        key("host", Form::Text, Rule("the instance's address"), "The `Host` header; with `http`."),
        key("headers", Form::Values, None, "More request headers; with `http`."),
        key(
            "body",
            Form::Text,
            None,
            "Text that the first 64 KiB of the body must contain; with `http` and `fastcgi`.",
        ),
        key(
            "within",
            Form::Duration,
            Is("\"60s\""),
            "The instance must be ready within this time, or the deployment is undone.",
        ),
        key(
            "stable_for",
            Form::Duration,
            Is("\"1s\""),
            "It must stay ready this long before it gets traffic; less than `within`.",
        ),
        key("passes", Form::Number, Is("2"), "How many times in a row the check must pass; 1 to 1000."),
        key("timeout", Form::Duration, Is("\"2s\""), "How long one try may take."),
        key("warm_up", Form::Table, None, "Requests made before it gets traffic; with an HTTP route."),
    ],
};

pub(super) const WARM_UP: Section = Section {
    path: "service.NAME.ready.warm_up",
    meaning: "Requests that warm an instance up, after it is ready and before it gets traffic. Their answers do not count.",
    keys: &[
        key("paths", Form::Texts, Is("[\"/\"]"), "The paths, asked in turn."),
        key("requests", Form::Number, Is("20"), "How many requests in all; 1 to 100000."),
    ],
};

pub(super) const STOP: Section = Section {
    path: "service.NAME.stop",
    meaning: "How an instance is stopped, after it has been drained.",
    keys: &[
        key(
            "signal",
            Form::OneOf(&["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]),
            Is("\"TERM\""),
            "The signal that asks it to leave.",
        ),
        key("grace", Form::Duration, Is("\"10s\""), "How long it has before its whole process group is killed."),
    ],
};

pub(super) const LIMITS: Section = Section {
    path: "service.NAME.limits",
    meaning: "What one instance may use.",
    keys: &[
        key(
            "memory",
            Form::Size,
            None,
            "Memory of its own (`RLIMIT_DATA`: heap, anonymous and private writable mappings). Leave it out for a \
             JVM, whose own `-Xmx` says it better. A container: all its memory, beyond which the kernel kills.",
        ),
        key("cpus", Form::Text, None, "Processors that a container may use, as `\"1.5\"`."),
        key("pids", Form::Number, None, "Processes and threads that a container may have."),
        key("open_files", Form::Number, None, "Open descriptors (`RLIMIT_NOFILE`), at least 16."),
    ],
};

pub(super) const LOGS: Section = Section {
    path: "service.NAME.logs",
    meaning: "How the output of an instance is kept.",
    keys: &[
        key(
            "max_size",
            Form::Size,
            Is("\"10MiB\""),
            "A log file that reaches this size is set aside and a new one begun; at least 4 KiB.",
        ),
        key(
            "keep",
            Form::Number,
            Is("5"),
            "How many files are kept of each stream, the current one included; 1 to 1000.",
        ),
        key("driver", Form::Text, Is("\"json-file\""), "The engine's log driver for a container."),
        key("options", Form::Values, None, "Options of another driver."),
    ],
};

pub(super) const RESTART: Section = Section {
    path: "service.NAME.restart",
    meaning: "What happens when an instance dies while it serves: it is started again, always.",
    keys: &[
        key("first", Form::Duration, Is("\"500ms\""), "The pause before the first new start; it doubles each time."),
        key("longest", Form::Duration, Is("\"30s\""), "The longest pause; not less than `first`."),
    ],
};
