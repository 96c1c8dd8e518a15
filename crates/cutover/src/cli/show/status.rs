//! Everything at a glance.

use console::style;
use cutover_core::machine::{Duty, Outcome};

use super::history::table;
use super::time;
use crate::agent::api::{AgentStatus, InstanceStatus, ProxyStatus, ServiceStatus, Status};

/// The services first, then who serves them.
pub fn text(status: &Status) -> String {
    let mut text = String::new();
    if let Some(trouble) = &status.agent.trouble {
        text.push_str(&format!("{} {trouble}\n", style("the journal cannot be written:").red().bold()));
    }
    if status.services.is_empty() {
        text.push_str("nothing has been deployed here yet\n");
    }
    for found in &status.services {
        text.push_str(&service(found));
    }
    text.push_str(&format!("\n{}\n", agent(&status.agent)));
    text.push_str(&status.proxy.as_ref().map_or_else(|| style("the proxy does not answer").red().to_string(), proxy));
    text
}

/// The agent in a line.
pub fn agent(agent: &AgentStatus) -> String {
    format!(
        "agent {} · process {} since {} · {} · state in {}",
        agent.version,
        agent.pid,
        time::moment(agent.started),
        memory(agent.memory),
        agent.state.display()
    )
}

/// The proxy in a line.
pub fn proxy(proxy: &ProxyStatus) -> String {
    let behind = if proxy.generation < proxy.wanted { format!(" (should be {})", proxy.wanted) } else { String::new() };
    let leaving: Vec<String> = proxy.leaving.iter().map(u32::to_string).collect();
    let leaving = match leaving.as_slice() {
        [] => String::new(),
        some => format!(" · finishing what it had before: process {}", some.join(", ")),
    };
    let outdated = proxy.outdated.as_ref().map(|note| format!("\n  {} {note}", style("note:").yellow()));
    format!(
        "proxy · process {} since {} · {} · {} connections · table {}{behind}{leaving}{}",
        proxy.pid,
        time::moment(proxy.started),
        memory(proxy.memory),
        time::number(proxy.connections),
        proxy.generation,
        outdated.unwrap_or_default()
    )
}

fn memory(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn service(service: &ServiceStatus) -> String {
    let live = match service.live {
        Some(release) => style(format!("release {release} live")).green().to_string(),
        None => style("nothing live".to_owned()).yellow().to_string(),
    };
    let address = service.address.clone().unwrap_or_else(|| "no route".to_owned());
    let mut text = format!(
        "{}  {live}  {address}  {} served, {} failed\n",
        style(&service.name).bold(),
        time::number(service.served),
        time::number(service.failed)
    );
    if !service.instances.is_empty() {
        let mut instances = table(["  instance", "duty", "share", "address", "process", "in flight", "streams"]);
        service.instances.iter().for_each(|found| {
            instances.add_row(instance(found, service.address.is_some()));
        });
        text.push_str(&format!("{instances}\n"));
    }
    text.push_str(&remarks(service));
    text
}

fn instance(instance: &InstanceStatus, routed: bool) -> [String; 7] {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        format!("  {}", instance.instance),
        duty(instance),
        or_dash(routed.then(|| format!("{:.0} %", instance.share))),
        or_dash(match &instance.socket {
            Some(path) => Some(format!("unix:{}", path.display())),
            None => instance.address.map(|address| address.to_string()),
        }),
        or_dash(instance.pid.map(|pid| pid.to_string())),
        instance.in_flight.to_string(),
        instance.streams.to_string(),
    ]
}

fn duty(instance: &InstanceStatus) -> String {
    let duty = match instance.duty {
        Duty::Starting => "starting".to_owned(),
        Duty::Registered => "registered".to_owned(),
        Duty::Serving => "serving".to_owned(),
        Duty::Canary { percent } => format!("canary, {percent} % together"),
        Duty::Resting { .. } => "resting: makes room, and is started again if it is turned back".to_owned(),
        Duty::Standby => "standby".to_owned(),
        Duty::Retiring { until } => format!("retiring, until {} at most", time::moment(until)),
        Duty::Gone => "gone".to_owned(),
    };
    match &instance.down {
        Some((since, exit)) => format!("{duty}, DOWN since {}: {exit}", time::moment(*since)),
        None if instance.ejected => format!("{duty}, LEFT OUT by the proxy for failing"),
        None if instance.restarts > 0 => format!("{duty}, started again {} times", instance.restarts),
        None => duty,
    }
}

fn remarks(service: &ServiceStatus) -> String {
    let mut text: String = service.notes.iter().map(|note| format!("  {} {note}\n", style("note:").yellow())).collect();
    if let (Some(running), Some(step)) = (&service.deployment, &service.at_work) {
        text.push_str(&format!(
            "  {} by {} since {} (deployment {}), at step: {step}\n",
            running.plan.kind.verb(),
            running.by,
            time::moment(running.began),
            running.id
        ));
    }
    if let Some(down) = &service.maintenance {
        let (text_of, since) = (style("down for maintenance").yellow(), time::moment(down.since));
        text.push_str(&format!("  {text_of} by {} since {since}: {}\n", down.by, down.reason));
    }
    if let Some(lock) = &service.lock {
        let until = time::moment(lock.until);
        text.push_str(&format!("  locked by {} until {until}: {}\n", lock.by, lock.reason));
    }
    if let Some(last) = &service.last {
        let outcome = match &last.outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::RolledBack { failure, .. } => format!("rolled back: {}", failure.summary),
        };
        let (deployment, at) = (last.deployment, time::moment(last.at));
        text.push_str(&format!("  last: {} (deployment {deployment}), {at}: {outcome}\n", last.kind.verb()));
    }
    text
}
