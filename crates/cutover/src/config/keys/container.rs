//! The keys that only a container has.

use super::Default::{Is, None, Required, Rule};
use super::{Form, Section, key};

pub(super) const NETWORK: Section = Section {
    path: "service.NAME.network",
    meaning: "The container network on which instances are probed and get their traffic. Made if it is missing and `subnet` is \
              given. Without this table and without `networks`: the engine's default bridge.",
    keys: &[
        key("name", Form::Text, Required, "The network's name in the engine."),
        key("subnet", Form::Text, None, "Its address range, as `172.20.0.0/16`, if it is to be made."),
        key("gateway", Form::Text, Rule("the first address of the range"), "The host's address in it."),
        key("ip_range", Form::Text, None, "The part of the range that addresses which are not fixed come from."),
        key(
            "addresses",
            Form::Texts,
            None,
            "Fixed addresses, one for each instance that runs at a time: twice as many as replicas, fewer when rolling; each instance takes one that nobody holds.",
        ),
        key("aliases", Form::Texts, None, "Names by which all instances are found in this network."),
        key("internal", Form::Flag, Is("false"), "Without a way out; if it is to be made."),
    ],
};

pub(super) const CONTAINER: Section = Section {
    path: "service.NAME.container",
    meaning: "What the engine lets a container do and have, in its own words; all of it optional.",
    keys: &[
        key("hostname", Form::Text, Rule("the container's id"), "Its host name."),
        key("extra_hosts", Form::Texts, None, "Lines for its hosts file, as `name:address`."),
        key("dns", Form::Texts, None, "Name servers."),
        key("dns_search", Form::Texts, None, "Search domains."),
        key("groups", Form::Texts, None, "Further groups."),
        key("cap_add", Form::Texts, None, "Capabilities to add."),
        key("cap_drop", Form::Texts, None, "Capabilities to drop; `ALL` for all."),
        key("privileged", Form::Flag, Is("false"), "All capabilities and devices."),
        key("security_opt", Form::Texts, None, "Security options, as `no-new-privileges:true`."),
        key("devices", Form::Texts, None, "Devices, as `host:container:permissions`."),
        key("init", Form::Flag, Rule("the engine's setting"), "A first process that hands signals on and reaps."),
        key(
            "read_only",
            Form::Flag,
            Is("false"),
            "A file system that cannot be written, but for `volumes` and `tmpfs`.",
        ),
        key("tmpfs", Form::Texts, None, "Folders in memory, as `/tmp` or `/tmp:64MiB`."),
        key("shm_size", Form::Size, Rule("the engine's, 64 MiB"), "The size of `/dev/shm`."),
        key("sysctls", Form::Values, None, "Kernel parameters of its namespaces."),
        key(
            "ulimits",
            Form::Values,
            None,
            "Limits of the kernel, as `nofile = \"1024:4096\"` (soft:hard) or one number.",
        ),
        key("runtime", Form::Text, Rule("the engine's default"), "The engine's runtime."),
    ],
};

pub(super) const HEALTH: Section = Section {
    path: "service.NAME.health",
    meaning: "The engine's own health check, in place of the image's. `ready = { health = true }` waits for it.",
    keys: &[
        key("command", Form::Command, Required, "The command, run in the container."),
        key("interval", Form::Duration, Rule("the engine's, 30s"), "The pause between two checks."),
        key("timeout", Form::Duration, Rule("the engine's, 30s"), "How long one may take."),
        key("start_period", Form::Duration, Rule("the engine's, none"), "Failures before this time do not count."),
        key(
            "retries",
            Form::Number,
            Rule("the engine's, 3"),
            "How many failures in a row make it unhealthy; 1 to 1000.",
        ),
    ],
};

pub(super) const BUILD: Section = Section {
    path: "service.NAME.build",
    meaning: "How the image is built, by the `docker` command of whoever calls `cutover deploy` or `cutover build`. `image` is its name \
              without a tag.",
    keys: &[
        key("context", Form::Path, Is("\".\""), "The folder that is sent to the builder."),
        key("dockerfile", Form::Path, Rule("`Dockerfile` in the context"), "The Dockerfile."),
        key("args", Form::Values, None, "Build arguments. `${NAME}` is replaced by a variable of whoever calls."),
        key("target", Form::Text, Rule("the last stage"), "The stage to build."),
        key("platform", Form::Text, Rule("the builder's own"), "The platform, as `linux/arm64`."),
        key(
            "tag",
            Form::Text,
            Rule("the git commit, marked if there are changes beside it; the time without git"),
            "The tag. One that is used again lets two releases share a name: leave it out, or let a variable name it.",
        ),
        key("push", Form::Flag, Is("false"), "Push it to its registry."),
    ],
};

pub(super) const LOGIN: Section = Section {
    path: "service.NAME.login",
    meaning: "The login for the image's registry. Without it, the one that `docker login` keeps for whoever calls.",
    keys: &[
        key("user", Form::Text, Required, "The user name."),
        key("password_env", Form::Text, None, "The variable of whoever calls that holds the password or token."),
        key("password_file", Form::Path, None, "The file that holds it; its first line counts."),
    ],
};

pub(super) const COMPOSE: Section = Section {
    path: "service.NAME.compose",
    meaning: "A service of a Compose project, whose file stays as it is: every instance is a copy of it. Its image, command, \
              environment, networks, volumes, limits and health check come from there.",
    keys: &[
        key(
            "files",
            Form::Paths,
            Rule("`compose.yaml` or `docker-compose.yml` beside this file, and its override"),
            "The files, each laid over the one before.",
        ),
        key("service", Form::Text, Rule("the name of this service"), "The service's name in them."),
        key("project", Form::Text, Rule("Compose's own rule: `name:`, or the folder's name"), "The project's name."),
        key(
            "env_files",
            Form::Paths,
            Rule("`.env` beside the first file"),
            "Files of variables for the Compose files.",
        ),
        key("profiles", Form::Texts, None, "Profiles to switch on."),
    ],
};
