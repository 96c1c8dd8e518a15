//! Measures what a deployment behind nginx costs clients that keep their connections; for docs/nginx.md:
//! `cargo test -p cutover --test nginx_measure -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout)] // It prints what it measures.

mod nginx_support;

use std::time::Duration;

use cutover_meter::{Load, Meter};
use cutover_testkit::host::{App, Host, answers};
use nginx_support::{Conf, Nginx, PASS, configure, including};

const CLIENTS: usize = 200;
const DEPLOYMENTS: u32 = 5;

/// POSTs on kept connections, with a pause of up to 20 ms before each.
fn load(host: &Host, reused: usize, peek: usize, fresh: usize) -> Load {
    let think = Duration::ZERO..Duration::from_millis(20);
    let load = Load { rate: 0.0, think, post_share: 1.0, sse: 0, websockets: 0, uploads: 0, ..host.load(0.0) };
    Load { reused, peek, fresh, ..load }
}

#[test]
#[ignore = "a measurement, not a check: it takes minutes and prints figures"]
fn what_a_deployment_costs_kept_connections() {
    for once in [false, true] {
        let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
        let (nginx, proxy) = if once {
            let proxy = host.another_port();
            let server = "location / { proxy_pass http://once; }";
            let http = format!("upstream once {{ server 127.0.0.1:{proxy}; keepalive 64; }}");
            (Nginx::start(&host, &Conf { http: &http, server }), proxy)
        } else {
            let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
            nginx.write("app.conf", "upstream app { server 127.0.0.1:1; }\n");
            nginx.run();
            (nginx, 0)
        };
        let url = format!("http://{}/", host.address());
        let route = match once {
            true => format!("[service.sample.route]\nlisten = \"127.0.0.1:{proxy}\"\n"),
            false => nginx.route(&nginx.file("app.conf"), &format!("upstream = \"app\"\nurl = {url:?}")),
        };
        configure(&host, &App::default(), &route);
        host.done(&["deploy"]);
        for (kind, reused, peek, fresh) in
            [("naive", CLIENTS, 0, 0), ("peeking", 0, CLIENTS, 0), ("new connections", 0, 0, CLIENTS)]
        {
            let before = nginx.reloads();
            let meter = Meter::start_on_thread(load(&host, reused, peek, fresh)).unwrap();
            answers(&meter, 2000);
            for number in 0..DEPLOYMENTS {
                host.build(&format!("{kind} {number}"));
                host.done(&["deploy"]);
                answers(&meter, 1000);
            }
            let report = meter.stop_blocking();
            println!(
                "{}, {kind}: {} requests, {} failed in {DEPLOYMENTS} deployments, {} reloads",
                if once { "nginx points once at our proxy" } else { "a reload per deployment" },
                report.requests.sent,
                report.requests.failed,
                nginx.reloads() - before,
            );
        }
    }
}
