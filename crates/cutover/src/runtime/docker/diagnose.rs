//! What may be wrong with a container that does not get ready or has ended, as far as it can be seen from outside.

use std::net::SocketAddr;

use bollard::models::ContainerInspectResponse;
use cutover_core::InstanceId;
use cutover_core::unit::ByteSize;

use super::record::Record;
use super::start::{OTHER_PROCESSOR, is_running};
use super::{DockerRuntime, own_process};
use crate::runtime::sockets;

impl DockerRuntime {
    /// A guess.
    pub(super) async fn guess(&self, instance: &InstanceId) -> Option<String> {
        let record = self.records.read(instance).ok()??;
        let seen = self.look(&record).await.ok()??;
        if is_running(&seen) {
            let pid = own_process(&seen)?;
            let listeners = tokio::task::spawn_blocking(move || sockets::listeners(pid)).await.ok()?;
            let listeners: Vec<SocketAddr> = listeners.into_iter().map(|listener| listener.address).collect();
            return of_listeners(&record, &listeners);
        }
        // The engine has started it, and the first thing that failed was to become the program.
        let said = self.last_lines(instance, 3).await;
        if said.iter().any(|line| line.text.contains("exec format error")) {
            return Some(OTHER_PROCESSOR.to_owned());
        }
        of_end(&seen)
    }
}

/// What its listening sockets tell.
fn of_listeners(record: &Record, listeners: &[SocketAddr]) -> Option<String> {
    let port = record.port;
    if port == 0 || listeners.iter().any(|at| at.port() == port && !at.ip().is_loopback()) {
        return None;
    }
    if listeners.iter().any(|at| at.port() == port) {
        return Some(format!(
            "it listens on 127.0.0.1:{port} inside its container only, where nobody reaches it: let it listen on 0.0.0.0"
        ));
    }
    // Docker's own resolver listens on 127.0.0.11 in every container.
    let mut others: Vec<u16> = listeners.iter().filter(|at| !at.ip().is_loopback()).map(SocketAddr::port).collect();
    others.sort_unstable();
    others.dedup();
    match others.as_slice() {
        [] => Some(format!("it does not listen on port {port} yet")),
        [other] => Some(format!("it listens on port {other}, but `port` says {port}")),
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            Some(format!("it listens on ports {}, but `port` says {port}", list.join(", ")))
        }
    }
}

/// What the way it ended tells.
fn of_end(seen: &ContainerInspectResponse) -> Option<String> {
    let state = seen.state.as_ref()?;
    let limit = seen.host_config.as_ref().and_then(|host| host.memory).filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| u64::try_from(limit).ok()).map(ByteSize);
    match (state.oom_killed, limit, state.exit_code) {
        (Some(true), Some(limit), _) => Some(format!(
            "it needed more than the {limit} of memory that it may have, and the kernel killed it (OOMKilled, status 137): \
             raise its limit, or let it need less"
        )),
        (Some(true), None, _) => Some(
            "the host ran out of memory, and the kernel killed it (OOMKilled, status 137): `free -m` and `docker stats` show who has it"
                .to_owned(),
        ),
        (_, _, Some(126)) => Some("its program cannot be executed: look at its mode, and at `command`".to_owned()),
        (_, _, Some(127)) => Some("its program was not found: look at `command` and `entrypoint`".to_owned()),
        _ => state.error.clone().filter(|error| !error.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_tell_what_is_wrong() {
        let record = Record {
            instance: "web.r1.i1".parse().unwrap(),
            attempt: 0,
            container: "web".into(),
            port: 8080,
            address: None,
            started_at: None,
            stopped: false,
            adopted: false,
            previous: None,
        };
        let guess = |listeners: &[&str]| {
            let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
            of_listeners(&record, &listeners).unwrap_or_default()
        };
        assert_eq!(guess(&["0.0.0.0:8080"]), "");
        assert_eq!(guess(&["[::]:8080", "127.0.0.11:4000"]), "");
        assert!(guess(&["127.0.0.1:8080"]).contains("0.0.0.0"));
        assert!(guess(&["127.0.0.11:40000", "0.0.0.0:3000"]).contains("port 3000"));
        assert!(guess(&["127.0.0.11:40000"]).contains("does not listen on port 8080"));
    }
}
