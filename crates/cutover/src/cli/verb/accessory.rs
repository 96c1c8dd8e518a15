//! `cutover accessory`, and the part of `deploy` that brings up what is missing.

use cutover_core::ServiceName;
use cutover_core::spec::AccessorySpec;

use super::super::args::AccessoryVerb;
use super::super::context::Context;
use super::super::error::CliError;
use crate::accessory::{Accessories, Action, is_current, volume_names};
use crate::config::Config;
use crate::engine::port::Progress;
use crate::image::login;

/// Does what is asked.
pub async fn run(verb: &AccessoryVerb, context: &Context) -> Result<(), CliError> {
    let config = context.configuration()?;
    match verb {
        AccessoryVerb::List => list(&config, context).await,
        AccessoryVerb::Up => up(&config, context).await,
        AccessoryVerb::Update { name } => {
            let (spec, accessories) = (named(&config, name)?, Accessories::open().await?);
            context.printer.remark(format!("{name} stops, and is made anew; its volumes stay"));
            accessories.update(&spec, &progress(context)).await?;
            context.printer.line(format!("{name} runs with the settings of now"));
            Ok(())
        }
        AccessoryVerb::Stop { name } => {
            Accessories::open().await?.stop(&named(&config, name)?).await?;
            context.printer.line(format!("{name} is stopped; `cutover accessory up` starts it"));
            Ok(())
        }
        AccessoryVerb::Remove { name, volumes, yes } => {
            let spec = named(&config, name)?;
            if *volumes && !*yes {
                let names: Vec<&str> = volume_names(&spec).collect();
                return Err(CliError::usage(format!(
                    "this removes the data in {}: say --yes as well",
                    names.join(", ")
                )));
            }
            Accessories::open().await?.remove(&spec, *volumes).await?;
            let kept = if *volumes { "and its volumes with it" } else { "its volumes stay" };
            context.printer.line(format!("{name} is removed; {kept}"));
            Ok(())
        }
    }
}

/// Brings up those that are missing or stopped, and names those whose settings have changed.
pub async fn up(config: &Config, context: &Context) -> Result<(), CliError> {
    if config.accessories.is_empty() {
        return Ok(());
    }
    let accessories = Accessories::open().await?;
    for spec in &config.accessories {
        let spec = with_login(spec)?;
        match accessories.up(&spec, &progress(context)).await? {
            Action::Create => context.printer.remark(format!("{} was made and is ready", spec.name)),
            Action::Start => context.printer.remark(format!("{} did not run; it was started and is ready", spec.name)),
            Action::Leave => {}
        }
        if let Some(found) = accessories.find(&spec).await?.filter(|found| !is_current(&spec, found)) {
            drop(found);
            context.printer.remark(differs(&spec));
        }
    }
    Ok(())
}

async fn list(config: &Config, context: &Context) -> Result<(), CliError> {
    let accessories = Accessories::open().await?;
    for spec in &config.accessories {
        let found = accessories.find(spec).await?;
        let state = found.as_ref().map_or("missing", |found| if found.runs { "running" } else { "stopped" });
        let current = found.as_ref().is_none_or(|found| is_current(spec, found));
        let image = &spec.container.image.reference;
        context
            .printer
            .value(&serde_json::json!({ "name": spec.name, "state": state, "current": current, "image": image }));
        context.printer.line(format!("{:<16} {state:<8} {image}", spec.name));
        if !current {
            context.printer.line(format!("  {}", differs(spec)));
        }
    }
    Ok(())
}

fn differs(spec: &AccessorySpec) -> String {
    format!("{} differs from the configuration: `cutover accessory update {}`", spec.name, spec.name)
}

fn named(config: &Config, name: &ServiceName) -> Result<AccessorySpec, CliError> {
    let found = config.accessories.iter().find(|spec| spec.name == *name);
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = config.accessories.iter().map(|spec| spec.name.as_str()).collect();
        CliError::usage(format!("{} has no accessory {name}; it has {}", config.path.display(), known.join(", ")))
    })?;
    with_login(found)
}

/// With the login of whoever calls.
fn with_login(spec: &AccessorySpec) -> Result<AccessorySpec, CliError> {
    let mut spec = spec.clone();
    let image = &mut spec.container.image;
    if let (None, Some(folder)) = (&image.login, login::folder()) {
        image.login = login::of_image(&image.reference, &folder)?;
    }
    Ok(spec)
}

fn progress(context: &Context) -> Progress {
    let printer = context.printer.clone();
    Progress::new(move |line| printer.remark(line))
}
