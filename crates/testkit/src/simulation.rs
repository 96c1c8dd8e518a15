//! Runs the real engine in the simulated world: first with faults, then without, when everything must come to an end.

use std::time::Duration;

use cutover::engine::{Engine, Identity, Steer};
use cutover_core::machine::{Outcome, ServiceState};
use cutover_core::{DeploymentId, InstanceId, ServiceName};

use crate::coverage::Coverage;
use crate::faults::Faults;
use crate::fixture::Build;
use crate::invariants::{Invariant, is_at_rest, is_stuck};
use crate::script::{Act, Order, Script, When};
use crate::seed::Seed;
use crate::world::{Call, Inner, Life, TOKEN, World};

/// Within this time everything ends once the faults have stopped.
const AT_REST_WITHIN: Duration = Duration::from_secs(600);

/// Within this time slow calls that have begun before the faults stopped are over.
const SLOW_CALLS: Duration = Duration::from_secs(21);

/// A deployment may ask in each of its steps that observe, and two services may do so.
const MOST_PAUSES: usize = 8;

/// How long an order waits for rest while there are faults.
const PATIENCE: Duration = Duration::from_secs(240);

/// A run in which all invariants held.
#[derive(Debug, Clone)]
pub struct Report {
    /// What occurred.
    pub coverage: Coverage,
    /// The calls made since the faults were armed.
    pub calls: Vec<Call>,
    /// What happened, if it was traced.
    pub trace: Vec<String>,
    /// How the last deployment of each service ended before the faults stopped.
    pub outcomes: Vec<(ServiceName, Option<Outcome>)>,
}

/// A run in which an invariant did not hold.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The number that decides the run.
    pub seed: u64,
    /// What did not hold.
    pub invariant: Invariant,
    /// How.
    pub how: String,
    /// What happened, if it was traced.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "seed {} breaks {:?}: {}", self.seed, self.invariant, self.how)
    }
}

/// What one run is made of.
#[derive(Debug, Clone)]
pub struct Run {
    /// Decides everything that is not written down.
    pub seed: u64,
    /// What people ask.
    pub script: Script,
    /// What goes wrong.
    pub faults: Faults,
}

impl Run {
    /// Draws a run from its seed.
    pub fn drawn(seed: u64) -> Self {
        let mut stream = Seed::new(seed);
        let mut script = Script::drawn(&mut stream);
        script.draw_hooks(&mut Seed::new(seed ^ 0x0400_c0de));
        script.draw_judging(&mut Seed::new(seed ^ 0x00f1_64fe));
        let length = 6000 * script.orders.len() as u64;
        Self { seed, script, faults: Faults::drawn(&mut stream, length) }
    }

    /// Carries it out. A run that breaks is carried out again with a trace: it goes the same way.
    pub fn carry_out(&self) -> Result<Report, Box<Broken>> {
        self.once(false).or_else(|_| self.traced())
    }

    /// Carries it out with a trace.
    pub fn traced(&self) -> Result<Report, Box<Broken>> {
        self.once(true)
    }

    fn once(&self, traced: bool) -> Result<Report, Box<Broken>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O can be made");
        runtime.block_on(async {
            let world = World::new(Seed::new(self.seed ^ 0x5eed), traced);
            let mut simulation = Simulation { world: world.clone(), engine: None, salt: 0 };
            let outcomes = tokio::select! {
                biased;
                outcomes = simulation.play(self) => outcomes,
                () = world.live() => Vec::new(),
                () = world.until(|inner| inner.broken.is_some().then_some(())) => Vec::new(),
            };
            simulation.report(self.seed, outcomes)
        })
    }
}

/// Carries out the run that a seed decides.
pub fn simulate(seed: u64) -> Result<Report, Box<Broken>> {
    Run::drawn(seed).carry_out()
}

struct Simulation {
    world: World,
    engine: Option<Engine>,
    salt: u64,
}

type Outcomes = Vec<(ServiceName, Option<Outcome>)>;

impl Simulation {
    async fn play(&mut self, run: &Run) -> Outcomes {
        self.reopen().await;
        for order in &run.script.setup {
            self.obey(order).await;
        }
        if !run.script.setup.is_empty() {
            self.come_to_rest().await;
        }
        self.world.arm(run.faults.clone());
        for order in &run.script.orders {
            self.obey(order).await;
        }
        self.wait(PATIENCE, |inner| all_rest(inner, true)).await;
        let outcomes = self.outcomes();
        let calls = self.world.calls();
        self.world.calm();
        if run.faults.has_slow_calls() {
            self.wait(SLOW_CALLS, |_| false).await;
        }
        self.take_up().await;
        self.come_to_rest().await;
        if self.is_beyond_help() {
            self.world.lock().coverage.count("a program that does not come back");
            return outcomes;
        }
        self.check_rest();
        self.deploy_once_more().await;
        self.check_rest();
        self.world.lock().restore_calls(calls);
        outcomes
    }

