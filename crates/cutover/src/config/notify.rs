//! Reads who is told of deployments.
//!
//! **Invariant.** No finding shows an address or a secret: whoever knows the address of a webhook can write there.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cutover_core::ServiceName;
use cutover_core::spec::{NotifySpec, Occasion, Secret, SinkSpec, Way};
use cutover_core::unit::duration;

use super::keys::nearest;
use super::reader::{Located, Reader, Zero};
use super::service::{Place, beside_file, interpolate, read_command};
use super::source::Source;

/// The keys that belong to only some kinds.
const OF_KINDS: [(&str, &[&str]); 8] = [
    ("url", &["slack", "discord", "webhook"]),
    ("url_file", &["slack", "discord", "webhook"]),
    ("secret_env", &["webhook"]),
    ("secret_file", &["webhook"]),
    ("command", &["command"]),
    ("from", &["email"]),
    ("to", &["email"]),
    ("sendmail", &["email"]),
];

const WITHIN: Duration = Duration::from_secs(10);
const LONGEST_TRY: Duration = Duration::from_secs(300);

/// A receiver, and the services that it is told of; all if there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// The receiver.
    pub spec: SinkSpec,
    /// The services.
    pub services: Vec<ServiceName>,
}

/// Those of these receivers that are told of a service.
pub fn of_service(sinks: &[Sink], project: &str, service: &ServiceName) -> NotifySpec {
    let told = sinks.iter().filter(|sink| sink.services.is_empty() || sink.services.contains(service));
    NotifySpec { project: project.to_owned(), sinks: told.map(|sink| sink.spec.clone()).collect() }
}

/// Reads all `notify` tables. `known` are the services of the file.
pub(super) fn read(top: &Reader, place: &Place, known: &[ServiceName]) -> Vec<Sink> {
    top.tables("notify").iter().filter_map(|reader| sink(reader, place, known)).collect()
}

fn sink(reader: &Reader, place: &Place, known: &[ServiceName]) -> Option<Sink> {
    if ServiceName::new(reader.name).is_err() {
        reader
            .mistake(reader.at, format!("{:?} is not a name for a notification", reader.name))
            .hint("use 1 to 40 of a-z, 0-9, '-' and '_', beginning with a letter");
        return None;
    }
    let services = services(reader, known);
    let (on, within) = (on(reader), within(reader));
    let url = secret(reader, place, "url", "url_file", |key| url(reader, place, key));
    let secret = secret(reader, place, "secret_env", "secret_file", |key| variable(reader, place, key));
    let command = read_command(reader, "command").map(|command| beside_file(reader, "command", command, place));
    let (from, to, sendmail) = (address(reader), addresses(reader), sendmail(reader, place));
    let kind = reader.one_of("kind", &["slack", "discord", "webhook", "command", "email"].map(|kind| (kind, kind)))?;
    check_belonging(reader, kind);
    let way = match kind {
        "slack" => Way::Slack { url: given(reader, kind, "url", url)? },
        "discord" => Way::Discord { url: given(reader, kind, "url", url)? },
        "webhook" => {
            let (url, secret) = (given(reader, kind, "url", url), given(reader, kind, "secret_env", secret));
            Way::Webhook { url: url?, secret: secret? }
        }
        "command" => Way::Command { command: given(reader, kind, "command", command)? },
        _ => {
            let (from, to) = (given(reader, kind, "from", from), given(reader, kind, "to", to));
            Way::Email { from: from?, to: to?, sendmail }
        }
    };
    Some(Sink { spec: SinkSpec { name: reader.name.to_owned(), on, within, way }, services })
}

/// A value that this kind needs. One that is written but wrong has been told of already.
fn given<T>(reader: &Reader, kind: &str, key: &'static str, value: Option<T>) -> Option<T> {
    let file = match key {
        "url" => Some("url_file"),
        "secret_env" => Some("secret_file"),
        _ => None,
    };
    if value.is_none() && !reader.has(key) && !file.is_some_and(|file| reader.has(file)) {
        let or_file = file.map(|file| format!(" or {file}")).unwrap_or_default();
        reader
            .mistake(reader.at, format!("{}: missing", reader.path_of(key)))
            .hint(format!("kind = {kind:?} needs {key}{or_file}"));
    }
    value
}

fn check_belonging(reader: &Reader, kind: &str) {
    for (key, kinds) in OF_KINDS.iter().filter(|(key, kinds)| reader.has(key) && !kinds.contains(&kind)) {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
        reader
            .wrong_value(key, reader.place_of(key), format_args!("has no meaning with kind = {kind:?}"))
            .hint(format!("it belongs to {}", kinds.join(", ")));
    }
}

fn on(reader: &Reader) -> BTreeSet<Occasion> {
    let Some(written) = reader.texts("on") else { return Occasion::CHOSEN.into() };
    let names = || Occasion::ALL.iter().map(|occasion| occasion.name());
    let read = |word: Located<&str>| {
        let found = Occasion::ALL.into_iter().find(|occasion| occasion.name() == word.value);
        if found.is_none() {
            let hint = match nearest(word.value, names()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
            };
            reader.wrong_value("on", word.at, format_args!("{:?} is nothing to be told of", word.value)).hint(hint);
        }
        found
    };
    written.value.into_iter().filter_map(read).collect()
}

fn services(reader: &Reader, known: &[ServiceName]) -> Vec<ServiceName> {
    let written = reader.texts("services").map(|names| names.value).unwrap_or_default();
    let read = |name: Located<&str>| {
        let found = known.iter().find(|known| known.as_str() == name.value).cloned();
        if found.is_none() {
            let near = nearest(name.value, known.iter().map(ServiceName::as_str));
            reader
                .wrong_value("services", name.at, format_args!("there is no service {:?}", name.value))
                .hint_if(near.map(|near| format!("did you mean {near:?}?")));
        }
        found
    };
    if reader.has("services") && written.is_empty() {
        reader
            .wrong_value("services", reader.place_of("services"), "the list is empty")
            .hint("leave the key out for all services; `on = []` turns a notification off");
    }
    written.into_iter().filter_map(read).collect()
}

