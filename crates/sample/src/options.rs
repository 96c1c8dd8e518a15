//! What the sample can be told, on the command line or in the environment.
//!
//! Every option `--some-name` can be given as `SAMPLE_SOME_NAME` too, because a deployment tool often controls only
//! one of the two. The port is also taken from `PORT`, as most platforms set it.

use std::net::IpAddr;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What the sample does when it is told to stop by SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnTerm {
    /// Stop accepting, finish the requests in flight, end the streams properly, exit with 0.
    #[default]
    Graceful,
    /// Die at once with status 143; what is in flight is cut.
    Exit,
    /// Go on as if nothing had been said; only SIGKILL helps.
    Ignore,
}

/// Everything the sample can be told. `Options::parse_from(["sample", …])` reads a command line.
#[derive(Debug, Clone, Parser)]
#[command(name = "sample", about = "A small HTTP service that can be asked to misbehave")]
pub struct Options {
    /// The port to listen on; 0 takes a free one and logs it.
    #[arg(long, env = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The address to listen on.
    #[arg(long, env = "SAMPLE_BIND", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// The service this claims to be.
    #[arg(long, env = "SAMPLE_SERVICE", default_value = "sample")]
    pub service: String,
    /// The release this claims to be.
    #[arg(long, env = "SAMPLE_RELEASE", default_value = "0")]
    pub release: String,
    /// The instance this claims to be; the process id when not given.
    #[arg(long, env = "SAMPLE_INSTANCE")]
    pub instance: Option<String>,
    /// Append one line `id release` for every order processed, shared by all instances.
    #[arg(long, env = "SAMPLE_LEDGER")]
    pub ledger: Option<PathBuf>,

    /// Listen at once, but answer 503 to everything for this many milliseconds.
    #[arg(long, env = "SAMPLE_READY_AFTER", value_name = "MS", value_parser = millis)]
    pub ready_after: Option<Duration>,
    /// Start to listen only after this many milliseconds.
    #[arg(long, env = "SAMPLE_LISTEN_AFTER", value_name = "MS", value_parser = millis)]
    pub listen_after: Option<Duration>,
    /// Exit, cutting what is in flight, this many milliseconds after the start.
    #[arg(long, env = "SAMPLE_EXIT_AFTER", value_name = "MS", value_parser = millis)]
    pub exit_after: Option<Duration>,
    /// The status that `--exit-after` exits with.
    #[arg(long, env = "SAMPLE_EXIT_CODE", value_name = "N", default_value_t = 1)]
    pub exit_code: u8,
    /// Print a few lines on stderr and exit with this status, without ever listening.
    #[arg(long, env = "SAMPLE_EXIT_AT_START", value_name = "CODE")]
    pub exit_at_start: Option<u8>,
    /// Answer 503 on `/healthz`, always.
    #[arg(long, env = "SAMPLE_FAIL_HEALTH")]
    pub fail_health: bool,
    /// Answer 500 to the first N requests; `/healthz` is not counted.
    #[arg(long, env = "SAMPLE_FAIL_FIRST", value_name = "N", default_value_t = 0)]
    pub fail_first: u64,
    /// Answer 500 to this share of the requests, evenly spread; `/healthz` is not counted.
    #[arg(long, env = "SAMPLE_ERROR_RATE", value_name = "PERCENT", default_value_t = 0.0)]
    pub error_rate: f64,
    /// Wait this many milliseconds before answering; `/healthz` answers at once.
    #[arg(long, env = "SAMPLE_LATENCY", value_name = "MS", value_parser = millis)]
    pub latency: Option<Duration>,
    /// Wait like that only at this share of the requests, evenly spread.
    #[arg(long, env = "SAMPLE_LATENCY_RATE", value_name = "PERCENT", default_value_t = 100.0)]
    pub latency_rate: f64,
    /// Wait like that only at the first N requests, as a program does that is yet to warm up.
    #[arg(long, env = "SAMPLE_LATENCY_FIRST", value_name = "N")]
    pub latency_first: Option<u64>,
    /// What to do on SIGTERM.
    #[arg(long, env = "SAMPLE_ON_TERM", value_enum, default_value_t)]
    pub on_term: OnTerm,
    /// On SIGTERM, close idle connections at once instead of when the last request is done.
    #[arg(long, env = "SAMPLE_CLOSE_IDLE_ON_TERM")]
    pub close_idle_on_term: bool,
    /// Die with status 101, without an answer, at the request after the first N; `/healthz` is not counted.
    #[arg(long, env = "SAMPLE_CRASH_AFTER_REQUESTS", value_name = "N")]
    pub crash_after_requests: Option<u64>,
}

impl Options {
    /// Reads this process's environment and arguments. Prints the usage and exits if they make no sense.
    pub fn from_env_and_args() -> Self {
        Self::parse()
    }

    /// The instance's name: the one given, else the process id.
    pub(crate) fn instance_name(&self) -> String {
        self.instance.clone().unwrap_or_else(|| std::process::id().to_string())
    }
}

fn millis(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_millis)
}
