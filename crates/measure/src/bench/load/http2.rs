//! HTTP/2 by TLS: one connection, a hundred streams at once.

use std::io::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use h2::client::{self, SendRequest};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use super::{Latencies, micros};
use crate::bench::backend::MESSAGE;
use crate::bench::site::HOST;

const STREAMS: usize = 100;

/// Asks on all streams until it is enough.
pub fn streams(address: SocketAddr, config: &ClientConfig, stop: &AtomicBool) -> Result<Latencies, Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, connection(address, config, stop))
}

async fn connection(address: SocketAddr, config: &ClientConfig, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(HOST).map_err(Error::other)?;
    let secured = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (sender, driver) = client::handshake(secured).await.map_err(Error::other)?;
    let driver = tokio::task::spawn_local(driver);
    let asking = (0..STREAMS).map(|_| stream(sender.clone(), address, stop));
    let mut all = Vec::new();
    for mut latencies in futures_util::future::try_join_all(asking).await? {
        all.append(&mut latencies);
    }
    driver.abort();
    Ok(all)
}

async fn stream(
    mut sender: SendRequest<bytes::Bytes>,
    address: SocketAddr,
    stop: &AtomicBool,
) -> Result<Latencies, Error> {
    let uri = format!("https://{HOST}:{}/bytes/{MESSAGE}?a=1", address.port());
    let mut latencies = Vec::new();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        let request = http::Request::get(&uri).header("user-agent", "bench").body(()).map_err(Error::other)?;
        sender = sender.ready().await.map_err(Error::other)?;
        let (answer, _) = sender.send_request(request, true).map_err(Error::other)?;
        let answer = answer.await.map_err(Error::other)?;
        if answer.status() != 200 {
            return Err(Error::other(answer.status().to_string()));
        }
        let (mut body, mut left) = (answer.into_body(), MESSAGE);
        while let Some(data) = body.data().await {
            let data = data.map_err(Error::other)?;
            body.flow_control().release_capacity(data.len()).map_err(Error::other)?;
            left = left.checked_sub(data.len()).ok_or_else(|| Error::other("more than the answer"))?;
        }
        if left > 0 {
            return Err(Error::other("less than the answer"));
        }
        latencies.push(micros(began));
    }
    Ok(latencies)
}
