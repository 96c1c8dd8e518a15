//! `cutover plan`

use cutover_core::plan::Plan;
use cutover_core::spec::ServiceSpec;

use super::super::args::DeployArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::{caller, show};
use super::deploy::chosen;
use crate::agent::api::{Request, Want};
use crate::client::ClientError;

/// Shows what a deployment would do.
pub async fn plan(args: &DeployArgs, context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    let client = context.agent().await?;
    for spec in chosen(&config, &args.services)? {
        match client.post::<Plan>("/v1/plan", &request(spec, args.again)).await {
            Ok(plan) => {
                context.printer.value(&plan);
                context.printer.line(show::plan::text(&plan, spec));
            }
            Err(ClientError::Problem(problem)) if show::is_unchanged(&problem) => {
                context.printer.value(&problem);
                context.printer.line(show::unchanged(&problem));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A request to deploy this.
pub fn request(spec: &ServiceSpec, again: bool) -> Request {
    let want = Want::Deploy { spec: Box::new(spec.clone()), again };
    Request { service: spec.name.clone(), want, by: caller::name() }
}
