//! Every key of `cutover.toml`, once: its name, what may be written, its default and its meaning.
//!
//! Three things are made from this table, so that they cannot disagree: the check for unknown keys with its suggestions, the
//! "expected …" of every error about a wrong type, and the reference page. That the reader reads every key, and that the
//! defaults are the real ones, is tested.

mod accessory;
mod acme;
mod container;
mod hooks;
mod instance_tls;
mod notify;
mod rollout;
mod route;
mod rules;
mod service;

/// A table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its path; `NAME` stands for a name that the user chooses. Empty for the top of the file.
    pub path: &'static str,
    /// What it is for: a sentence or two.
    pub meaning: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may be written.
    pub form: Form,
    /// What holds when it is left out.
    pub default: Default,
    /// What it means, with its unit and limits.
    pub meaning: &'static str,
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// It must be given.
    Required,
    /// Nothing.
    None,
    /// This value, as one would write it.
    Is(&'static str),
    /// A value that depends on other keys.
    Rule(&'static str),
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A name of a project or service.
    Name,
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
    /// A path.
    Path,
    /// A path or a list of paths.
    Paths,
    /// A program and its arguments.
    Command,
    /// A command, or a table with one and more.
    Hook,
    /// `true` or `false`.
    Flag,
    /// Only `true`.
    True,
    /// `true`, or a table with more.
    TrueOrTable,
    /// A number, whole or not.
    Decimal,
    /// A whole number.
    Number,
    /// A whole number or a percentage.
    Amount,
    /// A percentage.
    Percentage,
    /// A percentage that may be more than a hundred.
    Percent,
    /// A duration.
    Duration,
    /// A number of bytes.
    Size,
    /// Names and values.
    Values,
    /// Port numbers.
    Ports,
    /// So many in a time.
    Rate,
    /// An address to listen on.
    Listen,
    /// An address to listen on, or a unix socket.
    ListenOrSocket,
    /// A status or a range of them.
    Status,
    /// What clients are told apart by.
    Sharing,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A table with keys of its own.
    Table,
    /// Tables by name, such as this one.
    Tables(&'static str),
    /// Any number of tables, each begun like this.
    List(&'static str),
}

impl Form {
    /// The form in a sentence: "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Name => "a name such as \"shop\"".to_owned(),
            Self::Text => "a text in quotes".to_owned(),
            Self::Texts => "a list of texts such as [\"a\", \"b\"]".to_owned(),
            Self::Path => "a path in quotes".to_owned(),
            Self::Paths => "a path in quotes, or a list of them".to_owned(),
            Self::Command => "a list: the program, then each argument".to_owned(),
            Self::Hook => "a list (the program, then each argument), or a table with command and within".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::True => "true".to_owned(),
            Self::TrueOrTable => "true, or a table with what is to be different".to_owned(),
            Self::Decimal => "a number such as 20 or 0.5".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::Amount => "a whole number, or a percentage such as \"25%\"".to_owned(),
            Self::Percentage => "a percentage such as \"1%\" or \"0.5%\"".to_owned(),
            Self::Percent => "a whole percentage such as \"20%\" or \"150%\"".to_owned(),
            Self::Duration => "a duration such as \"250ms\", \"30s\" or \"1m30s\"".to_owned(),
            Self::Size => "a size such as \"512KiB\" or \"64MiB\", or a number of bytes".to_owned(),
            Self::Values => "a table such as { NAME = \"value\" }".to_owned(),
            Self::Ports => "a list such as [8081, 8082] or a range such as \"8081-8084\"".to_owned(),
            Self::Rate => "a rate such as \"10/s\", \"600/m\" or \"5000/h\"".to_owned(),
            Self::Listen => "an address such as \":80\" or \"127.0.0.1:8080\", or a port".to_owned(),
            Self::ListenOrSocket => {
                "an address such as \":80\" or \"127.0.0.1:8080\", a port, or a unix socket such as \"unix:/run/shop/web.sock\""
                    .to_owned()
            }
            Self::Status => "a status such as 200 or a range such as \"200-399\"".to_owned(),
            Self::Sharing => "\"request\", \"cookie\", \"address\" or { header = \"NAME\" }".to_owned(),
            Self::OneOf(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                if let [only] = &quoted[..] { only.clone() } else { format!("one of {}", quoted.join(", ")) }
            }
            Self::Table => "a table".to_owned(),
            Self::Tables(example) => format!("a table such as [{example}]"),
            Self::List(example) => format!("a list of tables, each begun with [[{example}]]"),
        }
    }

    /// The form in a table of the reference page.
    pub fn short(&self) -> String {
        let name = match self {
            Self::Name => "name",
            Self::Text => "text",
            Self::Texts => "list of texts",
            Self::Path => "path",
            Self::Paths => "path, or list of paths",
            Self::Command => "command",
            Self::Hook => "command, or table",
            Self::Flag => "`true` or `false`",
            Self::True => "`true`",
            Self::TrueOrTable => "`true`, or table",
            Self::Decimal => "number",
            Self::Number => "whole number",
            Self::Amount => "number or percentage",
            Self::Percentage => "percentage",
            Self::Percent => "whole percentage",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Values => "names and values",
            Self::Ports => "ports",
            Self::Rate => "rate",
            Self::Listen => "address or port",
            Self::ListenOrSocket => "address, port or unix socket",
            Self::Status => "status or range",
            Self::Sharing => "`\"request\"`, `\"cookie\"`, `\"address\"`, `{ header = \"NAME\" }`",
            Self::OneOf(words) => return words.iter().map(|word| format!("`{word:?}`")).collect::<Vec<_>>().join(", "),
            Self::Table => "table",
            Self::Tables(_) => "tables by name",
            Self::List(_) => "list of tables",
        };
        name.to_owned()
    }
}

/// All sections, in the order of the reference page.
pub const SECTIONS: &[Section] = &[
    TOP,
    service::SERVICE,
    service::READY,
    service::WARM_UP,
    route::ROUTE,
    route::LIMITS,
    route::TLS,
    acme::ACME,
    instance_tls::INSTANCE_TLS,
    rules::REDIRECT,
    rules::REWRITE,
    rules::REQUEST_HEADERS,
    rules::RESPONSE_HEADERS,
    rules::FILES,
    rules::ACCESS,
    rules::PASSWORD,
    rules::COMPRESS,
    rules::MAINTENANCE,
    route::ACCESS_LOG,
    route::SPANS,
    route::EJECT,
    route::NGINX,
    rollout::ROLLOUT,
    rollout::METRIC,
    hooks::HOOKS,
    hooks::HOOK,
    service::STOP,
    service::LIMITS,
    service::LOGS,
    service::RESTART,
    container::NETWORK,
    container::CONTAINER,
    container::HEALTH,
    container::BUILD,
    container::LOGIN,
    container::COMPOSE,
    accessory::ACCESSORY,
    notify::NOTIFY,
    ENVIRONMENT,
];

const TOP: Section = Section {
    path: "",
    meaning: "The top of the file.",
    keys: &[
        key(
            "project",
            Form::Name,
            Default::Required,
            "Keeps the services of several projects on one server apart. 1 to 40 of `a-z`, `0-9`, `-` and `_`, \
             beginning with a letter.",
        ),
        key(
            "service",
            Form::Tables("service.web"),
            Default::Required,
            "The services: `[service.web]`. A name follows the same rule as the project's.",
        ),
        key(
            "all_or_nothing",
            Form::Flag,
            Default::Is("false"),
            "Whether services that one `cutover deploy` deploys count together: the old release of each stays beside the new one until \
             all of them have been observed, and all go back if one does.",
        ),
        key("accessory", Form::Tables("accessory.db"), Default::None, "Long-lived neighbours: `[accessory.db]`."),
        key(
            "notify",
            Form::Tables("notify.ops"),
            Default::None,
            "Who is told what becomes of deployments: `[notify.ops]`. A name follows the same rule as the project's.",
        ),
        key(
            "environment",
            Form::Tables("environment.staging"),
            Default::None,
            "What differs elsewhere: `[environment.staging.service.web]`, laid over the file by `--env staging`.",
        ),
    ],
};

const ENVIRONMENT: Section = Section {
    path: "environment.NAME",
    meaning: "What differs in one environment, chosen with `--env NAME`. Tables are merged key by key; any other value, a list \
              too, replaces the one above. An environment that names a check in `ready` replaces the check with its details.",
    keys: &[
        key("project", Form::Name, Default::None, "Replaces the project's name."),
        key("service", Form::Tables("service.web"), Default::None, "The same keys as in `[service.NAME]`."),
        key("accessory", Form::Tables("accessory.db"), Default::None, "The same keys as in `[accessory.NAME]`."),
        key("notify", Form::Tables("notify.ops"), Default::None, "The same keys as in `[notify.NAME]`."),
    ],
};

const fn key(name: &'static str, form: Form, default: Default, meaning: &'static str) -> Key {
    Key { name, form, default, meaning }
}

impl Section {
    /// The section with this path. The tables of an accessory are those of a service, and each hook is like any other.
    pub fn of(path: &str) -> Option<&'static Section> {
        let found = |path: &str| SECTIONS.iter().find(|section| section.path == path);
        let hook = || path.strip_prefix("service.NAME.hooks.").is_some().then_some(hooks::HOOK.path);
        found(path)
            .or_else(|| found(&path.strip_prefix("accessory.NAME.").map(|rest| format!("service.NAME.{rest}"))?))
            .or_else(|| found(hook()?))
    }

    /// The section under a key or a name of this one, if that is a table with known keys.
    pub fn below(&self, name: &str) -> Option<&'static Section> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Section::of(&format!("{}{dot}{name}", self.path))
    }

    /// A key of this section.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The word among `candidates` that was probably meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let likeness = |candidate: &&str| likeness(&word, &candidate.to_lowercase().replace('-', "_"));
    let best = candidates.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= 0.8).then_some(best)
}

/// From 0 to 2. The Jaro-Winkler measure alone finds nothing in two swapped letters of a short word; a few slips count as more.
fn likeness(word: &str, candidate: &str) -> f64 {
    let slips = strsim::osa_distance(word, candidate);
    if slips <= word.chars().count() / 3 { 2.0 - slips as f64 / 100.0 } else { strsim::jaro_winkler(word, candidate) }
}
