//! The `server` lines of an upstream in a file of the user's: `down` is added and taken away, every other byte stays.
//!
//! A line counts as the service's if it shares the address or the port of an instance that is known: so the place of an
//! instance that does not run yet is `down` before it listens, and gets nothing until it is ready. Lines of others are not
//! touched, nor those of a `backup`. What cannot be understood for certain is refused, with its line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use super::super::syntax::{self, Directive};
use super::{RenderError, Server, Wanted};

pub(super) fn render(upstream: &str, wanted: &Wanted, now: Option<&[u8]>) -> Result<Vec<u8>, RenderError> {
    let text = now.ok_or_else(|| refuse("the file is not there; it has to hold the upstream"))?;
    let directives = syntax::parse(text).map_err(|error| refuse(format!("the file cannot be read: {error}")))?;
    let block = find(&directives, upstream)?;
    let mut edits = Vec::new();
    let mut found = Vec::new();
    for line in block.inner() {
        match line.name() {
            "include" => {
                return Err(refuse(format!(
                    "line {}: the upstream {upstream} includes another file; its servers must stand in this one",
                    line.line()
                )));
            }
            "server" => {
                let serves = |servers: &[Server]| servers.iter().find(|s| is_at(line, s.address)).map(|s| s.address);
                if let Some(address) = serves(&wanted.servers) {
                    found.push(address);
                    edits.extend(without_down(line, text));
                } else if is_ours(line, wanted) && !has(line, "down") {
                    edits.push((line.end..line.end, " down"));
                }
            }
            _ => {}
        }
    }
    if let Some(missing) = wanted.servers.iter().find(|server| !found.contains(&server.address)) {
        return Err(refuse(format!(
            "line {}: the upstream {upstream} has no line `server {};`, where {} is to get its traffic",
            block.line(),
            missing.address,
            missing.instance
        )));
    }
    Ok(apply(text, edits))
}

fn refuse(why: impl Into<String>) -> RenderError {
    RenderError::File(why.into())
}

/// The only block of that upstream, at the top of the file or inside its `http` block.
fn find<'a>(directives: &'a [Directive], upstream: &str) -> Result<&'a Directive, RenderError> {
    let is_it = |d: &&Directive| d.name() == "upstream" && d.argument() == Some(upstream) && d.block.is_some();
    let inner = directives.iter().filter(|d| matches!(d.name(), "http" | "stream")).flat_map(|http| http.inner());
    let blocks: Vec<&Directive> = directives.iter().chain(inner).filter(is_it).collect();
    match &blocks[..] {
        [] => Err(refuse(format!("there is no block `upstream {upstream} {{ … }}` in the file"))),
        [one] => Ok(one),
        several => {
            let lines: Vec<String> = several.iter().map(|block| block.line().to_string()).collect();
            Err(refuse(format!("the upstream {upstream} stands in the file twice, in lines {}", lines.join(" and "))))
        }
    }
}

/// Whether a `server` line is about this address. Names are not resolved, but for `localhost`.
fn is_at(line: &Directive, address: SocketAddr) -> bool {
    parts(line) == Some((address.ip(), address.port()))
}

fn is_ours(line: &Directive, wanted: &Wanted) -> bool {
    let Some((ip, port)) = parts(line) else { return false };
    let mut known = wanted.servers.iter().chain(&wanted.others).map(|server| server.address);
    known.any(
        |known| if has(line, "backup") { known == (ip, port).into() } else { known.ip() == ip || known.port() == port },
    )
}

/// The address that a `server` line names, if it is one in numbers.
fn parts(line: &Directive) -> Option<(IpAddr, u16)> {
    let text = line.argument()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (text, Some(80)),
    };
    let host: Option<IpAddr> = match host {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        host => host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    };
    Some((host?, port?))
}

fn has(line: &Directive, parameter: &str) -> bool {
    line.arguments().skip(1).any(|argument| argument == parameter)
}

/// Every `down` goes, with the blanks before it on its line.
fn without_down(line: &Directive, text: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    let words = line.words.iter().skip(2).filter(|word| word.text == "down");
    words
        .map(|word| {
            let blanks = text[..word.at.start].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            (word.at.start - blanks..word.at.end, "")
        })
        .collect()
}

/// Makes the edits, which do not overlap and are in order.
fn apply(text: &[u8], edits: Vec<(Range<usize>, &'static str)>) -> Vec<u8> {
    let (mut new, mut at) = (Vec::with_capacity(text.len() + 16), 0);
    for (place, put) in edits {
        new.extend_from_slice(&text[at..place.start]);
        new.extend_from_slice(put.as_bytes());
        at = place.end;
    }
    new.extend_from_slice(&text[at..]);
    new
}
