//! `cutover deploy`

use cutover_core::ServiceName;
use cutover_core::spec::ServiceSpec;

use super::super::args::DeployArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::{follow, show};
use super::plan::request;
use crate::agent::api::{Begin, Begun};
use crate::client::{Client, ClientError};
use crate::config::Config;

/// Deploys the services one after the other, and stops at the first that fails.
pub async fn deploy(args: &DeployArgs, context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    config.warnings.iter().for_each(|warning| context.printer.remark(warning.to_string()));
    let client = context.agent().await?;
    for spec in chosen(&config, &args.services)? {
        deploy_one(spec, args, context, &client).await?;
    }
    Ok(())
}

async fn deploy_one(spec: &ServiceSpec, args: &DeployArgs, context: &Context, client: &Client) -> Result<(), CliError> {
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
