//! The verbs that change a service that is known already: `rollback`, `restart`, `scale`, `stop` and `remove`.

use cutover_core::{ReleaseNo, ServiceName};

use super::super::args::{RollbackArgs, ScaleArgs, ServiceArgs};
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::{caller, follow};
use crate::agent::api::{Begin, Begun, Request, Want};

/// `cutover rollback`. While a deployment is running, this turns it back.
pub async fn rollback(args: &RollbackArgs, context: &Context) -> Result<(), CliError> {
    let want = Want::Rollback { to: args.to.map(ReleaseNo), past: args.past };
    match change(context, args.service.as_ref(), want).await {
        // A running deployment was turned back: that is what was asked for.
        Err(error) if error.kind == Kind::Aborted => Ok(()),
        other => other,
    }
}

/// `cutover restart`
pub async fn restart(args: &ServiceArgs, context: &Context) -> Result<(), CliError> {
    change(context, args.service.as_ref(), Want::Restart).await
}

/// `cutover scale`
pub async fn scale(args: &ScaleArgs, context: &Context) -> Result<(), CliError> {
    let (service, replicas) = match args.replicas.split_once('=') {
        Some((service, replicas)) => (Some(service), replicas),
        None => (None, args.replicas.as_str()),
    };
    let service = service.map(ServiceName::new).transpose().map_err(|error| CliError::usage(error.to_string()))?;
    let replicas = replicas.parse().ok().filter(|replicas| *replicas > 0).ok_or_else(|| {
        CliError::usage(format!("{replicas:?} is not a number of instances: 1 to 65535; `cutover stop` stops all"))
    })?;
    change(context, service.as_ref(), Want::Scale { replicas }).await
}

/// `cutover stop`
pub async fn stop(args: &ServiceArgs, context: &Context) -> Result<(), CliError> {
    change(context, args.service.as_ref(), Want::Stop).await
}

/// `cutover remove`
pub async fn remove(args: &ServiceArgs, context: &Context) -> Result<(), CliError> {
    change(context, args.service.as_ref(), Want::Remove).await
}

async fn change(context: &Context, named: Option<&ServiceName>, want: Want) -> Result<(), CliError> {
    let client = context.agent().await?;
    let service = context.service(named, &client).await?;
    let request = Request { service: service.clone(), want, by: caller::name() };
    let begun: Begun = client.post("/v1/deployments", &Begin { request, wait: false }).await?;
    follow::to_the_end(context, &client, &service, begun.deployment).await
}
