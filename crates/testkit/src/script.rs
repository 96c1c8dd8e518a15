//! What people ask of the engine in a run: written down for a sweep, or drawn from the seed.

use cutover::engine::Steer;
use cutover_core::spec::{Hook, Strategy, Undecided};
use cutover_core::{ReleaseNo, ServiceName};

use crate::fixture::{self, Build, Figure, Judging};
use crate::seed::Seed;
use crate::world::{HookLife, Hooks, Life};

/// The orders of one run.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Those before any fault strikes.
    pub setup: Vec<Order>,
    /// Those that the faults may meet.
    pub orders: Vec<Order>,
}

/// One order.
#[derive(Debug, Clone)]
pub struct Order {
    /// When it is given.
    pub when: When,
    /// The service.
    pub service: ServiceName,
    /// What is wanted.
    pub act: Act,
    /// How long whoever asks listens for the answer, in milliseconds.
    pub patience: Option<u64>,
}

/// When an order is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When nothing is left to do from the orders before, or at the latest after some minutes.
    AtRest,
    /// This many milliseconds after the order before.
    After(u64),
}

/// What is wanted.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is the command of the same name")]
pub enum Act {
    Deploy(Build),
    Adopt(Build),
    Rollback(Option<ReleaseNo>),
    Restart,
    Scale(u16),
    Stop,
    Remove,
    Abort,
    Steer(Steer),
    /// All count that wait for each other.
    Agree,
    Lock(u64),
    Unlock,
    /// Only waits.
    Nothing,
}

/// A service name that is known to be one.
pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a valid name")
}

impl Order {
    /// An order for the service `web`, given when all is at rest.
    pub fn at_rest(act: Act) -> Self {
        Self { when: When::AtRest, service: name("web"), act, patience: None }
    }

    /// An order for the service `web`, given some milliseconds after the one before.
    pub fn after(millis: u64, act: Act) -> Self {
        Self { when: When::After(millis), ..Self::at_rest(act) }
    }
}

impl Script {
    /// Draws orders.
    pub fn drawn(seed: &mut Seed) -> Self {
        let services = [name("web"), name("api")];
        let services = &services[..if seed.chance(300) { 2 } else { 1 }];
        let mut orders = vec![first(seed, &services[0])];
        for _ in 0..seed.between(1, 6) {
            let service = seed.pick(services).clone();
            let when = if seed.chance(550) { When::AtRest } else { When::After(draw_pause(seed)) };
            let patience = seed.chance(60).then(|| seed.between(0, 12));
            let act = draw_act(seed);
            let together = matches!(&act, Act::Deploy(build) if build.together);
            orders.push(Order { when, service, act, patience });
            if together && seed.chance(700) {
                orders.push(Order::after(seed.between(1000, 12_000), Act::Agree));
            }
        }
        Self { setup: Vec::new(), orders }
    }

    /// Gives some of the deployments hooks. From a stream of its own, so that the rest of a run is drawn as it would be without.
    pub fn draw_hooks(&mut self, seed: &mut Seed) {
        for order in &mut self.orders {
            if let Act::Deploy(build) = &mut order.act
                && seed.chance(300)
            {
                build.hooks = draw_hooks(seed);
            }
        }
    }

    /// Lets more than requests decide about some of the deployments. From a stream of its own, too.
    pub fn draw_judging(&mut self, seed: &mut Seed) {
        for order in &mut self.orders {
            if let Act::Deploy(build) = &mut order.act
                && seed.chance(350)
            {
                build.judging = draw_judging(seed);
            }
        }
    }
}

fn draw_judging(seed: &mut Seed) -> Judging {
    let figure = match seed.between(0, 5) {
        0 => None,
        1..=2 => Some(Figure::Good),
        3 => Some(Figure::Bad),
        _ => Some(Figure::Silent),
    };
    let undecided = *seed.pick(&[Undecided::Promote, Undecided::RollBack, Undecided::Ask, Undecided::Ask]);
    Judging { figure, undecided, extend: *seed.pick(&[0, 1500]), no_rollback_past: seed.chance(300) }
}

