//! HAProxy. It writes access logs to a socket or to its standard output, which is a file here.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Started, spawn, up};
use crate::bench::site::{Doors, Site};

/// Starts it.
pub fn start(site: &Site, program: &Path) -> Started {
    let (doors, dir) = (Doors::free()?, site.dir("haproxy")?);
    // It wants both in one file.
    let pem = dir.join("both.pem");
    fs::write(&pem, fs::read_to_string(&site.certificate)? + &fs::read_to_string(&site.key)?)?;
    let path = dir.join("haproxy.cfg");
    fs::write(&path, config(site, doors, &pem))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(path);
    let out = dir.join("access.log");
    up(spawn("haproxy", doors, &out, &mut command)?, doors.http, &out)
}

/// It would reserve two files for each connection that may come, more than some machines allow; idle ones take one.
fn config(site: &Site, doors: Doors, pem: &Path) -> String {
    let Site { threads, backends, connections, .. } = site;
    let (http, https, tcp, pem) = (doors.http, doors.https, doors.tcp, pem.display());
    let log = if site.logs { "  log stdout format raw local0\n  option httplog\n" } else { "" };
    let tcplog = if site.logs { "  option tcplog\n" } else { "" };
    format!(
        "global\n  nbthread {threads}\n  maxconn {}\n  no strict-limits\n\
         defaults\n  mode http\n{log}  timeout client 75s\n  timeout server 60s\n  timeout tunnel 1h\n\
         \x20 timeout connect 2s\n  timeout http-keep-alive 75s\n  http-reuse always\n  option forwardfor\n\
         frontend f\n  bind {http} backlog 4096\n  bind {https} ssl crt {pem} alpn h2,http/1.1 backlog 4096\n\
         \x20 http-request set-header X-Real-IP %[src]\n  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}\n\
         \x20 http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n\
         \x20 http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  default_backend b\n\
         backend b\n  server s {} pool-max-conn 128\n\
         frontend g\n  mode tcp\n{tcplog}  bind {tcp}\n  default_backend c\nbackend c\n  mode tcp\n  server t {}\n",
        2000.max(connections * 2),
        backends.http,
        backends.tcp,
    )
}
