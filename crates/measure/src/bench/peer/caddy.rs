//! Caddy. It has no TCP routes of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Started, spawn, up};
use crate::bench::site::{Doors, HOST, Site};

/// Starts it.
pub fn start(site: &Site, program: &Path) -> Started {
    let (doors, dir) = (Doors::free()?, site.dir("caddy")?);
    let path = dir.join("Caddyfile");
    fs::write(&path, config(site, doors, &dir))?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    command.env("HOME", &dir).env("GOMAXPROCS", site.threads.to_string());
    let out = dir.join("out");
    up(spawn("caddy", doors, &out, &mut command)?, doors.http, &out)
}

fn config(site: &Site, doors: Doors, dir: &Path) -> String {
    let (backend, certificate, key) = (site.backends.http, site.certificate.display(), site.key.display());
    let log = if site.logs { format!("log {{\n output file {}/access.log\n }}", dir.display()) } else { String::new() };
    let (http, https) = (doors.http.port(), doors.https.port());
    let proxy = format!(
        "bind 127.0.0.1\n {log}\n reverse_proxy {backend} {{\n transport http {{\n keepalive_idle_conns_per_host 128\n }}\n \
         header_up X-Real-IP {{remote_host}}\n }}"
    );
    format!(
        "{{\n admin off\n auto_https off\n servers {{\n metrics\n }}\n}}\n\
         http://:{http} {{\n {proxy}\n}}\nhttps://{HOST}:{https} {{\n tls {certificate} {key}\n {proxy}\n}}\n"
    )
}
