//! Figures of others.

use std::time::Duration;

use cutover_core::rule::verdict::Bounds;
use cutover_core::spec::{MetricSource, MetricSpec};

use super::rollout::beside_file;
use super::{Place, command};
use crate::config::reader::{Located, Reader, Zero};

/// Who may be asked.
const SOURCES: [&str; 3] = ["prometheus", "http", "command"];

/// Reads one `metric` table.
pub(super) fn read(reader: &Reader, place: &Place) -> Option<MetricSpec> {
    let (source, bounds) = (source(reader, place), bounds(reader));
    let every = reader.duration("every", Zero::Refused).unwrap_or(Duration::from_secs(15));
    let timeout = reader.duration("timeout", Zero::Refused).unwrap_or(Duration::from_secs(5));
    Some(MetricSpec { name: reader.name.to_owned(), source: source?, bounds: bounds?, every, timeout })
}

fn source(reader: &Reader, place: &Place) -> Option<MetricSource> {
    let written: Vec<&str> = SOURCES.into_iter().filter(|key| reader.has(key)).collect();
    let [source] = written[..] else {
        let message = match written.len() {
            0 => format!("{}: nobody is asked", reader.path()),
            _ => format!("{}: only one can be asked, found {}", reader.path(), written.join(", ")),
        };
        reader.mistake(reader.at, message).hint("write one of prometheus, http and command");
        return None;
    };
    for (key, owner) in [("query", "prometheus"), ("field", "http")] {
        if reader.has(key) && owner != source {
            reader.wrong_value(key, reader.place_of(key), format_args!("belongs to {owner}")).hint_if(None);
        }
    }
    match source {
        "prometheus" => {
            let query = reader.text("query");
            if !reader.has("query") {
                reader.wrong_value("query", reader.at, "missing").hint("write a query that gives one value");
            }
            Some(MetricSource::Prometheus { url: url(reader, "prometheus")?, query: query?.value.to_owned() })
        }
        "http" => Some(MetricSource::Http { url: url(reader, "http")?, field: field(reader) }),
        _ => {
            let words = command::read(reader, "command")?;
            Some(MetricSource::Command(beside_file(reader, "command", words, place)))
        }
    }
}

fn url(reader: &Reader, key: &str) -> Option<String> {
    let Located { value, at } = reader.text(key)?;
    // What stands in braces is put in later.
    let plain = value.replace(['{', '}'], "");
    let good = (plain.starts_with("http://") || plain.starts_with("https://")) && plain.parse::<hyper::Uri>().is_ok();
    if !good {
        let message = format!("{value:?} is not an address");
        reader.wrong_value(key, at, message).hint("write for example \"http://localhost:9090\"");
    }
    good.then(|| value.to_owned())
}

fn field(reader: &Reader) -> Option<String> {
    let Located { value, at } = reader.text("field")?;
    if !value.starts_with('/') {
        let hint = format!("write \"/{}\"", value.trim_start_matches('$').trim_start_matches('.').replace('.', "/"));
        reader.wrong_value("field", at, format_args!("{value:?} is no JSON pointer")).hint(hint);
    }
    Some(value.to_owned())
}

fn bounds(reader: &Reader) -> Option<Bounds> {
    let (min, max) = (reader.decimal("min"), reader.decimal("max"));
    let bounds = Bounds { min: min.map(|min| min.value), max: max.as_ref().map(|max| max.value) };
    if !reader.has("min") && !reader.has("max") {
        reader
            .mistake(reader.at, format!("{}: any value would be good", reader.path()))
            .hint("write min, max, or both: the smallest and the largest value that is good");
    } else if let (Some(max), false) = (max, bounds.sensible()) {
        reader.wrong_value("max", max.at, "is less than min: no value would be good").hint_if(None);
    }
    bounds.sensible().then_some(bounds)
}