fn within(reader: &Reader) -> Duration {
    let within = reader.duration("within", Zero::Refused).unwrap_or(WITHIN);
    if within > LONGEST_TRY {
        let longest = duration::text(LONGEST_TRY);
        reader
            .wrong_value("within", reader.place_of("within"), format_args!("must be at most {longest}"))
            .hint_if(None);
    }
    within
}

/// What is given by one key, or by a file that another names.
fn secret<'a>(
    reader: &Reader<'a>,
    place: &Place,
    key: &'static str,
    file: &'static str,
    read: impl FnOnce(Located<&'a str>) -> Option<String>,
) -> Option<Secret> {
    let (written, path) = (reader.text(key), reader.plain(file));
    if reader.has(key) && reader.has(file) {
        reader
            .wrong_value(file, reader.place_of(file), format_args!("is given beside {key}"))
            .hint("one of them is enough");
        return None;
    }
    let value = match (written, path) {
        (Some(written), _) => read(written)?,
        (None, Some(path)) => from_file(reader, place, file, &path)?,
        (None, None) => return None,
    };
    let (at, given) = if reader.has(key) { (reader.place_of(key), key) } else { (reader.place_of(file), file) };
    let value = value.trim();
    let fault = match value {
        "" => "is empty",
        value if value.contains(|c: char| c.is_control() || c == ' ') && key == "url" => "has a blank in it",
        _ => return checked_url(reader, given, at, value, key == "url").then(|| Secret::new(value)),
    };
    reader.wrong_value(given, at, fault).hint_if(None);
    None
}

fn from_file(reader: &Reader, place: &Place, key: &'static str, path: &Located<&str>) -> Option<String> {
    let path_of = place.resolve(path.value);
    match Source::read(&path_of, path_of.display().to_string()) {
        Ok(source) => Some(source.text),
        Err(error) => {
            reader.wrong_value(key, path.at, error.message).hint_if(error.hint);
            None
        }
    }
}

fn url(reader: &Reader, place: &Place, written: Located<&str>) -> Option<String> {
    match interpolate(written.value, place.variables()) {
        Ok(url) => Some(url),
        Err(fault) => {
            reader.wrong_value("url", written.at, fault).hint("${NAME} is a variable of whoever runs cutover");
            None
        }
    }
}

/// Whether it is an address that can be posted to. One that others can read on the way is worth a warning.
fn checked_url(reader: &Reader, key: &str, at: usize, value: &str, is_url: bool) -> bool {
    if !is_url {
        return true;
    }
    let parsed: Option<hyper::Uri> = value.parse().ok();
    let (scheme, host) = parsed.as_ref().map(|url| (url.scheme_str(), url.host())).unwrap_or_default();
    match (scheme, host) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => {
            if !matches!(host, "localhost" | "[::1]") && !host.starts_with("127.") {
                reader
                    .odd_value(key, at, "what is sent there, and the address itself, can be read on the way")
                    .hint("write https://…");
            }
            true
        }
        _ => {
            reader.wrong_value(key, at, "is not an address such as https://hooks.example.com/…").hint_if(None);
            false
        }
    }
}

fn variable(reader: &Reader, place: &Place, name: Located<&str>) -> Option<String> {
    let value = place.variables().get(name.value).cloned();
    if value.is_none() {
        // Perhaps the secret itself was written there.
        reader
            .wrong_value("secret_env", name.at, "there is no variable of this name")
            .hint("write the name of a variable of whoever runs cutover, not the secret");
    }
    value
}

fn address(reader: &Reader) -> Option<String> {
    let from = reader.plain("from")?;
    is_address(reader, "from", &from).then(|| from.value.to_owned())
}

fn addresses(reader: &Reader) -> Option<Vec<String>> {
    let to = reader.texts("to")?;
    if to.value.is_empty() {
        reader.wrong_value("to", to.at, "the list is empty").hint_if(None);
        return None;
    }
    let good: Vec<bool> = to.value.iter().map(|address| is_address(reader, "to", address)).collect();
    good.iter().all(|good| *good).then(|| to.value.iter().map(|address| address.value.to_owned()).collect())
}

fn is_address(reader: &Reader, key: &str, address: &Located<&str>) -> bool {
    let good = address.value.contains('@') && !address.value.contains(char::is_control);
    if !good {
        reader
            .wrong_value(key, address.at, format_args!("{:?} is not an e-mail address", address.value))
            .hint("write for example \"ops@example.com\" or \"Deployments <ops@example.com>\"");
    }
    good
}

/// Without the key, the usual program; that it is missing does not keep anybody from deploying.
fn sendmail(reader: &Reader, place: &Place) -> Vec<String> {
    if let Some(command) = read_command(reader, "sendmail") {
        return beside_file(reader, "sendmail", command, place);
    }
    let usual = ["/usr/sbin/sendmail", "-t", "-i"];
    let is_mail = reader
        .node("kind")
        .is_some_and(|kind| matches!(&kind.value, super::tree::Value::Text(kind) if kind == "email"));
    if is_mail && !reader.has("sendmail") && !Path::new(usual[0]).exists() {
        reader
            .odd_value("sendmail", reader.at, format_args!("there is no {}", usual[0]))
            .hint("install one (msmtp-mta, postfix, exim), or name another program: sendmail = [\"/opt/…\", \"-t\"]");
    }
    usual.map(str::to_owned).to_vec()
}
