//! `cutover deploy`

use cutover_core::ServiceName;
use cutover_core::plan::Refusal;
use cutover_core::spec::ServiceSpec;

use super::super::args::DeployArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::{caller, follow, show};
use super::plan::request;
use super::{accessory, build, notify};
use crate::agent::api::{Begin, Begun, Problem, Request, Want};
use crate::client::{Client, ClientError};
use crate::config::Config;

/// Deploys the services one after the other, and stops at the first that fails.
pub async fn deploy(args: &DeployArgs, context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    config.warnings.iter().for_each(|warning| context.printer.remark(warning.to_string()));
    let client = context.agent().await?;
    accessory::up(&config, context).await?;
    let chosen = chosen(&config, &args.services)?;
    check_image(args, &chosen)?;
    for spec in chosen {
        let spec = build::complete(&config, spec, args.image.as_deref(), context)?;
        build::neighbours(&config, &spec).await?;
        notify::hand_over(&config, &spec.name, &client).await?;
        deploy_one(&spec, args, context, &client).await?;
    }
    Ok(())
}

async fn deploy_one(spec: &ServiceSpec, args: &DeployArgs, context: &Context, client: &Client) -> Result<(), CliError> {
    adopt(spec, context, client).await?;
    let begin = Begin { request: request(spec, args.again), wait: args.wait };
    match client.post::<Begun>("/v1/deployments", &begin).await {
        Ok(begun) if args.detach => {
            context.printer.value(&begun);
            context.printer.line(format!("deployment {} of {} has begun", begun.deployment, spec.name));
            Ok(())
        }
        Ok(begun) => follow::to_the_end(context, client, &spec.name, begun.deployment).await,
        Err(ClientError::Problem(problem)) if show::is_unchanged(&problem) => {
            context.printer.value(&problem);
            context.printer.line(show::unchanged(&problem));
            Ok(())
        }
        Err(error) => Err(error.into()),
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
    let want = Want::Adopt { spec: Box::new(spec.clone()) };
    Some(Request { service: spec.name.clone(), want, by: caller::name() })
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
