//! `cutover build`, and the part of `deploy` and `plan` that is done on the side of whoever calls: images are built with their `docker`
//! command, and pulled with their login.

use cutover_core::ServiceName;
use cutover_core::spec::{RunSpec, ServiceSpec};

use super::super::args::BuildArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::before_build;
use super::deploy::chosen;
use crate::compose;
use crate::config::Config;
use crate::image::{build, login};

/// Builds the images of the services, and tells their names.
pub async fn run(args: &BuildArgs, context: &Context) -> Result<(), CliError> {
    let config = before_build::configuration(&args.services, true, context).await?;
    let mut built = 0;
    for spec in chosen(&config, &args.services)? {
        if let Some(reference) = image(&config, &spec.name, context)? {
            context.printer.value(&serde_json::json!({ "service": spec.name, "image": reference }));
            context.printer.line(&reference);
            built += 1;
        }
    }
    if built == 0 {
        return Err(CliError::usage(format!(
            "{} builds no image: add a [service.NAME.build] table",
            config.path.display()
        )));
    }
    Ok(())
}

/// The service as it goes to the agent: with the image that was built for it, and the login of whoever calls.
pub fn complete(
    config: &Config,
    spec: &ServiceSpec,
    image: Option<&str>,
    context: &Context,
) -> Result<ServiceSpec, CliError> {
    let mut spec = spec.clone();
    let RunSpec::Container(container) = &mut spec.run else { return Ok(spec) };
    if let (Some(composed), None) = (config.composed.get(&spec.name), image)
        && composed.build
        && let Some(origin) = &container.compose
    {
        context.printer.remark(format!("building the image of {} with Compose", spec.name));
        composed.tool.run(&composed.project, &["build", &origin.service])?;
    }
    let named = match image {
        Some(image) => Some(image.to_owned()),
        None => self::image(config, &spec.name, context)?,
    };
    if let Some(reference) = named {
        container.image.reference = reference;
    }
    if let (None, Some(folder)) = (&container.image.login, login::folder()) {
        container.image.login = login::of_image(&container.image.reference, &folder)?;
    }
    Ok(spec)
}

/// Brings up what a Compose service depends on.
pub async fn neighbours(config: &Config, spec: &ServiceSpec) -> Result<(), CliError> {
    let origin = spec.run.container().and_then(|container| container.compose.as_ref());
    let Some((composed, origin)) = config.composed.get(&spec.name).zip(origin) else { return Ok(()) };
    Ok(compose::bring_up(&composed.tool, &composed.project, origin, &composed.neighbours).await?)
}

/// Builds the image of a service, if it has a build.
fn image(config: &Config, service: &ServiceName, context: &Context) -> Result<Option<String>, CliError> {
    let Some(spec) = config.builds.get(service) else { return Ok(None) };
    context.printer.remark(format!("building the image of {service}"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(Some(build::build(spec, now)?.reference))
}
