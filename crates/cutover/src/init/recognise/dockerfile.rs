//! A Dockerfile: the image is built, and its containers are the instances.

use std::path::Path;

use super::text;
use crate::init::candidate::{Candidate, Ready, Run};
use crate::init::name;

/// The image that a Dockerfile describes.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let name = ["Dockerfile", "Containerfile"].into_iter().find(|name| dir.join(name).is_file())?;
    let stage = Stage::last(&text(dir, name)?)?;
    let run = Run::Image {
        name: name::of_folder(dir),
        dockerfile: (name != "Dockerfile").then(|| name.to_owned()),
        port: stage.port,
    };
    let mut candidate = Candidate::web(format!("a container image ({name})"), run);
    if stage.health {
        candidate.ready = Ready::OwnCheck;
    }
    Some(if stage.port.is_some() {
        candidate
    } else {
        candidate.note(format!("{name} exposes no port: name the one that the program listens on in `port`."))
    })
}

/// What the last stage of a Dockerfile says about itself; an earlier stage is only there to be copied from.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stage {
    port: Option<u16>,
    health: bool,
}

impl Stage {
    fn last(text: &str) -> Option<Self> {
        let mut stage = None;
        for line in text.lines() {
            let (instruction, rest) = line.trim().split_once(char::is_whitespace).unwrap_or_default();
            match (instruction.to_ascii_uppercase().as_str(), &mut stage) {
                ("FROM", _) => stage = Some(Self::default()),
                ("EXPOSE", Some(stage)) => stage.port = stage.port.or_else(|| exposed(rest)),
                ("HEALTHCHECK", Some(stage)) => stage.health = !rest.trim().eq_ignore_ascii_case("NONE"),
                _ => {}
            }
        }
        stage
    }
}

/// The first TCP port of an EXPOSE; `None` if a variable names it.
fn exposed(ports: &str) -> Option<u16> {
    ports.split_whitespace().find_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_says_port_and_health_check() {
        let stage = |text| Stage::last(text).map(|stage| (stage.port, stage.health));
        let two =
            "FROM maven AS build\nEXPOSE 1\nHEALTHCHECK CMD x\nFROM eclipse-temurin\n expose 9/udp 8080/tcp 9090\n";
        assert_eq!(stage(two), Some((Some(8080), false)));
        assert_eq!(stage("FROM a\nEXPOSE $PORT\nHEALTHCHECK --interval=1s CMD true\n"), Some((None, true)));
        assert_eq!(stage("FROM a\nHEALTHCHECK none\n"), Some((None, false)));
        assert_eq!(stage("\u{0}:::"), None);
    }
}
