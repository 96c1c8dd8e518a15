//! A view as text.

use std::time::Duration;

use console::style;

use super::super::show::time::length;
use super::view::{Figures, ServiceView, View};

/// How wide the names at the left are.
const NAMES: usize = 26;

/// A few lines for each service.
pub fn text(view: &View) -> String {
    let memory = view.memory / (1 << 20);
    let mut text = format!("proxy · {} connections · {memory} MiB", view.connections);
    if view.restarted {
        text.push_str(&format!(" · {}", style("it has just been started anew").yellow()));
    }
    text.push_str(&format!("\n\n{}\n", style(head()).dim()));
    if view.services.is_empty() {
        text.push_str("nothing has been deployed here yet\n");
    }
    view.services.iter().for_each(|found| service(&mut text, found));
    text
}

fn head() -> String {
    let columns = ["req/s", "errors", "p50", "p99", "in flight", "streams", "share"];
    let columns: String = columns.iter().map(|column| format!("{column:>11}")).collect();
    format!("{:<NAMES$}{columns}", "")
}

fn service(text: &mut String, service: &ServiceView) {
    let live = service.live.map_or_else(|| "nothing live".to_owned(), |live| format!("release {live}"));
    let name = format!("{} · {live}", service.service);
    text.push_str(&format!("{}{}\n", style(cell(&name)).bold(), figures(&service.all)));
    if let Some(deployment) = &service.deployment {
        text.push_str(&format!("  {}\n", style(format!("deployment {deployment}")).cyan()));
    }
    if service.held > 0 {
        text.push_str(&format!("  {}\n", style(format!("{} requests wait for an instance", service.held)).yellow()));
    }
    for release in &service.releases {
        text.push_str(&format!("{}{}\n", cell(&format!("  release {}", release.release)), figures(&release.all)));
    }
    for instance in &service.instances {
        let share = format!("{:>11}", format!("{:.0} %", instance.share));
        let trouble = instance.trouble.map(|trouble| format!("  {}", style(trouble).red())).unwrap_or_default();
        let name = cell(&format!("    {}", instance.instance));
        text.push_str(&format!("{name}{}{share}{trouble}\n", figures(&instance.all)));
    }
}

/// A name in its column; a long one takes what it needs.
fn cell(name: &str) -> String {
    format!("{name:<NAMES$}")
}

fn figures(figures: &Figures) -> String {
    let errors = match figures.errors {
        None => format!("{:>11}", "-"),
        Some(0.0) => format!("{:>11}", "0 %"),
        Some(share) => style(format!("{:>11}", format!("{share:.2} %"))).red().to_string(),
    };
    let rate = if figures.per_second < 10.0 { 1 } else { 0 };
    let rate = format!("{:.rate$}", figures.per_second);
    let (p50, p99) = (time(figures.p50_us), time(figures.p99_us));
    format!("{rate:>11}{errors}{p50:>11}{p99:>11}{:>11}{:>11}", figures.in_flight, figures.streams)
}

fn time(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| length(Duration::from_micros(micros)))
}
