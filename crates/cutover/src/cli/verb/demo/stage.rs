//! A temporary directory with an agent, a proxy and a service.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use cutover_core::machine::Duty;
use cutover_core::{Failure, ServiceName};
use cutover_proxy::client::Client as ProxyClient;
use tempfile::TempDir;

use super::super::super::context::Context;
use super::super::super::error::{CliError, Kind};
use super::super::super::printer::Printer;
use super::super::super::{caller, follow};
use crate::agent::api::{Begin, Begun, Request, Status, Want};
use crate::client::Client;
use crate::config;

/// How long the last instances may take to leave.
const LEAVE: Duration = Duration::from_secs(15);

/// Which program a release runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The sample as it is.
    Good,
    /// The sample, told to complain and exit as soon as it is started.
    Broken,
}

/// Where the demonstration takes place.
pub struct Stage {
    directory: Option<TempDir>,
    root: PathBuf,
    address: SocketAddr,
    context: Context,
}

impl Stage {
    /// Makes the directory and finds a port.
    pub fn set(printer: &Printer) -> Result<Self, CliError> {
        let failed = |error: &std::io::Error| CliError::io("could not set up the demonstration", error);
        let directory = tempfile::Builder::new().prefix("cutover-demo-").tempdir().map_err(|e| failed(&e))?;
        let root = directory.path().to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| failed(&e))?;
        let address = listener.local_addr().map_err(|e| failed(&e))?;
        let (config, state) = (root.join("cutover.toml"), root.join("state"));
        let context = Context::new(Some(config), None, Some(state), printer.clone());
        Ok(Self { directory: Some(directory), root, address, context })
    }

    /// Where clients reach the service.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the sample writes down the orders it took.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("orders.ledger")
    }

    /// A heading.
    pub fn say(&self, line: impl AsRef<str>) {
        self.context.printer.line(format!("\n{}", console::style(line.as_ref()).bold()));
    }

    /// Writes the configuration for this program, and deploys it as `cutover deploy` would.
    pub async fn deploy(&self, program: Program) -> Result<(), CliError> {
        let file = self.root.join("cutover.toml");
        std::fs::write(&file, self.configuration(program)).map_err(|e| CliError::io("could not write", &e))?;
        let config = config::load(Some(&file), None);
        let config = config.map_err(|errors| CliError::new(Kind::Failed, Failure::new(errors.to_string())))?;
        let spec = config.services.first().ok_or_else(|| CliError::usage("the demonstration has no service"))?;
        self.change(Want::Deploy { spec: Box::new(spec.clone()), again: true, together: false }).await
    }

    /// Does something else to the service.
    pub async fn change(&self, want: Want) -> Result<(), CliError> {
        let service = service()?;
        self.carry_out(Request { service, want, by: caller::name() }).await
    }

    async fn carry_out(&self, request: Request) -> Result<(), CliError> {
        let client = self.context.agent().await?;
        let service = request.service.clone();
        let begun: Begun = client.post("/v1/deployments", &Begin { request, wait: false }).await?;
        let ended = follow::to_the_end(&self.context, &client, &service, begun.deployment).await;
        if let Err(error) = &ended {
            self.context.printer.error(error);
        }
        ended
    }

    fn configuration(&self, program: Program) -> String {
        let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("cutover"));
        let ledger = self.ledger();
        let mut command = vec![executable.display().to_string()];
        let arguments =
            ["sample", "--port", "{port}", "--release", "{release}", "--instance", "{instance}", "--ledger"];
        command.extend(arguments.map(str::to_owned));
        command.push(ledger.display().to_string());
        if program == Program::Broken {
            command.extend(["--exit-at-start", "3"].map(str::to_owned));
        }
        format!(
            "project = \"demo\"\n\n\
             [service.sample]\n\
             command = {command:?}\n\n\
             [service.sample.ready]\n\
             http = \"/healthz\"\n\
             stable_for = \"300ms\"\n\n\
             [service.sample.route]\n\
             listen = \"{}\"\n\n\
             [service.sample.rollout]\n\
             watch = \"2s\"\n",
            self.address
        )
    }

    /// Leaves everything as it is.
    pub fn keep(&mut self) {
        let kept = self.directory.take().map(TempDir::keep);
        self.context.printer.line(format!("everything is left in {}", kept.unwrap_or_default().display()));
    }

    /// Stops the service, the proxy and the agent, in this order, and removes the directory.
    pub async fn clear(&self) {
        let client = self.context.client();
        let quiet = Stopper { client: &client };
        quiet.stop_service().await;
        let _ = ProxyClient::of_state(&self.root.join("state/proxy")).quit().await;
        let _: Result<serde_json::Value, _> = client.post("/v1/stop", &serde_json::json!({})).await;
        let gone = async {
            while client.get::<Status>("/v1/status").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(LEAVE, gone).await;
    }
}

fn service() -> Result<ServiceName, CliError> {
    ServiceName::new("sample").map_err(|error| CliError::usage(error.to_string()))
}

/// Stops the service without showing it.
struct Stopper<'a> {
    client: &'a Client,
}

impl Stopper<'_> {
    async fn stop_service(&self) {
        let Ok(service) = service() else { return };
        let why = crate::agent::api::Reason { by: caller::name(), reason: "the demonstration is over".to_owned() };
        let abort = format!("/v1/services/{service}/abort");
        let _: Result<Begun, _> = self.client.post(&abort, &why).await;
        let request = Request { service, want: Want::Stop, by: caller::name() };
        let _: Result<Begun, _> = self.client.post("/v1/deployments", &Begin { request, wait: true }).await;
        let _ = tokio::time::timeout(LEAVE, self.all_gone()).await;
    }

    async fn all_gone(&self) {
        loop {
            let Ok(status) = self.client.get::<Status>("/v1/status").await else { return };
            let present = |service: &crate::agent::api::ServiceStatus| {
                service.deployment.is_some() || service.instances.iter().any(|found| found.duty != Duty::Gone)
            };
            if !status.services.iter().any(present) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
