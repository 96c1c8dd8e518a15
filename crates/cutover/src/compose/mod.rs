//! Compose: a service of the user's project becomes the specification of a container.
//!
//! Compose itself resolves the project ([`tool`]): files laid over each other, variables, profiles. What it prints is translated key by
//! key ([`translate`]). A key that is not carried over is refused or named, never dropped: a copy that lacks a limit or a mount
//! would be another service.
//!
//! Deliberately absent: `compose up` for the service itself. The engine's API starts its copies, so that a start can be repeated, and a
//! release of last week comes back with the settings of last week.

mod neighbours;
pub mod tool;
mod translate;

use cutover_core::Failure;
use cutover_core::spec::ContainerSpec;
use serde_json::Value;

pub use self::neighbours::{Neighbour, bring_up};
pub use self::tool::{Project, Tool};
use self::translate::Resolver;

/// A service of a project, translated.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What its instances are.
    pub container: ContainerSpec,
    /// How many the project runs.
    pub replicas: Option<u16>,
    /// Whether Compose builds its image.
    pub build: bool,
    /// What the project publishes, as it is written: its copies do not.
    pub published: Vec<String>,
    /// The services that it depends on.
    pub neighbours: Vec<Neighbour>,
    /// What differs between a copy and what Compose would start, in words.
    pub notes: Vec<String>,
}

/// Resolves a service of a project.
pub fn resolve(tool: &Tool, project: &Project, service: &str) -> Result<Resolved, Failure> {
    let text = if tool.is_first() {
        tool.ask(project, &["config"])?
    } else {
        tool.ask(project, &["config", "--format", "json"])?
    };
    let whole = parse(tool, &text)?;
    let services = whole.get("services").and_then(Value::as_object).cloned().unwrap_or_default();
    let Some(body) = services.get(service) else {
        let names: Vec<&str> = services.keys().map(String::as_str).collect();
        let near = crate::config::keys::nearest(service, names.iter().copied());
        let hint =
            near.map_or_else(|| format!("it has {}", names.join(", ")), |near| format!("did you mean {near:?}?"));
        return Err(Failure::new(format!("the Compose project has no service {service:?}")).hint(hint));
    };
    let hash = tool.ask(project, &["config", "--hash", service]).ok();
    let hash = hash.and_then(|line| Some(line.split_whitespace().nth(1)?.to_owned()));
    Resolver { tool, project, whole: &whole, service, hash }.translate(body)
}

/// The first version prints YAML, the second JSON if asked.
fn parse(tool: &Tool, text: &str) -> Result<Value, Failure> {
    let parsed = if tool.is_first() {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())
    };
    parsed.map_err(|error| Failure::new(format!("what Compose {} printed cannot be read: {error}", tool.version)))
}
