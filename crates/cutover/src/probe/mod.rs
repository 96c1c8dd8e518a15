//! Probes over HTTP, FastCGI, gRPC, TCP, commands and files, warm-up requests and the smoke command.
//!
//! One try each: how often, and what follows from it, is the engine's decision. A failure is told as a lowercase fragment
//! that says what came back: `answered 500 Internal Server Error instead of 200-399`.

pub(crate) mod command;
mod fastcgi;
mod grpc;
mod http;
mod target;
mod warm_up;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::spec::{Check, WarmUp};
use cutover_core::unit::duration;

use crate::engine::port::{ProbeTarget, Prober, SmokeFailure};

/// Looks at instances over the network and through the file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetProber;

#[async_trait]
impl Prober for NetProber {
    async fn probe(&self, check: &Check, at: &ProbeTarget, timeout: Duration) -> Result<(), String> {
        match check {
            Check::Http { path, host, headers, status, body } => {
                let get = http::Get { path, host: host.as_deref(), headers };
                within(timeout, "no answer", http::check(&get, at, *status, body.as_deref())).await
            }
            Check::Tcp => within(timeout, "no connection", target::connect(at)).await.map(drop),
            Check::Command(words) => command::check(words, at, timeout).await,
            Check::File(path) => exists(&fill(path, at)).await,
            Check::FastCgi { script, query, status, body } => {
                let get = fastcgi::Get { script, query };
                within(timeout, "no answer", fastcgi::check(&get, at, *status, body.as_deref())).await
            }
            Check::Grpc { service } => within(timeout, "no answer", grpc::check(service, at)).await,
            // That it exited is seen by whoever asks us.
            Check::Running => Ok(()),
            Check::Health => Err("only the runtime can tell".to_owned()),
        }
    }

    async fn warm_up(&self, warm_up: &WarmUp, at: &ProbeTarget) {
        warm_up::warm_up(warm_up, at).await;
    }

    async fn smoke(&self, command: &[String], at: &ProbeTarget, within: Duration) -> Result<(), SmokeFailure> {
        command::smoke(command, at, within).await
    }
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("{what} within {}", duration::text(limit));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

async fn exists(path: &Path) -> Result<(), String> {
    match tokio::fs::try_exists(path).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("there is no file {}", path.display())),
        Err(error) => Err(format!("the file {} cannot be looked at: {error}", path.display())),
    }
}

fn fill(path: &Path, at: &ProbeTarget) -> PathBuf {
    let text = path.to_string_lossy();
    let text = text.replace("{release}", &at.instance.release.to_string());
    text.replace("{instance}", &at.instance.to_string()).into()
}
