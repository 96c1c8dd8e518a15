//! Requests that an instance gets before its first client does, over one connection as long as that holds. Their answers
//! are read and thrown away.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover_core::spec::WarmUp;
use http_body_util::BodyExt;

use super::http::{Connection, Get, open, request};
use crate::engine::port::ProbeTarget;

/// A request that takes longer than this is given up. The first ones may well be slow: that is what this is for.
const ONE_WITHIN: Duration = Duration::from_secs(30);

/// Of a longer answer, the rest is not read; the next request takes a new connection.
const MOST_OF_AN_ANSWER: usize = 16 << 20;

/// Makes the requests, the paths in turn.
pub async fn warm_up(warm_up: &WarmUp, to: &ProbeTarget) {
    let mut connection = None;
    for path in warm_up.paths.iter().cycle().take(warm_up.requests as usize) {
        let one = ask(connection.take(), path, to);
        connection = tokio::time::timeout(ONE_WITHIN, one).await.ok().and_then(Result::ok);
    }
}

/// One request; the connection comes back if it can carry another.
async fn ask(connection: Option<Connection>, path: &str, to: &ProbeTarget) -> Result<Connection, String> {
    let headers = BTreeMap::new();
    let request = request(&Get { path, host: None, headers: &headers }, to)?;
    let mut connection = usable(connection, to).await?;
    let answer = connection.sender.send_request(request).await.map_err(|error| error.to_string())?;
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.map_err(|error| error.to_string())?.data_ref().map_or(0, |data| data.len());
        if length > MOST_OF_AN_ANSWER {
            return Err("the answer is too long".to_owned());
        }
    }
    Ok(connection)
}

async fn usable(connection: Option<Connection>, to: &ProbeTarget) -> Result<Connection, String> {
    if let Some(mut connection) = connection
        && connection.sender.ready().await.is_ok()
    {
        return Ok(connection);
    }
    open(to).await
}
