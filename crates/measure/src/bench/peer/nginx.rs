//! nginx. The package of Debian has the stream module apart, so TCP is left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Started, spawn, up};
use crate::bench::site::{Doors, Site};

/// Starts it.
pub fn start(site: &Site, program: &Path) -> Started {
    let (doors, dir) = (Doors::free()?, site.dir("nginx")?);
    fs::write(dir.join("nginx.conf"), config(site, doors, &dir))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
    let out = dir.join("out");
    up(spawn("nginx", doors, &out, &mut command)?, doors.http, &out)
}

fn config(site: &Site, doors: Doors, dir: &Path) -> String {
    let Site { threads, backends, certificate, key, .. } = site;
    let (certificate, key, at) = (certificate.display(), key.display(), dir.display());
    let (http, https, backend) = (doors.http, doors.https, backends.http);
    let log = if site.logs { format!("access_log {at}/access.log combined") } else { "access_log off".to_owned() };
    // Each worker may get all of them, and each takes a connection to the instance.
    let connections = 1024.max(site.connections * 2);
    format!(
        "worker_processes {threads}; daemon off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{ {log}; keepalive_requests 100000000; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
         fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e; tcp_nodelay on;\n\
         client_max_body_size 100m; proxy_request_buffering off; proxy_max_temp_file_size 0;\n\
         map $http_upgrade $kept {{ default upgrade; \"\" \"\"; }}\n\
         upstream backend {{ server {backend}; keepalive 128; keepalive_requests 100000000; }}\n\
         server {{ listen {http} backlog=4096; listen {https} ssl http2 backlog=4096;\n\
         ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_session_cache shared:tls:10m;\n\
         location / {{ proxy_pass http://backend; proxy_http_version 1.1;\n\
         proxy_set_header Connection $kept; proxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $http_host; }} }} }}\n"
    )
}
