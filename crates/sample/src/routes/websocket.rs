//! `/ws`: echoes every message and sends `tick N RELEASE` once a second. Ends with close code 1001 when the sample stops.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::connection::UpgradeSlot;
use crate::reply::{Reply, text};
use crate::state::{Phase, State};

const TICK: Duration = Duration::from_secs(1);

/// Agrees to a WebSocket; the connection runs it once the answer is written.
pub(super) fn accept(slot: &UpgradeSlot, mut request: Request<Incoming>) -> Reply {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let Some(key) = key else {
        return text(StatusCode::UPGRADE_REQUIRED, "this is for WebSockets\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
    let mut reply = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = reply.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header's value"));
    reply
}

/// Runs a WebSocket to its end. How it failed matters to the client only.
pub(crate) async fn run(upgrade: OnUpgrade, state: &State) {
    if let Ok(upgraded) = upgrade.await {
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let _ = converse(socket, state).await;
    }
}

async fn converse<S>(mut socket: WebSocketStream<S>, state: &State) -> Result<(), Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut ticks = tokio::time::interval(TICK);
    let mut number = 0;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => socket.send(message).await?,
                // Answered below, while it is read. A tick that is due just now may not follow it.
                Some(Ok(Message::Close(_))) => break,
                // The library answers pings while it is read.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                number += 1;
                socket.send(Message::text(format!("tick {number} {}", state.options.release))).await?;
            }
            () = state.reached(Phase::Stopping) => {
                socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "stopping".into() })).await?;
                break;
            }
        }
    }
    // Until both sides have closed; the client may still be sending.
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::Options;

    /// Whatever is drawn first when both are due in the same instant. Seen to fail with the close passed over as a ping is: the tick was then refused, and
    /// the connection dropped without an answer.
    #[tokio::test(start_paused = true)]
    async fn a_close_is_answered_also_when_a_tick_is_due() {
        let state = State::new(Options::parse_from(["sample", "--port", "0"])).unwrap();
        for _ in 0..64 {
            let (server, client) = tokio::io::duplex(4096);
            let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
            let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
            let serving = async {
                let conversation = converse(server, &state);
                tokio::pin!(conversation);
                assert!(tokio::time::timeout(TICK / 2, &mut conversation).await.is_err());
                client.close(None).await.unwrap();
                tokio::time::advance(TICK).await;
                conversation.await.unwrap();
            };
            serving.await;
            let mut last = None;
            while let Some(Ok(message)) = client.next().await {
                last = Some(message);
            }
            assert!(matches!(last, Some(Message::Close(_))), "{last:?}");
        }
    }
}