    /// Whoever paused a deployment lets it go on, whoever is asked says the same, and those that wait for each other count.
    async fn take_up(&mut self) {
        // The last order may not be durable yet, if nobody listened for its answer.
        self.wait(Duration::from_millis(50), |_| false).await;
        for _ in 0..MOST_PAUSES {
            self.wait(PATIENCE, |inner| all_rest(inner, true) || !paused(inner).is_empty()).await;
            let paused = paused(&self.world.lock());
            for service in paused {
                self.wait(Duration::ZERO, |_| false).await;
                self.give(&Order { service, ..Order::at_rest(Act::Steer(Steer::Resume)) }).await;
            }
        }
        self.give(&Order::at_rest(Act::Agree)).await;
    }

    fn outcomes(&self) -> Outcomes {
        let inner = self.world.lock();
        inner.oracle.services().map(|s| (s.name.clone(), s.last.as_ref().map(|last| last.outcome.clone()))).collect()
    }

    async fn obey(&mut self, order: &Order) {
        match order.when {
            When::AtRest => {
                self.wait(PATIENCE, |inner| all_rest(inner, true)).await;
                // What was made durable last has still to be heard of.
                self.wait(Duration::from_millis(20), |_| false).await;
            }
            When::After(millis) => drop(self.wait(Duration::from_millis(millis), |_| false).await),
        }
        self.give(order).await;
    }

    /// Gives an order to the engine. The agent may die over it, and whoever asks may stop listening.
    async fn give(&mut self, order: &Order) {
        self.salt += 1;
        let salt = self.salt;
        let Some(engine) = &self.engine else { return };
        if matches!(order.act, Act::Agree) {
            self.world.lock().agreeing = crate::ask::awaiting(engine);
        }
        self.world.lock().note(format!("==> {} {:?}", order.service, order.act));
        let given = async {
            let asked = crate::ask::ask(engine, order, salt);
            match order.patience {
                Some(millis) => tokio::time::timeout(Duration::from_millis(millis), asked).await.ok(),
                None => Some(asked.await),
            }
        };
        let answer = tokio::select! {
            biased;
            () = self.world.until(|inner| inner.crashed.then_some(())) => None,
            answer = given => answer,
        };
        self.note_answer(order, answer);
    }

    fn note_answer(&self, order: &Order, answer: Option<crate::ask::Answer>) {
        let mut inner = self.world.lock();
        let verb = crate::ask::verb(&order.act);
        let text = match &answer {
            None => "unheard".to_owned(),
            Some(Ok(_)) => "accepted".to_owned(),
            Some(Err(error)) => crate::ask::kind(error).to_owned(),
        };
        inner.note(format!("<== {} {verb}: {text}", order.service));
        inner.coverage.count(&format!("order: {verb} {text}"));
    }

