//! The ports that instances may listen on: one for each that runs at the same time as others.

use cutover_core::spec::Ports;

use crate::config::reader::{Located, Reader};
use crate::config::tree::{Node, Value};

/// Reads `ports`; `most` instances run at the same time.
pub(super) fn read(reader: &Reader, most: usize) -> Ports {
    let ports = reader.node("ports").and_then(|node| fixed(reader, "ports", node, most));
    ports.map_or(Ports::Automatic, Ports::Fixed)
}

/// Ports that are given one by one, under any key.
pub(super) fn fixed(reader: &Reader, key: &'static str, node: &Node, most: usize) -> Option<Vec<u16>> {
    let list = List { reader, key };
    let ports: Vec<u16> = match &node.value {
        Value::List(items) => items.iter().filter_map(|item| list.one(item)).collect(),
        Value::Text(text) => list.range(&Located { value: text, at: node.at }),
        _ => {
            reader.wrong(key, node);
            return None;
        }
    };
    if let Value::List(items) = &node.value
        && items.len() != ports.len()
    {
        return None;
    }
    list.check_distinct(node, &ports);
    list.check_enough(node, &ports, most);
    Some(ports)
}

/// A list of ports that is being read.
struct List<'a, 'r> {
    reader: &'a Reader<'r>,
    key: &'static str,
}

impl List<'_, '_> {
    fn one(&self, item: &Node) -> Option<u16> {
        let port = match &item.value {
            Value::Integer(number) => *number,
            other => {
                let message = format!("expected a port number, found {}", other.described());
                self.reader
                    .wrong_value(self.key, item.at, message)
                    .hint("write for example [8081, 8082], or \"8081-8084\"");
                return None;
            }
        };
        let valid = u16::try_from(port).ok().filter(|port| *port > 0);
        if valid.is_none() {
            self.reader
                .wrong_value(self.key, item.at, format_args!("expected a port from 1 to 65535, found {port}"))
                .hint_if(None);
        }
        valid
    }

    fn range(&self, text: &Located<&String>) -> Vec<u16> {
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let ends = text.value.split_once('-').and_then(|(first, last)| Some((port(first)?, port(last)?)));
        match ends {
            Some((first, last)) if first <= last => (first..=last).collect(),
            Some((first, last)) => {
                let message = format_args!("the range {:?} ends before it begins", text.value);
                self.reader.wrong_value(self.key, text.at, message).hint(format!("write \"{last}-{first}\""));
                Vec::new()
            }
            None => {
                let message = format_args!("expected a range of ports from 1 to 65535, found {:?}", text.value);
                self.reader.wrong_value(self.key, text.at, message).hint("write for example \"8081-8084\"");
                Vec::new()
            }
        }
    }

    fn check_distinct(&self, node: &Node, ports: &[u16]) {
        let mut sorted = ports.to_vec();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            self.reader.wrong_value(self.key, node.at, format_args!("{} stands there twice", twice[0])).hint_if(None);
        }
    }

    fn check_enough(&self, node: &Node, ports: &[u16], need: usize) {
        let have = ports.len();
        let is_mistake_already = ports.is_empty() && matches!(node.value, Value::Text(_));
        if have < need && !is_mistake_already {
            let message = format_args!("{}, and {need} are needed", plural(have, "port"));
            self.reader.wrong_value(self.key, node.at, message).hint(side_by_side(need));
        }
    }
}

/// Why so many places are needed.
pub(super) fn side_by_side(need: usize) -> String {
    format!(
        "while a deployment runs, {need} instances run at a time: twice `replicas`, or `replicas` and `max_surge` when rolling"
    )
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
