//! `cutover deploy`

use cutover_core::ServiceName;
use cutover_core::plan::Refusal;
use cutover_core::spec::ServiceSpec;

use super::super::args::DeployArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::{caller, follow, show};
use super::together::Together;
use super::{accessory, before_build, build, notify};
use crate::agent::api::{Begin, Begun, Problem, Request, Want};
use crate::client::{Client, ClientError};
use crate::config::Config;

/// Deploys the services one after the other, and stops at the first that fails. What is to be built is built before any of them.
pub async fn deploy(args: &DeployArgs, context: &Context) -> Result<(), CliError> {
    let config = before_build::configuration(&args.services, args.image.is_none(), context).await?;
    config.warnings.iter().for_each(|warning| context.printer.remark(warning.to_string()));
    let client = context.agent().await?;
    accessory::up(&config, context).await?;
    let chosen = chosen(&config, &args.services)?;
    check_image(args, &chosen)?;
    let mut specs = Vec::new();
    for spec in chosen {
        match build::complete(&config, spec, args.image.as_deref(), context) {
            Ok(complete) => specs.push(complete),
            Err(error) => return Err(CliError { live: show::live_line(&client, &spec.name).await, ..error }),
        }
    }
    let mut set = together(args, &config, specs.len()).then(|| Together::new(context, &client));
    for spec in specs {
        let deployed = deploy_one(&spec, &config, args, context, &client, set.as_mut()).await;
        match (deployed, set.take()) {
            (Ok(()), going_on) => set = going_on,
            (Err(error), Some(set)) => return Err(set.back(error).await),
            (Err(error), None) => return Err(error),
        }
    }
    match set {
        Some(set) => set.count().await,
        None => Ok(()),
    }
}

/// Whether so many services count together.
pub fn together(args: &DeployArgs, config: &Config, services: usize) -> bool {
    (args.all_or_nothing || (config.all_or_nothing && !args.detach)) && services > 1
}

async fn deploy_one(
    spec: &ServiceSpec,
    config: &Config,
    args: &DeployArgs,
    context: &Context,
    client: &Client,
    set: Option<&mut Together<'_>>,
) -> Result<(), CliError> {
    build::neighbours(config, spec).await?;
    notify::hand_over(config, &spec.name, client).await?;
    adopt(spec, context, client).await?;
    let want = Want::Deploy { spec: Box::new(spec.clone()), again: args.again, together: set.is_some() };
    let begin = Begin { request: request(spec, want), wait: args.wait };
    let begun = match client.post::<Begun>("/v1/deployments", &begin).await {
        Ok(begun) => begun,
        Err(ClientError::Problem(problem)) if show::is_unchanged(&problem) => {
            context.printer.value(&problem);
            context.printer.line(show::unchanged(&problem));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    match set {
        Some(set) => set.join(&spec.name, begun.deployment).await,
        None if args.detach => {
            context.printer.value(&begun);
            context.printer.line(format!("deployment {} of {} has begun", begun.deployment, spec.name));
            Ok(())
        }
        None => follow::to_the_end(context, client, &spec.name, begun.deployment).await,
    }
}

/// An image is for one service, which must be a container.
pub fn check_image(args: &DeployArgs, chosen: &[&ServiceSpec]) -> Result<(), CliError> {
    match (&args.image, chosen) {
        (None, _) => Ok(()),
        (Some(_), [one]) if one.run.container().is_some() => Ok(()),
        (Some(_), [one]) => Err(CliError::usage(format!("{} is a process: it has no image", one.name))),
        (Some(_), _) => Err(CliError::usage("--image is for one service: name it")),
    }
}

/// Takes over what runs already of a Compose service that is not known here yet, so that its traffic can move without a
/// loss. Its own deployment: it stays, whatever becomes of the new release.
async fn adopt(spec: &ServiceSpec, context: &Context, client: &Client) -> Result<(), CliError> {
    let Some(request) = adoption(spec) else { return Ok(()) };
    match client.post::<Begun>("/v1/deployments", &Begin { request, wait: false }).await {
        Ok(begun) => {
            context.printer.remark(format!("{} runs already; taking it over as it is", spec.name));
            follow::to_the_end(context, client, &spec.name, begun.deployment).await
        }
        Err(ClientError::Problem(problem)) if may_be_deployed(&problem) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The request to take over what runs already, for a service of which something may.
pub fn adoption(spec: &ServiceSpec) -> Option<Request> {
    spec.run.container().filter(|container| container.compose.is_some())?;
    Some(request(spec, Want::Adopt { spec: Box::new(spec.clone()) }))
}

/// A request of whoever calls.
pub fn request(spec: &ServiceSpec, want: Want) -> Request {
    Request { service: spec.name.clone(), want, by: caller::name() }
}

/// Whether there was nothing to take over, or a deployment runs: whatever else is in the way is told by that.
pub fn may_be_deployed(problem: &Problem) -> bool {
    matches!(problem.refusal, Some(Refusal::NothingToAdopt { .. } | Refusal::Busy { .. }))
}

/// The services that are named, or all.
pub fn chosen<'a>(config: &'a Config, names: &[ServiceName]) -> Result<Vec<&'a ServiceSpec>, CliError> {
    if names.is_empty() {
        return Ok(config.services.iter().collect());
    }
    let find = |name: &ServiceName| {
        let found = config.services.iter().find(|service| service.name == *name);
        found.ok_or_else(|| {
            let known: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
            CliError::usage(format!("{} has no service {name}; it has {}", config.path.display(), known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}
