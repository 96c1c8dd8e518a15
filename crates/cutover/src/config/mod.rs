//! Reads `cutover.toml`.
//!
//! The path of a file: `locate` finds it, `tree` turns the text into nodes that know where they stand, `unknown` holds
//! every key against the table in `keys`, `overlay` lays the chosen environment over it, `service` reads one
//! specification per service with a `reader::Reader` that collects mistakes instead of stopping at the first, and
//! `conflicts` looks at the services together. The reference page is printed from the same table of keys.
//!
//! **Invariant.** No input panics, and no value of an environment variable appears in a finding.
//!
//! Deliberately absent: serde. It stops at the first wrong type, and a person who moves a whole script into this file makes
//! several mistakes at once. A file that is not TOML at all is the exception: what follows a broken line is guesswork, so
//! only the broken lines are reported.

mod conflicts;
mod env_file;
mod finding;
pub mod keys;
mod locate;
mod notify;
mod order;
mod overlay;
mod reader;
mod reference;
mod service;
mod source;
mod surroundings;
mod tree;
mod unknown;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cutover_core::ServiceName;
use cutover_core::spec::{AccessorySpec, BuildSpec, NotifySpec, ServiceSpec};

pub(crate) use locate::{FILE_NAME, normal as normal_path};

use crate::compose::{Neighbour, Project, Tool};

pub use finding::{ConfigErrors, Finding, Place};
pub use notify::Sink;
pub use reference::{example, reference};
pub(crate) use service::read_page;
pub use surroundings::Surroundings;

use finding::Findings;
use reader::Reader;
use source::Source;

/// A configuration file that was read and found good.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was found; absolute.
    pub path: PathBuf,
    /// The project's name.
    pub project: String,
    /// Its services, in the order in which they are deployed: that of the file, but each after those that it depends on.
    pub services: Vec<ServiceSpec>,
    /// Its accessories, in the order in which they can be started.
    pub accessories: Vec<AccessorySpec>,
    /// The images that are built before they are deployed.
    pub builds: BTreeMap<ServiceName, BuildSpec>,
    /// Who is told of deployments, in the order of the file.
    pub sinks: Vec<Sink>,
    /// The Compose projects that services are from.
    pub composed: BTreeMap<ServiceName, Composed>,
    /// Whether services that are deployed by one command count together or not at all.
    pub all_or_nothing: bool,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Finding>,
}

/// Where a service comes from that Compose knows, for what is left to Compose: building its image, and its neighbours.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The tool.
    pub tool: Tool,
    /// The project.
    pub project: Project,
    /// What the service depends on.
    pub neighbours: Vec<Neighbour>,
    /// Whether Compose builds its image.
    pub build: bool,
}

impl Config {
    /// Who is told of a service.
    pub fn notify_of(&self, service: &ServiceName) -> NotifySpec {
        notify::of_service(&self.sinks, &self.project, service)
    }
}

/// Reads the configuration at `path`, or the `cutover.toml` of the current directory or the nearest folder above it, with
/// `environment` laid over it. Fails with every mistake found, not only the first.
pub fn load(path: Option<&Path>, environment: Option<&str>) -> Result<Config, ConfigErrors> {
    load_in(&Surroundings::of_this_process(), path, environment)
}

/// Like [`load`], with the surroundings given: variables, and the folder that relative paths start from.
pub fn load_in(
    surroundings: &Surroundings,
    path: Option<&Path>,
    environment: Option<&str>,
) -> Result<Config, ConfigErrors> {
    let path = locate::find(&surroundings.directory, path)?;
    let source = Source::read(&path, surroundings.shown(&path))?;
    let findings = Findings::default();
    let config = interpret(&source, environment, surroundings, &findings);
    findings.into_result(config)
}

fn interpret(
    source: &Source,
    environment: Option<&str>,
    surroundings: &Surroundings,
    findings: &Findings,
) -> Option<Config> {
    let mut file = tree::parse(source, findings)?;
    unknown::check(&file, source, findings);
    overlay::apply(&mut file, environment, source, findings);
    let reader = Reader::top(&file, source, findings);
    let project = reader.project();
    let place =
        service::Place { project: project.as_deref().unwrap_or_default(), folder: source.folder(), surroundings };
    let services = read_services(&reader, &place);
    conflicts::check(&services, source, findings);
    let accessories = read_accessories(&reader, &place);
    let beside: Vec<&str> = accessories.iter().map(|accessory| accessory.name.as_str()).collect();
    let services = order::in_order(&reader, "service", services, &beside);
    let of_compose = |service: &service::Read| Some((service.spec.name.clone(), service.composed.clone()?));
    let composed = services.iter().filter_map(of_compose).collect();
    let built = |service: &service::Read| Some((service.spec.name.clone(), service.build.clone()?));
    let builds = services.iter().filter_map(built).collect();
    let services: Vec<ServiceSpec> = services.into_iter().map(|service| service.spec).collect();
    let names: Vec<ServiceName> = services.iter().map(|service| service.name.clone()).collect();
    let all_or_nothing = reader.flag("all_or_nothing").is_some_and(|flag| flag.value);
    let sinks = notify::read(&reader, &place, &names);
    Some(Config {
        path: source.path.clone(),
        project: project?,
        services,
        accessories,
        builds,
        sinks,
        composed,
        all_or_nothing,
        warnings: Vec::new(),
    })
}

fn read_services(top: &Reader, place: &service::Place) -> Vec<service::Read> {
    top.tables("service").iter().filter_map(|reader| service::read(reader, place)).collect()
}

/// The accessories in their order.
fn read_accessories(top: &Reader, place: &service::Place) -> Vec<AccessorySpec> {
    let readers = top.tables("accessory");
    let read = readers.iter().filter_map(|reader| service::read_accessory(reader, place)).collect();
    order::in_order(top, "accessory", read, &[])
}
