//! The keys of what the proxy does with requests besides passing them on.

use super::Default::{self, Is, Required, Rule};
use super::{Form, Section, key};

pub(super) const REDIRECT: Section = Section {
    path: "service.NAME.route.redirect",
    meaning: "Requests that are sent elsewhere: `[[service.web.route.redirect]]`, as many as you like; the first that fits counts. \
              The query goes along. See [routing.md](routing.md#redirects).",
    keys: &[
        key(
            "host",
            Form::Text,
            Rule("any host of the route"),
            "Only requests for this host, such as `\"www.example.com\"` or `\"*.example.com\"`; it must be one of `hosts`.",
        ),
        key(
            "from",
            Form::Text,
            Rule("`\"/*\"` with `host`, else required"),
            "The path: `\"/old\"` is this one alone, `\"/old/*\"` everything below it.",
        ),
        key(
            "to",
            Form::Text,
            Required,
            "Where to: a path or a URL. A star at the end stands for what the star of `from` took: `\"/new/*\"`, \
             `\"https://example.com/*\"`.",
        ),
        key(
            "status",
            Form::Number,
            Is("301"),
            "301 or 308 for ever, 302 or 307 for now. With 307 and 308 a POST stays a POST.",
        ),
    ],
};

pub(super) const REWRITE: Section = Section {
    path: "service.NAME.route.rewrite",
    meaning: "Paths that the instances get in another form: `[[service.web.route.rewrite]]`; the first that fits counts. Clients do \
              not notice. With `strip`, `from` is what is left of the path.",
    keys: &[
        key("from", Form::Text, Required, "The path: `\"/old\"` is this one alone, `\"/old/*\"` everything below it."),
        key(
            "to",
            Form::Text,
            Required,
            "The path that the instance gets. A star at the end stands for what the star of `from` took.",
        ),
    ],
};

/// What both header tables have.
const FIELDS: &[super::Key] = &[
    key(
        "set",
        Form::Values,
        Default::None,
        "These values and no others, whatever came: `{ X-Frame-Options = \"DENY\" }`.",
    ),
    key("add", Form::Values, Default::None, "Beside what came under the same name."),
    key("remove", Form::Texts, Default::None, "Names of headers that are left out: `[\"X-Powered-By\"]`."),
];

pub(super) const REQUEST_HEADERS: Section = Section {
    path: "service.NAME.route.request_headers",
    meaning: "What is changed in the headers of requests before an instance gets them. `Host`, `Connection`, lengths and whatever \
              else delimits a message, and `X-Forwarded-*` are the proxy's own.",
    keys: FIELDS,
};

pub(super) const RESPONSE_HEADERS: Section = Section {
    path: "service.NAME.route.response_headers",
    meaning: "What is changed in the headers of answers before a client gets them: those of instances, redirects and files, not the \
              proxy's own errors.",
    keys: FIELDS,
};

pub(super) const FILES: Section = Section {
    path: "service.NAME.route.files",
    meaning: "Files that the proxy sends itself: `[[service.web.route.files]]`; the longest path counts. With ranges, conditions, and \
              the `.br`, `.zst` or `.gz` beside a file where a client takes it. Hidden files and whatever lies outside of the folder are \
              never sent. See [routing.md](routing.md#files).",
    keys: &[
        key(
            "path",
            Form::Text,
            Required,
            "The beginning of the path: `\"/assets\"`; the rest is the path of the file.",
        ),
        key("directory", Form::Path, Required, "The folder; a relative path begins at the folder of this file."),
        key(
            "missing",
            Form::OneOf(&["refuse", "pass", "index"]),
            Is("\"refuse\""),
            "What becomes of a request for a file that is not there: 404, or the service gets it, or the folder's own `index.html`.",
        ),
        key(
            "cache_control",
            Form::Text,
            Default::None,
            "The header of that name, such as `\"public, max-age=31536000, immutable\"`.",
        ),
    ],
};

pub(super) const ACCESS: Section = Section {
    path: "service.NAME.route.access",
    meaning: "Who may ask, and how much. Clients are told apart by their address (IPv6: by its first 64 bits); behind a proxy that is \
              `trusted`, by the one that it names. See [routing.md](routing.md#access).",
    keys: &[
        key("allow", Form::Texts, Is("[]"), "Nobody else may ask: addresses or ranges such as `\"10.0.0.0/8\"`; 403."),
        key("deny", Form::Texts, Is("[]"), "These may not, whatever `allow` says; 403."),
        key(
            "rate",
            Form::Rate,
            Default::None,
            "How many requests each client may send: `\"10/s\"`, `\"600/m\"`, `\"5000/h\"`; 429 with `Retry-After` beyond.",
        ),
        key(
            "burst",
            Form::Number,
            Is("20"),
            "With `rate`: how many it may send at once if it sent none for a while; 1 to 100000.",
        ),
        key(
            "at_once",
            Form::Number,
            Default::None,
            "How many requests of one client are served at the same time; 429 beyond; 1 to 100000.",
        ),
    ],
};

pub(super) const PASSWORD: Section = Section {
    path: "service.NAME.route.password",
    meaning: "Only with a name and a password (HTTP Basic). Passwords travel readably without TLS.",
    keys: &[
        key(
            "file",
            Form::Path,
            Required,
            "A file with a line `name:hash` for each, as `htpasswd -B` writes it: bcrypt, Argon2 or SHA-crypt. The proxy reads it, and \
             notices a change within two seconds.",
        ),
        key("realm", Form::Text, Is("\"restricted\""), "What the browser shows when it asks for the password."),
    ],
};

pub(super) const COMPRESS: Section = Section {
    path: "service.NAME.route.compress",
    meaning: "Text that the instances send plain is compressed for clients that take it, once this table is there. Off by default: it takes \
              processor time, and secrets beside what an attacker chooses can be guessed from the length (BREACH). See \
              [routing.md](routing.md#compression).",
    keys: &[
        key(
            "codings",
            Form::Texts,
            Is("[\"br\", \"zstd\", \"gzip\"]"),
            "The first that a client takes: `br`, `zstd`, `gzip`.",
        ),
        key("min_size", Form::Size, Is("\"1KiB\""), "Nothing smaller, where the length is known beforehand."),
    ],
};

pub(super) const MAINTENANCE: Section = Section {
    path: "service.NAME.route.maintenance",
    meaning: "What clients get while `cutover maintenance on NAME` holds: 503. Options of the command replace these keys.",
    keys: &[
        key(
            "page",
            Form::Path,
            Rule("the page for 503, or a sentence"),
            "A file of UTF-8 text of at most 64 KiB, read by `cutover deploy`: `.html`, `.json`, or plain text.",
        ),
        key("retry_after", Form::Duration, Is("\"2m\""), "The answer's `Retry-After`, in whole seconds."),
        key(
            "allow",
            Form::Texts,
            Is("[]"),
            "Clients that are served all the same, as addresses or ranges such as `\"10.0.0.0/8\"`.",
        ),
    ],
};
