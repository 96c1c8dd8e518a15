//! One client connection, from its first request to its close, WebSocket included.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::routes::{self, websocket};
use crate::state::{Phase, State};

/// Where a route leaves the WebSocket that it has agreed to.
pub(crate) type UpgradeSlot = Arc<Mutex<Option<OnUpgrade>>>;

/// Serves a connection until the client or a stop ends it.
pub(crate) async fn serve(stream: TcpStream, state: Arc<State>) {
    // An answer in two writes would otherwise wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let slot = UpgradeSlot::default();
    let service = service_fn(|request| {
        let (state, slot) = (state.clone(), slot.clone());
        async move { Ok::<_, Infallible>(routes::answer(state, slot, request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let close_at = if state.options.close_idle_on_term { Phase::Stopping } else { Phase::Closing };
    // An error here is the client's: it went away, or spoke nonsense. There is nobody to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = state.reached(close_at) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.as_mut().await;
        }
    }
    let upgrade = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade {
        websocket::run(upgrade, &state).await;
    }
}
