//! `cutover plan`

use cutover_core::plan::Plan;
use cutover_core::spec::{Hook, RunSpec, ServiceSpec};

use super::super::args::DeployArgs;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::show;
use super::deploy::{adoption, check_image, chosen, may_be_deployed, request, together};
use crate::agent::api::Want;
use crate::client::ClientError;

/// Shows what a deployment would do.
pub async fn plan(args: &DeployArgs, context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    let client = context.agent().await?;
    let chosen = chosen(&config, &args.services)?;
    check_image(args, &chosen)?;
    let together = together(args, &config, chosen.len());
    for spec in chosen {
        let spec = &with_image(spec, args.image.as_deref());
        if spec.rollout.hooks.contains_key(&Hook::BeforeBuild) {
            context.printer.remark(format!("before_build of {} runs first; this is the plan without it", spec.name));
        }
        if config.builds.contains_key(&spec.name) {
            context.printer.remark(format!(
                "the image of {} is built first; this is the plan for the one that is there",
                spec.name
            ));
        }
        if let Some(adoption) = adoption(spec) {
            match client.post::<Plan>("/v1/plan", &adoption).await {
                Ok(plan) => {
                    context.printer.value(&plan);
                    context.printer.line(show::plan::text(&plan, spec));
                }
                Err(ClientError::Problem(problem)) if may_be_deployed(&problem) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let want = Want::Deploy { spec: Box::new(spec.clone()), again: args.again, together };
        match client.post::<Plan>("/v1/plan", &request(spec, want)).await {
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

/// The service with another image.
fn with_image(spec: &ServiceSpec, image: Option<&str>) -> ServiceSpec {
    let mut spec = spec.clone();
    if let (RunSpec::Container(container), Some(image)) = (&mut spec.run, image) {
        container.image.reference = image.to_owned();
    }
    spec
}
