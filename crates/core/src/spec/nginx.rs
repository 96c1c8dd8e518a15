//! How an nginx that is there already is told where a service's instances are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An nginx, and the place in its configuration that names the instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxRoute {
    /// Where it runs.
    pub at: NginxAt,
    /// What is written.
    pub shape: NginxShape,
    /// The file that is written. On the host that nginx runs on; for a container the path on the host, in a folder that is
    /// mounted into it. Absolute.
    pub file: PathBuf,
    /// The URL by which clients reach the service, seen from here; asked after each switch if given.
    pub url: Option<String>,
    /// The address to write in place of the instance's own, if nginx reaches it by another (nginx on another host).
    pub advertise: Option<IpAddr>,
    /// The log in which nginx writes down each request of the service, where nginx runs; absolute. Without it nothing is known of
    /// how clients were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<PathBuf>,
}

/// Where nginx runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NginxAt {
    /// On this host.
    Host(NginxProgram),
    /// In a container of this host's engine, found by name. Which of its folders are the host's is asked of the engine.
    Container {
        /// The container's name, or `project/service` for a service of a Compose project.
        name: String,
        /// The program inside.
        program: NginxProgram,
    },
    /// On another host.
    Ssh {
        /// As ssh takes it: `user@host`, `ssh://user@host:port`, or a name of its configuration.
        destination: String,
        /// Options for ssh (`-o …`, `-i …`).
        options: Vec<String>,
        /// The program there.
        program: NginxProgram,
    },
}

/// The program, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NginxProgram {
    /// Its main configuration (`-c`); the built-in one if not given.
    pub config: Option<PathBuf>,
    /// The command before `-t` and `-s reload`: `["nginx"]`, or `["sudo", "nginx"]`.
    pub command: Vec<String>,
    /// The command that reloads it, if not that program with `-s reload`: `["systemctl", "reload", "nginx"]`.
    pub reload: Option<Vec<String>>,
}

impl Default for NginxProgram {
    fn default() -> Self {
        Self { config: None, command: vec!["nginx".to_owned()], reload: None }
    }
}

/// What is written into nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NginxShape {
    /// A file of ours with a whole `upstream` block, for `proxy_pass http://NAME` or `fastcgi_pass NAME`.
    Upstream {
        /// The upstream's name.
        name: String,
        /// Further directives for the block (`keepalive 16;`, `least_conn;`).
        directives: Vec<String>,
        /// Parameters for each server (`max_fails=3 fail_timeout=5s`).
        server: Option<String>,
    },
    /// A file of ours with one `set $variable …;`, included in a `server` or `location`. One instance.
    Variable {
        /// The variable's name, without `$`.
        name: String,
        /// Its value, in which `{address}` stands for `address:port`.
        value: String,
    },
    /// The `server` lines of an upstream block in a file of the user's: `down` is added and taken away, nothing else is
    /// touched. For fixed addresses.
    Down {
        /// The upstream's name.
        upstream: String,
    },
    /// A whole file, copied from one of several: the one given for the port or address of the instance that serves.
    Site {
        /// `port` or `address:port` to file; absolute.
        choices: BTreeMap<String, PathBuf>,
    },
}

impl NginxShape {
    /// Whether instances can have different shares: only an upstream has several of them, with a weight each, in a file of ours.
    pub fn weighs(&self) -> bool {
        matches!(self, Self::Upstream { .. })
    }
}
