//! Specifications for simulated services, with limits short enough to pass often.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cutover_core::ServiceName;
use cutover_core::rule::verdict::Bounds;
use cutover_core::spec::{
    Amount, Canary, Check, Hook, LimitSpec, LogSpec, MetricSource, MetricSpec, Ports, ProcessSpec, ProxyRoute,
    ReadySpec, RestartSpec, Rolling, RolloutSpec, RouteKind, RouteSpec, RunSpec, Secret, ServiceSpec, Share, StopSpec,
    Strategy, Undecided, WarmUp,
};
use cutover_core::table::{Balance, Hold, Limits};

use crate::invariants::SECRET;
use crate::world::{HookLife, Hooks, Life};

/// What differs between the specifications of a simulation.
#[derive(Debug, Clone)]
pub struct Build {
    /// How its instances live.
    pub life: Life,
    /// How many there are.
    pub replicas: u16,
    /// Whether they are warmed up.
    pub warm_up: bool,
    /// Whether a smoke command tries them.
    pub smoke: bool,
    /// Whether it gets traffic.
    pub routed: bool,
    /// The port it listens on, counted from the service's own.
    pub port: u16,
    /// How it takes over from the release before.
    pub strategy: Strategy,
    /// Whether it counts only together with others.
    pub together: bool,
    /// How its hooks go.
    pub hooks: Hooks,
    /// What decides about it while it is observed.
    pub judging: Judging,
}

/// What decides about a release while it is observed, and afterwards.
#[derive(Debug, Clone, Default)]
pub struct Judging {
    /// Whether there is a figure of others, and what it says.
    pub figure: Option<Figure>,
    /// What happens when nothing can be said.
    pub undecided: Undecided,
    /// How much longer is looked before that, in milliseconds.
    pub extend: u64,
    /// Whether no roll back leads past it.
    pub no_rollback_past: bool,
}

/// What a figure of others says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Figure {
    Good,
    Bad,
    Silent,
}

impl Figure {
    const ALL: [Self; 3] = [Self::Good, Self::Bad, Self::Silent];

    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Silent => "silent",
        }
    }

    /// The figure that a specification asks for.
    pub fn of(metric: &MetricSpec) -> Option<Self> {
        Self::ALL.into_iter().find(|figure| figure.name() == metric.name)
    }

    fn spec(self) -> MetricSpec {
        MetricSpec {
            name: self.name().to_owned(),
            source: MetricSource::Command(vec!["figure".to_owned()]),
            bounds: Bounds { min: None, max: Some(1.0) },
            every: Duration::from_millis(700),
            timeout: Duration::from_secs(1),
        }
    }
}

impl Build {
    /// One instance that lives like this.
    pub fn of(life: Life) -> Self {
        Self {
            life,
            replicas: 1,
            warm_up: false,
            smoke: false,
            routed: true,
            port: 0,
            strategy: Strategy::BlueGreen,
            together: false,
            hooks: Hooks::new(),
            judging: Judging::default(),
        }
    }

    /// As many as this.
    #[must_use]
    pub fn times(self, replicas: u16) -> Self {
        Self { replicas, ..self }
    }

    /// Taking over like this.
    #[must_use]
    pub fn by(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// With these hooks.
    #[must_use]
    pub fn with(self, hooks: &[(Hook, HookLife)]) -> Self {
        Self { hooks: hooks.iter().copied().collect(), ..self }
    }

    /// Decided about like this.
    #[must_use]
    pub fn judged(self, judging: Judging) -> Self {
        Self { judging, ..self }
    }

    /// The specification of a service. `salt` makes it differ from others that are built alike.
    pub fn spec(&self, name: &ServiceName, salt: u64) -> ServiceSpec {
        ServiceSpec {
            name: name.clone(),
            project: "simulation".to_owned(),
            run: run(self.life.command(salt)),
            replicas: self.replicas,
            ready: self.ready(),
            route: self.routed.then(|| route(name, self.port)),
            rollout: RolloutSpec {
                watch: Duration::from_secs(2),
                drain: Duration::from_secs(2),
                stream_drain: Duration::from_secs(15),
                deadline: Duration::from_secs(60),
                keep_releases: 3,
                smoke: self.smoke.then(|| vec!["smoke".to_owned()]),
                smoke_within: Duration::from_secs(5),
                strategy: self.strategy.clone(),
                hooks: self.hooks.iter().map(|(hook, life)| (*hook, life.spec())).collect(),
                metrics: self.judging.figure.map(Figure::spec).into_iter().collect(),
                undecided: self.judging.undecided,
                extend: Duration::from_millis(self.judging.extend),
                no_rollback_past: self.judging.no_rollback_past,
                ..RolloutSpec::default()
            },
        }
    }

    fn ready(&self) -> ReadySpec {
        let path = "/healthz".to_owned();
        let (host, headers, body) = (None, BTreeMap::new(), None);
        ReadySpec {
            check: Check::Http { path, host, headers, status: (200, 299), body },
            within: Duration::from_secs(8),
            stable_for: Duration::from_millis(200),
            passes: 2,
            timeout: Duration::from_secs(1),
            warm_up: self.warm_up.then(|| WarmUp { paths: vec!["/".to_owned()], requests: 3 }),
        }
    }
}

/// So many at a time, with so many more or fewer than wanted.
pub fn rolling(batch: u16, surge: u16, unavailable: u16) -> Strategy {
    let (batch, max_surge, max_unavailable) = (Amount::Count(batch), Amount::Count(surge), Amount::Count(unavailable));
    Strategy::Rolling(Rolling { batch, max_surge, max_unavailable, min_ready: None })
}

/// A tenth, then a half of the traffic.
pub fn canary() -> Strategy {
    let steps = [10, 50].map(|percent| Share { percent, time: Duration::from_millis(1500) });
    Strategy::Canary(Canary { steps: steps.to_vec(), by: None })
}

/// Requests wait meanwhile.
pub fn recreate() -> Strategy {
    Strategy::Recreate(Hold { wait: Duration::from_secs(30), requests: 1000 })
}

/// A plain process with this command line, as what an instance runs.
pub fn run(command: Vec<String>) -> RunSpec {
    RunSpec::Process(Box::new(process(command)))
}

/// A plain process with this command line.
pub fn process(command: Vec<String>) -> ProcessSpec {
    ProcessSpec {
        command,
        artifact: None,
        directory: None,
        env: BTreeMap::from([("PASSWORD".to_owned(), Secret::new(SECRET))]),
        user: None,
        ports: Ports::Automatic,
        socket: None,
        stop: StopSpec { grace: Duration::from_secs(3), ..StopSpec::default() },
        limits: LimitSpec::default(),
        logs: LogSpec::default(),
        restart: RestartSpec { first: Duration::from_millis(500), longest: Duration::from_secs(10) },
    }
}

fn route(name: &ServiceName, port: u16) -> RouteSpec {
    RouteSpec::Proxy(ProxyRoute {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080 + port)).into(),
        kind: RouteKind::Http { hosts: vec![format!("{name}.example.com")], path: "/".to_owned(), more: Vec::new() },
        balance: Balance::default(),
        trusted: Vec::new(),
        limits: Limits::default(),
        preview: None,
        tls: None,
        rules: Default::default(),
        introduced: vec![],
        metrics: None,
        trail: Default::default(),
        spread: Default::default(),
        protocol: Default::default(),
        instance_tls: None,
    })
}
