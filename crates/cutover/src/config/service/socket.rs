//! The unix socket on which instances listen in place of a port.

use cutover_core::listen::LONGEST_PATH;
use cutover_core::spec::RouteSpec;

use super::{Place, command};
use crate::config::reader::Reader;

/// Reads `socket`.
pub(super) fn read(reader: &Reader, place: &Place) -> Option<String> {
    let written = reader.plain("socket")?;
    let path = place.resolve(written.value);
    let text = path.display().to_string();
    let wrong = |message: String, hint: &str| {
        reader.wrong_value("socket", written.at, message).hint(hint);
    };
    if let Some(name) = command::placeholders(&text).find(|name| !matches!(*name, "release" | "instance")) {
        wrong(format!("nothing is known to replace {{{name}}}"), "{release} and {instance} are replaced");
    } else if !text.contains("{instance}") {
        wrong("two instances would have the same socket".to_owned(), "write {instance} in its name");
    }
    // As long as names of instances become: few services see their hundred thousandth.
    let longest = text.replace("{instance}", &format!("{}.r99999.i99999", reader.name)).replace("{release}", "99999");
    if longest.len() > LONGEST_PATH {
        let message = format!("the path may have {LONGEST_PATH} bytes, and would have up to {}", longest.len());
        wrong(message, "choose a folder with a shorter path");
    }
    if reader.has("ports") {
        wrong("stands in place of ports".to_owned(), "remove one of them");
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        reader
            .odd_value("socket", written.at, format!("there is no folder {} yet", folder.display()))
            .hint("it must be there before an instance starts, and the program must be able to write there");
    }
    Some(text)
}

/// Says what does not go together with a socket.
pub(super) fn check(reader: &Reader, route: Option<&RouteSpec>) {
    let wrong = |message: &str, hint: &str| {
        reader.wrong_value("socket", reader.place_of("socket"), message).hint(hint);
    };
    match route {
        Some(RouteSpec::Nginx(_)) => {
            wrong("is for cutover's proxy, and an nginx sends the traffic", "let instances listen on ports");
        }
        Some(RouteSpec::Proxy(proxy)) if proxy.instance_tls.is_some() => {
            wrong("is on this machine, where TLS to instances guards nothing", "remove socket, or instance_tls");
        }
        _ => {}
    }
}