    /// A new life of the agent, after some time.
    async fn reopen(&mut self) {
        let again = self.engine.take().is_some();
        loop {
            if again {
                let downtime = self.world.lock().draw_downtime();
                tokio::time::sleep(downtime).await;
            }
            let identity = Identity { token: TOKEN.to_owned(), starts: 0 };
            let ports = self.world.ports();
            let identity = Identity { starts: self.world.lock().epoch, ..identity };
            let opened = tokio::select! {
                biased;
                () = self.world.until(|inner| inner.crashed.then_some(())) => None,
                opened = Engine::open(ports, identity) => opened.ok(),
            };
            if let Some(engine) = opened {
                self.engine = Some(engine);
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Waits until something holds, through any deaths of the agent. False if it does not in time.
    async fn wait(&mut self, within: Duration, of: impl Fn(&Inner) -> bool) -> bool {
        let limit = tokio::time::Instant::now() + within;
        loop {
            let next = |inner: &mut Inner| match (inner.crashed, of(inner)) {
                (true, _) => Some(false),
                (false, true) => Some(true),
                (false, false) => None,
            };
            tokio::select! {
                biased;
                holds = self.world.until(next) => if holds { return true },
                () = tokio::time::sleep_until(limit) => return false,
            }
            self.reopen().await;
        }
    }

    /// With no more faults, everything ends; where a person is needed, the person does as the hint says.
    async fn come_to_rest(&mut self) {
        if !self.stay_at_rest(true).await {
            return self.complain("it does not come to rest");
        }
        let stuck: Vec<ServiceState> = {
            let mut inner = self.world.lock();
            let stuck: Vec<ServiceState> = inner.oracle.services().filter(|s| is_stuck(s)).cloned().collect();
            stuck.iter().for_each(|state| inner.check_stuck(state));
            stuck
        };
        for state in stuck {
            let act = Act::Abort;
            self.give(&Order { service: state.name, ..Order::at_rest(act) }).await;
        }
        if !self.stay_at_rest(false).await && !self.is_beyond_help() {
            self.complain("it stays stuck although a person did as they were told");
        }
    }

    /// Whether a deployment cannot be undone because a program does not get ready any more that was ready for a moment when it was
    /// deployed. No command helps against that; who serves goes on serving.
    fn is_beyond_help(&self) -> bool {
        let inner = self.world.lock();
        let wavers = |id: &InstanceId| inner.instances.get(id).is_some_and(|found| found.life.unready.is_some());
        let waits = |state: &ServiceState| state.instances.iter().any(|(id, known)| known.down.is_some() && wavers(id));
        inner.oracle.services().any(|state| is_stuck(state) && waits(state))
    }

    /// Waits until all is at rest and stays so: a command may be on its way that nobody waits for.
    async fn stay_at_rest(&mut self, or_stuck: bool) -> bool {
        let limit = tokio::time::Instant::now() + AT_REST_WITHIN;
        while tokio::time::Instant::now() < limit {
            self.wait(AT_REST_WITHIN, |inner| all_rest(inner, or_stuck)).await;
            if !self.wait(Duration::from_secs(1), |inner| !all_rest(inner, or_stuck)).await {
                return true;
            }
        }
        false
    }

    /// Nothing stands in the way of the next deployment.
    async fn deploy_once_more(&mut self) {
        let services: Vec<ServiceName> = self.world.lock().oracle.services().map(|s| s.name.clone()).collect();
        for service in services {
            let service = || service.clone();
            self.give(&Order { service: service(), ..Order::at_rest(Act::Unlock) }).await;
            let before = self.last(&service());
            let act = Act::Deploy(Build::of(Life::good()).times(2));
            self.give(&Order { service: service(), ..Order::at_rest(act) }).await;
            self.stay_at_rest(true).await;
            let last = self.last(&service());
            if last.as_ref().map(|(id, _)| id) == before.as_ref().map(|(id, _)| id)
                || !matches!(last, Some((_, Outcome::Done)))
            {
                self.complain(&format!("a good deployment of {} ends as {last:?}", service()));
            }
        }
    }

    fn last(&self, service: &ServiceName) -> Option<(DeploymentId, Outcome)> {
        let inner = self.world.lock();
        inner.oracle.service(service)?.last.as_ref().map(|last| (last.deployment, last.outcome.clone()))
    }

    fn check_rest(&self) {
        if let Some(engine) = &self.engine {
            self.world.lock().check_rest(engine);
        }
    }

    fn complain(&self, what: &str) {
        let mut inner = self.world.lock();
        let states: Vec<String> = inner
            .oracle
            .services()
            .filter(|state| !is_at_rest(state))
            .map(|state| format!("{} at {:?}, {:?}", state.name, state.at_work(), state.instances))
            .collect();
        inner.broke(Invariant::Ends, format!("{what}: {}", states.join("; ")));
    }

    fn report(self, seed: u64, outcomes: Outcomes) -> Result<Report, Box<Broken>> {
        let mut inner = self.world.lock();
        let trace = inner.trace.take().unwrap_or_default();
        match inner.broken.take() {
            Some((invariant, how)) => Err(Box::new(Broken { seed, invariant, how, trace })),
            None => Ok(Report { coverage: inner.coverage.clone(), calls: inner.take_calls(), trace, outcomes }),
        }
    }
}

fn paused(inner: &Inner) -> Vec<ServiceName> {
    let paused = |state: &&ServiceState| state.deployment.as_ref().is_some_and(|d| d.paused.is_some());
    inner.oracle.services().filter(paused).map(|state| state.name.clone()).collect()
}

fn all_rest(inner: &Inner, or_stuck: bool) -> bool {
    inner.broken.is_some() || inner.oracle.services().all(|state| is_at_rest(state) || (or_stuck && is_stuck(state)))
}
