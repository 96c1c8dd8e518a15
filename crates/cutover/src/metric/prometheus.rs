//! An instant query to Prometheus (its HTTP API, version 1), or to what answers as it does.

use serde_json::Value;

/// Asks. A query that finds nothing gives no figure; one that finds several is a mistake, for which of them is meant?
pub(super) async fn ask(url: &str, query: &str) -> Result<Option<f64>, String> {
    let url = format!("{}/api/v1/query?query={}", url.trim_end_matches('/'), encoded(query));
    // What is wrong with a query stands in the body of an answer with another status.
    let (status, body) = super::http::get(&url).await?;
    let Ok(answer) = serde_json::from_str::<Value>(&body) else {
        return Err(format!("answered {status} with something that is not Prometheus's JSON"));
    };
    if answer["status"] != "success" {
        return Err(format!("answered {status}: {}", answer["error"].as_str().unwrap_or("no reason given")));
    }
    let result = &answer["data"]["result"];
    let value = match (answer["data"]["resultType"].as_str(), result.as_array().map(Vec::as_slice)) {
        (Some("scalar"), Some([_, value])) => value,
        (Some("vector"), Some([])) => return Ok(None),
        (Some("vector"), Some([one])) => &one["value"][1],
        (Some("vector"), Some(several)) => return Err(format!("the query finds {} series, not one", several.len())),
        (kind, _) => return Err(format!("the query gives a {}, not one value", kind.unwrap_or("riddle"))),
    };
    super::number(value.as_str().unwrap_or_default())
}

/// As it may stand in a query (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
