//! The strategy of a rollout, and the keys that belong to each.

use std::time::Duration;

use cutover_core::pin::PinBy;
use cutover_core::spec::{Amount, Canary, Rolling, Share, Strategy};
use cutover_core::table::Hold;
use cutover_core::unit::duration;

use super::route::Kind;
use crate::config::reader::{Located, Reader, Zero};
use crate::config::tree::Value;

/// Which keys belong to which strategy.
const KEYS: [(&str, &[&str]); 3] = [
    ("rolling", &["batch", "max_surge", "max_unavailable", "min_ready"]),
    ("canary", &["steps", "by"]),
    ("recreate", &["hold", "hold_requests"]),
];

/// The longest that one share of a canary may be observed.
const LONGEST_STEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads the strategy.
pub(super) fn read(rollout: &Reader, route: Kind) -> Option<Strategy> {
    let words = ["blue_green", "rolling", "canary", "recreate"].map(|word| (word, word));
    let word = if rollout.has("strategy") { rollout.one_of("strategy", &words)? } else { "blue_green" };
    for (strategy, keys) in KEYS.iter().filter(|(strategy, _)| *strategy != word) {
        for key in keys.iter().filter(|key| rollout.has(key)) {
            rollout
                .wrong_value(key, rollout.place_of(key), format_args!("belongs to another strategy than {word:?}"))
                .hint(format!("write strategy = {strategy:?}, or leave it out"));
        }
    }
    match word {
        "rolling" => Some(Strategy::Rolling(rolling(rollout))),
        "canary" => canary(rollout, route).map(Strategy::Canary),
        "recreate" => Some(Strategy::Recreate(hold(rollout))),
        _ => Some(Strategy::BlueGreen),
    }
}

fn rolling(rollout: &Reader) -> Rolling {
    let given = |key, default| amount(rollout, key).unwrap_or(Amount::Count(default));
    let rolling = Rolling {
        batch: given("batch", 1),
        max_surge: given("max_surge", 1),
        max_unavailable: given("max_unavailable", 0),
        min_ready: rollout.number("min_ready", 1..=1000).map(|number| number.value),
    };
    let is_none = |amount| matches!(amount, Amount::Count(0) | Amount::Percent(0));
    if is_none(rolling.batch) {
        rollout.wrong_value("batch", rollout.place_of("batch"), "must not be zero").hint_if(None);
    }
    if is_none(rolling.max_surge) && is_none(rolling.max_unavailable) {
        rollout
            .wrong_value(
                "max_surge",
                rollout.place_of("max_surge"),
                "with none more and none fewer, nothing could be replaced",
            )
            .hint("write max_unavailable = 1 to replace instances in place");
    }
    rolling
}

/// A whole number or a percentage.
fn amount(rollout: &Reader, key: &str) -> Option<Amount> {
    let node = rollout.node(key)?;
    let read = match &node.value {
        Value::Integer(count) => u16::try_from(*count).ok().filter(|count| *count <= 1000).map(Amount::Count),
        Value::Text(text) => percent(text).map(Amount::Percent),
        _ => None,
    };
    if read.is_none() {
        rollout.wrong(key, node).hint_if(None);
    }
    read
}

fn percent(text: &str) -> Option<u8> {
    text.trim().strip_suffix('%')?.trim().parse().ok().filter(|percent| *percent <= 100)
}

fn hold(rollout: &Reader) -> Hold {
    Hold {
        wait: rollout.duration("hold", Zero::Refused).unwrap_or(Duration::from_secs(30)),
        requests: rollout.number("hold_requests", 1..=1_000_000).map_or(1000, |number| number.value),
    }
}

fn canary(rollout: &Reader, route: Kind) -> Option<Canary> {
    let by = by(rollout, route);
    let Some(texts) = rollout.texts("steps") else {
        if !rollout.has("steps") {
            rollout
                .wrong_value("steps", rollout.at, "missing")
                .hint("write for example steps = [\"5% for 2m\", \"25% for 5m\", \"100%\"]");
        }
        return None;
    };
    let mut steps: Vec<(Located<&str>, u8, Option<Duration>)> = Vec::new();
    for text in texts.value {
        let (percent, time) = step(rollout, &text)?;
        if let Some((_, before, _)) = steps.last().filter(|(_, before, _)| percent <= *before) {
            let message = format!("{:?} is not more than the {before} % before it", text.value);
            rollout
                .wrong_value("steps", text.at, message)
                .hint("each step gives the new release more than the one before");
            return None;
        }
        steps.push((text, percent, time));
    }
    let Some((_, 100, None)) = steps.pop() else {
        rollout
            .wrong_value("steps", texts.at, "the last step is not 100%")
            .hint("end with \"100%\"; how long the old release stays beside it is said by `watch`");
        return None;
    };
    if let Some((text, ..)) = steps.iter().find(|(_, _, time)| time.is_none()) {
        rollout.wrong_value("steps", text.at, format_args!("{:?} would be held for ever", text.value)).hint(format!(
            "write \"{} for 5m\"; `cutover pause` holds it for longer, `cutover promote` ends it",
            text.value
        ));
        return None;
    }
    let shares = steps.into_iter().filter_map(|(_, percent, time)| Some(Share { percent, time: time? }));
    Some(Canary { steps: shares.collect(), by })
}

/// What clients are told apart by; `None` for shares of requests.
fn by(rollout: &Reader, route: Kind) -> Option<PinBy> {
    let node = rollout.node("by")?;
    let by = match &node.value {
        Value::Text(word) if word == "request" => return None,
        Value::Text(word) if word == "cookie" => Some(PinBy::Cookie),
        Value::Text(word) if word == "address" => Some(PinBy::Address),
        Value::Table(table) => match &table.entries[..] {
            [entry] if entry.key == "header" => header(&entry.node.value).map(PinBy::Header),
            _ => None,
        },
        _ => None,
    };
    let Some(by) = by else {
        rollout.wrong("by", node).hint_if(
            matches!(node.value, Value::Table(_))
                .then(|| "write { header = \"X-User\" }, with the name of a header and nothing else".to_owned()),
        );
        return None;
    };
    if route == Kind::Tcp && by != PinBy::Address {
        rollout
            .wrong_value("by", node.at, "connections of a TCP route have neither cookies nor headers")
            .hint("write by = \"address\", or leave it out: then so many of a hundred connections");
    }
    Some(by)
}

/// The name of a header (RFC 9110, 5.6.2).
fn header(value: &Value) -> Option<String> {
    let Value::Text(name) = value else { return None };
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!name.is_empty() && name.bytes().all(token)).then(|| name.clone())
}

/// `25% for 5m`, or `100%`.
fn step(rollout: &Reader, text: &Located<&str>) -> Option<(u8, Option<Duration>)> {
    let (share, time) = match text.value.split_once(" for ") {
        Some((share, time)) => (share, Some(duration::parse(time.trim()))),
        None => (text.value, None),
    };
    let share = percent(share).filter(|percent| *percent > 0);
    let time = time.transpose().ok().filter(|time| time.is_none_or(|time| time <= LONGEST_STEP));
    let read = share.zip(time);
    if read.is_none() {
        rollout
            .wrong_value("steps", text.at, format_args!("{:?} is no step", text.value))
            .hint("a step is a share and a time of at most 7d, such as \"5% for 2m\"; the last one is \"100%\"");
    }
    read
}
