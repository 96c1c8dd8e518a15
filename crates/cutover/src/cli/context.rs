//! What every verb needs: the configuration, the way to the agent, and the printer.

use std::path::PathBuf;

use cutover_core::ServiceName;

use super::error::{CliError, Kind};
use super::printer::Printer;
use crate::agent::StateDir;
use crate::agent::api::Status;
use crate::client::{Client, ClientError, launch};
use crate::config::{self, Config};

/// The surroundings of one command.
pub struct Context {
    config: Option<PathBuf>,
    environment: Option<String>,
    /// Where the agent keeps its state.
    pub state: PathBuf,
    /// Where to write.
    pub printer: Printer,
}

impl Context {
    /// From the arguments that every verb takes.
    pub fn new(config: Option<PathBuf>, environment: Option<String>, state: Option<PathBuf>, printer: Printer) -> Self {
        Self { config, environment, state: state.unwrap_or_else(StateDir::default_path), printer }
    }

    /// The configuration, if it is right. Everything that is wrong is told at once.
    pub fn configuration(&self) -> Result<Config, CliError> {
        config::load(self.config.as_deref(), self.environment.as_deref()).map_err(|errors| {
            if self.printer.json() {
                self.printer.value(&serde_json::json!({ "mistakes": errors }));
            } else {
                self.printer.remark(errors.to_string().trim_end());
            }
            let count = errors.0.len();
            let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
            CliError::new(Kind::Usage, cutover_core::Failure::new(format!("the configuration has {mistakes}")))
        })
    }

    /// A way to the agent, whether one runs or not.
    pub fn client(&self) -> Client {
        Client::new(&self.state)
    }

    /// A way to the agent, which is started if none runs.
    pub async fn agent(&self) -> Result<Client, CliError> {
        let client = self.client();
        if matches!(client.get::<Status>("/v1/status").await, Err(ClientError::NoAgent(..))) {
            let pid = launch(&self.state).await?;
            self.printer.remark(format!("started the agent (process {pid}, state in {})", self.state.display()));
        }
        Ok(client.reviving(&self.state))
    }

    /// The service that is meant: the one that is named, else the only one of the configuration, else the only one known.
    pub async fn service(&self, named: Option<&ServiceName>, client: &Client) -> Result<ServiceName, CliError> {
        if let Some(named) = named {
            return Ok(named.clone());
        }
        let configured = config::load(self.config.as_deref(), self.environment.as_deref()).ok();
        let configured = configured.map(|config| config.services.into_iter().map(|service| service.name).collect());
        let known: Vec<ServiceName> = match configured {
            Some(names) => names,
            None => {
                let status: Status = client.get("/v1/status").await?;
                status.services.into_iter().map(|service| service.name).collect()
            }
        };
        match known.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(CliError::usage("no service is known here, and there is no cutover.toml")),
            several => {
                let names: Vec<&str> = several.iter().map(ServiceName::as_str).collect();
                Err(CliError::usage(format!("which service? There are {}", names.join(", "))))
            }
        }
    }
}
