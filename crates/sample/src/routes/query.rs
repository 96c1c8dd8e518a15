//! The few parameters that the routes take.

use std::str::FromStr;

use hyper::Request;

/// The parameter `name` of the request's query, as it stands; `%` escapes are not undone.
pub(super) fn get<'r, B>(request: &'r Request<B>, name: &str) -> Option<&'r str> {
    let pairs = request.uri().query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The parameter `name` as a number; what cannot be read as one counts as absent.
pub(super) fn number<B, T: FromStr>(request: &Request<B>, name: &str) -> Option<T> {
    get(request, name)?.parse().ok()
}
