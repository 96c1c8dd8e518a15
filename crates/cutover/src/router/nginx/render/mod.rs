//! What is written into nginx's configuration: pure functions from what should serve to bytes.
//!
//! One file per shape. Each gives the whole new content of the file, or says why that cannot be made.

mod down;
mod site;
#[cfg(test)]
mod tests;
mod upstream;
mod variable;

use std::net::SocketAddr;
use std::path::Path;

use cutover_core::spec::NginxShape;
use cutover_core::{InstanceId, ServiceName};

pub use upstream::NOBODY;

/// The request header that carries the secret for reading the marker back.
pub const TOKEN_HEADER: &str = "cutover-token";

/// The answer's header that carries the marker of an `upstream` file.
pub const MARKER_HEADER: &str = "cutover-serving";

/// What a `return` of ours begins with, so that no page of the application is taken for it.
pub const MARKER: &str = "cutover-serving: ";

/// What is to be written.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The service.
    pub service: &'a ServiceName,
    /// The instances that are to get traffic.
    pub servers: Vec<Server>,
    /// The instances that are to get none, but are known: their lines are marked `down`.
    pub others: Vec<Server>,
    /// The secret that lets a request read back which state is in force; none where nobody would ask, or cannot.
    pub token: Option<String>,
}

/// An instance as nginx sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Which instance.
    pub instance: InstanceId,
    /// Where nginx reaches it.
    pub address: SocketAddr,
    /// Its share; 1 if all are alike.
    pub weight: u16,
}

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The shape leads to one instance, and several are to serve.
    #[error("{shape} can lead to one instance, and {count} are to serve")]
    OnlyOne {
        /// The shape, in a few words.
        shape: &'static str,
        /// How many are to serve.
        count: usize,
    },
    /// The user's file is not what it has to be.
    #[error("{0}")]
    File(String),
}

impl Wanted<'_> {
    /// The state in a line: who serves, and where. What nginx answers when it is asked by the secret.
    pub fn marker(&self) -> String {
        if self.servers.is_empty() {
            return format!("{} nobody", self.service);
        }
        let one = |server: &Server| match server.weight {
            _ if !self.is_weighted() => format!("{} {}", server.instance, server.address),
            weight => format!("{} {} weight {weight}", server.instance, server.address),
        };
        self.servers.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Whether anybody's share differs from an equal one.
    fn is_weighted(&self) -> bool {
        self.servers.iter().any(|server| server.weight != 1)
    }

    fn only(&self, shape: &'static str) -> Result<Option<&Server>, RenderError> {
        match &self.servers[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => Err(RenderError::OnlyOne { shape, count: several.len() }),
        }
    }
}

/// Whether the shape's file is ours from the first byte to the last.
pub fn is_whole(shape: &NginxShape) -> bool {
    matches!(shape, NginxShape::Upstream { .. } | NginxShape::Variable { .. })
}

/// The whole new content of the file. `now` is what is there; `read` reads a file of the user's.
pub fn render(
    shape: &NginxShape,
    wanted: &Wanted,
    now: Option<&[u8]>,
    chosen: Option<&[u8]>,
) -> Result<Vec<u8>, RenderError> {
    match shape {
        NginxShape::Upstream { name, directives, server } => {
            Ok(upstream::render(name, directives, server.as_deref(), wanted).into_bytes())
        }
        NginxShape::Variable { name, value } => variable::render(name, value, wanted).map(String::into_bytes),
        NginxShape::Down { upstream } => down::render(upstream, wanted, now),
        NginxShape::Site { .. } => match (chosen, now) {
            (Some(chosen), _) => Ok(chosen.to_owned()),
            // With nobody to serve there is nothing to choose: what is there stays.
            (None, Some(now)) if wanted.servers.is_empty() => Ok(now.to_owned()),
            (None, _) => Err(RenderError::File("no file is there to copy".to_owned())),
        },
    }
}

/// The file that a `Site` is copied from; `None` for other shapes, and if nobody is to serve.
pub fn choice<'a>(shape: &'a NginxShape, wanted: &Wanted) -> Result<Option<&'a Path>, RenderError> {
    match shape {
        NginxShape::Site { choices } => site::choose(choices, wanted),
        _ => Ok(None),
    }
}

/// Whether a file was written for this service.
pub fn is_of(content: &[u8], service: &ServiceName) -> bool {
    content.starts_with(signature(service).as_bytes())
}

fn signature(service: &ServiceName) -> String {
    format!("# Written by cutover for the service {service};")
}

/// The comment at the top of a file of ours.
fn header(wanted: &Wanted) -> String {
    let signature = signature(wanted.service);
    format!("{signature} changes by hand are lost at the next deployment.\n# serving: {}\n", wanted.marker())
}
