//! The listeners where counters are read.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::ServiceName;
use cutover_core::table::{Table, Traffic};
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::tell::tell;
use crate::bind::Bound;
use crate::control::counters::Counters;
use crate::control::publish::Listening;
use crate::tls::certificates::Certificates;

/// How long a head may take, so that nobody holds connections here.
const HEAD: Duration = Duration::from_secs(10);

/// How many scrapers may be connected at once.
const SCRAPERS: usize = 64;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of.
type Told = (Arc<Counters>, Arc<Certificates>);

/// The same, not yet shared with those who tell.
type Of<'a> = (&'a Arc<Counters>, &'a Arc<Certificates>);

/// The listeners at work.
#[derive(Debug, Default)]
pub struct Scrapes {
    tasks: HashMap<SocketAddr, JoinHandle<()>>,
}

impl Scrapes {
    /// Whether this address is one of them.
    pub fn has(&self, address: SocketAddr) -> bool {
        self.tasks.contains_key(&address)
    }

    /// Begins to answer where a table says so, and ends where it does not say so any more.
    pub fn apply(&mut self, table: &Table, of: Of<'_>, listening: &Listening) {
        let (counters, certificates) = of;
        self.tasks.retain(|address, task| {
            let stays = services(table, *address).is_some();
            if !stays {
                task.abort();
            }
            stays
        });
        for listener in table.listeners.iter().filter(|l| matches!(l.traffic, Traffic::Metrics { .. })) {
            let Some(Bound::Tcp(socket)) = listening.get(&listener.address) else { continue };
            let Some(address) = listener.address.tcp().filter(|address| !self.has(*address)) else { continue };
            let copy = socket.try_clone().and_then(tokio::net::TcpListener::from_std);
            match copy {
                Ok(copy) => {
                    let task = accept((counters.clone(), certificates.clone()), copy, address);
                    self.tasks.insert(address, tokio::spawn(task));
                }
                Err(error) => tracing::error!(%address, %error, "no counters can be read there"),
            }
        }
    }
}

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

/// The services that are told of at an address; none if it is not for that.
fn services(table: &Table, address: SocketAddr) -> Option<Vec<ServiceName>> {
    table.listeners.iter().find_map(|listener| match &listener.traffic {
        Traffic::Metrics { services } if listener.address == address => Some(services.clone()),
        _ => None,
    })
}

async fn accept(told: Told, listener: tokio::net::TcpListener, address: SocketAddr) {
    let places = Arc::new(tokio::sync::Semaphore::new(SCRAPERS));
    // Dropped with this task, which every connection notices.
    let (_open, closing) = watch::channel(());
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (told, closing) = (told.clone(), closing.clone());
                tokio::spawn(async move {
                    scraper(told, address, stream, closing).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept scrapes; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one scraper. When nobody listens here any more, its connection is closed after the present answer: scrapers keep theirs for ever,
/// and one that stayed with a process that leaves would be told of the past.
async fn scraper(told: Told, address: SocketAddr, stream: TcpStream, mut closing: watch::Receiver<()>) {
    let answer = service_fn(|request| answer(told.clone(), address, request));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut served = pin!(server.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = &mut served => ended,
        _ = closing.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a scrape broke");
    }
}

async fn answer<B>(
    (counters, certificates): Told,
    address: SocketAddr,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |status, kind: &'static str, body: String| {
        Response::builder()
            .status(status)
            .header(CONTENT_TYPE, kind)
            .body(Full::from(body))
            .expect("parts are constant")
    };
    if request.uri().path() != "/metrics" {
        let body = "cutover: the counters are at /metrics\n";
        return Ok(text(404, "text/plain; charset=utf-8", body.to_owned()));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(405, "text/plain; charset=utf-8", "cutover: only GET is answered here\n".to_owned());
        refusal.headers_mut().insert(ALLOW, "GET, HEAD".parse().expect("a constant value"));
        return Ok(refusal);
    }
    let services = services(&counters.shared.live.table().spec, address).unwrap_or_default();
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let open = accept.contains("application/openmetrics-text");
    let counted = counters.of_proxy().await;
    Ok(match tell(&counters.shared, &certificates, &services, counted) {
        Ok(told) if open => text(200, OPEN_METRICS, told),
        Ok(told) => text(200, PLAIN, plain(&told)),
        Err(error) => {
            text(500, "text/plain; charset=utf-8", format!("cutover: the counters cannot be told: {error}\n"))
        }
    })
}

/// The same for those who only know Prometheus's older format: there a counter is described by the name with its `_total`, and the end
/// is not marked.
fn plain(told: &str) -> String {
    let counters: std::collections::HashSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(told.len() + 1024);
    for line in told.lines().filter(|line| *line != "# EOF") {
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = described.and_then(|rest| rest.split(' ').next()).filter(|name| counters.contains(name));
        match name {
            Some(name) => {
                let (before, after) = line.split_at(7 + name.len());
                text.push_str(before);
                text.push_str("_total");
                text.push_str(after);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