fn first(seed: &mut Seed, service: &ServiceName) -> Order {
    let life = if seed.chance(850) { Life::good() } else { draw_bad_life(seed) };
    let build = Build { life, ..draw_build(seed) };
    Order { when: When::AtRest, service: service.clone(), act: Act::Deploy(build), patience: None }
}

fn draw_pause(seed: &mut Seed) -> u64 {
    match seed.between(0, 2) {
        0 => seed.between(0, 400),
        1 => seed.between(400, 4000),
        _ => seed.between(0, 20_000),
    }
}

fn draw_act(seed: &mut Seed) -> Act {
    match seed.between(0, 99) {
        0..=41 => Act::Deploy(draw_build(seed)),
        42..=51 => Act::Rollback(None),
        52..=54 => Act::Rollback(Some(ReleaseNo(u32::try_from(seed.between(1, 4)).unwrap_or(1)))),
        55..=61 => Act::Restart,
        62..=71 => Act::Scale(u16::try_from(seed.between(1, 4)).unwrap_or(1)),
        72..=76 => Act::Stop,
        77..=79 => Act::Remove,
        80..=90 => Act::Abort,
        91..=92 => Act::Steer(Steer::Pause),
        93 => Act::Steer(Steer::Resume),
        94 => Act::Steer(Steer::Promote),
        95..=96 => Act::Lock(seed.between(100, 30_000)),
        97 => Act::Unlock,
        _ => Act::Nothing,
    }
}

fn draw_build(seed: &mut Seed) -> Build {
    let life = if seed.chance(600) { draw_good_life(seed) } else { draw_bad_life(seed) };
    let smoke = life.smells || seed.chance(200);
    Build {
        life,
        replicas: u16::try_from(seed.between(1, 3)).unwrap_or(1),
        warm_up: seed.chance(200),
        smoke,
        routed: !seed.chance(40),
        port: u16::from(seed.chance(50)),
        strategy: draw_strategy(seed),
        together: seed.chance(120),
        hooks: Hooks::new(),
        judging: Judging::default(),
    }
}

/// Some of the hooks. Most go well, or hardly any deployment would get far.
fn draw_hooks(seed: &mut Seed) -> Hooks {
    let mut hooks = Hooks::new();
    // `before_build` is none of the agent's business.
    for hook in Hook::ALL.into_iter().skip(1) {
        let (drawn, life) = (seed.chance(550), draw_hook(seed));
        if drawn {
            hooks.insert(hook, life);
        }
    }
    hooks
}

fn draw_hook(seed: &mut Seed) -> HookLife {
    let after = *seed.pick(&[0, 40, 400, 2500]);
    match seed.between(0, 9) {
        0 => HookLife::Hangs,
        1 => HookLife::Fails(after),
        _ => HookLife::Ends(after),
    }
}

fn draw_strategy(seed: &mut Seed) -> Strategy {
    match seed.between(0, 9) {
        0..=4 => Strategy::BlueGreen,
        5 => fixture::rolling(1, 1, 0),
        6 => fixture::rolling(1, 0, 1),
        7 => fixture::rolling(2, 1, 1),
        8 => fixture::canary(),
        _ => fixture::recreate(),
    }
}

fn draw_good_life(seed: &mut Seed) -> Life {
    let ready = Some(*seed.pick(&[0, 120, 120, 900, 3000]));
    let leaves = *seed.pick(&[Some(0), Some(30), Some(30), Some(1500), None]);
    let unready = seed.chance(100).then(|| {
        let from = seed.between(1000, 4000);
        (from, from + seed.between(50, 700))
    });
    Life { ready, leaves, unready, ..Life::good() }
}

fn draw_bad_life(seed: &mut Seed) -> Life {
    let life = draw_good_life(seed);
    match seed.between(0, 6) {
        0 => Life { refuses: true, ..life },
        1 => Life { exits: Some(seed.between(0, 200)), ..life },
        2 => Life { ready: None, ..life },
        // Not close to the limit: what passes the gate once must pass it again when it is started anew.
        3 => Life { ready: Some(*seed.pick(&[5000, 6500, 9500, 12_000])), ..life },
        4 => Life { ready: Some(100), exits: Some(seed.between(300, 2200)), ..life },
        5 => Life { ready: Some(100), unready: Some((seed.between(300, 1500), 20_000)), ..life },
        _ => Life { smells: true, ..life },
    }
}
