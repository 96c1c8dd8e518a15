//! The fixed scenarios that are swept: each kind of deployment, each way to fail, each moment to abort.

use cutover::engine::Steer;
use cutover_core::machine::Outcome;
use cutover_core::spec::{Hook, Undecided};

use crate::fixture::{self, Build, Figure, Judging};
use crate::script::{Act, Order, Script, name};
use crate::world::{HookLife, Life};

/// A scenario and how it ends when nothing goes wrong with it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What people ask.
    pub script: Script,
    /// How the last deployment ends without faults.
    pub ends: Ends,
}

/// How a scenario's last deployment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Ends {
    Done,
    RolledBack,
    /// Undone, if the abort came before the commit.
    Aborted,
}

impl Ends {
    /// Whether an outcome is this.
    pub fn is(self, outcome: Option<&Outcome>) -> bool {
        match outcome {
            Some(Outcome::Done) => self != Self::RolledBack,
            Some(Outcome::RolledBack { aborted: false, .. }) => self == Self::RolledBack,
            Some(Outcome::RolledBack { aborted: true, .. }) => self == Self::Aborted,
            None => false,
        }
    }
}

fn good() -> Build {
    Build::of(Life::good()).times(2)
}

fn deploy(build: Build) -> Order {
    Order::at_rest(Act::Deploy(build))
}

fn of_api(order: Order) -> Order {
    Order { service: name("api"), ..order }
}

fn scenario(name: &str, ends: Ends, setup: Vec<Order>, orders: Vec<Order>) -> Scenario {
    Scenario { name: name.to_owned(), script: Script { setup, orders }, ends }
}

/// Those that do what they were asked.
pub fn succeeding() -> Vec<Scenario> {
    let order = Order::at_rest;
    let live = || vec![deploy(good())];
    let two = || vec![deploy(good()), deploy(good())];
    let three = || vec![deploy(good().times(3))];
    let careful = Build { warm_up: true, smoke: true, ..good() };
    let adopt = || order(Act::Adopt(good()));
    let worker = || Build { routed: false, ..good() };
    vec![
        scenario("first release", Ends::Done, vec![], live()),
        scenario("second release", Ends::Done, live(), vec![deploy(careful)]),
        scenario("fourth release, which prunes", Ends::Done, [two(), live()].concat(), live()),
        scenario("release of a worker", Ends::Done, vec![deploy(worker())], vec![deploy(worker())]),
        scenario("rollback", Ends::Done, two(), vec![order(Act::Rollback(None))]),
        scenario("restart", Ends::Done, live(), vec![order(Act::Restart)]),
        scenario("more instances", Ends::Done, live(), vec![order(Act::Scale(3))]),
        scenario("fewer instances", Ends::Done, three(), vec![order(Act::Scale(1))]),
        scenario("stop", Ends::Done, live(), vec![order(Act::Stop)]),
        scenario("remove", Ends::Done, two(), vec![order(Act::Remove)]),
        scenario("release after a stop", Ends::Done, [live(), vec![order(Act::Stop)]].concat(), live()),
        scenario("what runs already", Ends::Done, vec![], vec![adopt()]),
        scenario("release after what ran already", Ends::Done, vec![adopt()], live()),
        scenario(
            "rollback to what ran already",
            Ends::Done,
            vec![adopt(), deploy(good())],
            vec![order(Act::Rollback(None))],
        ),
        scenario(
            "rolling, one beside the others",
            Ends::Done,
            live(),
            vec![deploy(good().by(fixture::rolling(1, 1, 0)))],
        ),
        scenario("rolling, in place", Ends::Done, live(), vec![deploy(good().by(fixture::rolling(1, 0, 1)))]),
        scenario("canary", Ends::Done, live(), vec![deploy(good().by(fixture::canary()))]),
        scenario("recreate", Ends::Done, live(), vec![deploy(good().by(fixture::recreate()))]),
        scenario(
            "rollback by recreation",
            Ends::Done,
            vec![deploy(good().by(fixture::recreate())), deploy(good())],
            vec![order(Act::Rollback(None))],
        ),
        scenario(
            "two together",
            Ends::Done,
            vec![deploy(good()), of_api(deploy(good()))],
            vec![
                deploy(Build { together: true, ..good() }),
                of_api(Order::after(500, Act::Deploy(Build { together: true, ..good() }))),
                Order::after(4000, Act::Agree),
            ],
        ),
        scenario("with all hooks", Ends::Done, live(), vec![deploy(good().with(&all_hooks()))]),
        scenario("first release with all hooks", Ends::Done, vec![], vec![deploy(good().with(&all_hooks()))]),
        scenario(
            "canary with all hooks",
            Ends::Done,
            live(),
            vec![deploy(good().by(fixture::canary()).with(&all_hooks()))],
        ),
        scenario(
            "recreate with all hooks",
            Ends::Done,
            live(),
            vec![deploy(good().by(fixture::recreate()).with(&all_hooks()))],
        ),
        scenario(
            "after_watch fails",
            Ends::Done,
            live(),
            vec![deploy(good().with(&[(Hook::AfterWatch, HookLife::Fails(30))]))],
        ),
        scenario(
            "after_watch hangs",
            Ends::Done,
            live(),
            vec![deploy(good().with(&[(Hook::AfterWatch, HookLife::Hangs)]))],
        ),
        scenario(
            "rollback of a release with hooks",
            Ends::Done,
            vec![deploy(good()), deploy(good().with(&all_hooks()))],
            vec![order(Act::Rollback(None))],
        ),
        scenario(
            "nobody can say, and a person is asked",
            Ends::Done,
            live(),
            vec![deploy(good().judged(silent(Undecided::Ask))), Order::after(7000, Act::Steer(Steer::Resume))],
        ),
        scenario("release after a removal", Ends::Done, [live(), vec![order(Act::Remove)]].concat(), live()),
    ]
}

/// Nobody says anything, for a second and a half longer than planned.
fn silent(undecided: Undecided) -> Judging {
    Judging { figure: Some(Figure::Silent), undecided, extend: 1500, no_rollback_past: false }
}

/// Each of the hooks that the agent runs, going well.
fn all_hooks() -> [(Hook, HookLife); 6] {
    use Hook::{AfterSwitch, AfterWatch, BeforeStart, BeforeSwitch, OnFailure, OnRollback};
    [BeforeStart, BeforeSwitch, AfterSwitch, AfterWatch, OnFailure, OnRollback].map(|hook| (hook, HookLife::Ends(40)))
}

/// The same, but for one.
fn hooks_but(hook: Hook, life: HookLife) -> Vec<(Hook, HookLife)> {
    let all = all_hooks().into_iter();
    all.map(|(other, ends)| if other == hook { (hook, life) } else { (other, ends) }).collect()
}

/// A second release of which a hook fails or hangs.
fn failing_hooks() -> Vec<Scenario> {
    let lives = [("fails", HookLife::Fails(30)), ("hangs", HookLife::Hangs)];
    let before = [Hook::BeforeStart, Hook::BeforeSwitch, Hook::AfterSwitch];
    let each = before.into_iter().flat_map(|hook| lives.map(|(how, life)| (hook, how, life)));
    let one = |(hook, how, life): (Hook, &str, HookLife)| {
        let orders = vec![deploy(good().with(&hooks_but(hook, life)))];
        scenario(&format!("{} {how}", hook.name()), Ends::RolledBack, vec![deploy(good())], orders)
    };
    let crashes = || Build::of(Life { exits: Some(1500), ..Life::good() }).times(2);
    let closing = [Hook::OnFailure, Hook::OnRollback].into_iter().flat_map(|hook| {
        lives.map(|(how, life)| {
            let orders = vec![deploy(crashes().with(&hooks_but(hook, life)))];
            let name = format!("a release that crashes, and its {} {how}", hook.name());
            scenario(&name, Ends::RolledBack, vec![deploy(good())], orders)
        })
    });
    each.map(one).chain(closing).collect()
}

/// A second release that fails in each way there is, and a few of the first.
pub fn failing() -> Vec<Scenario> {
    let lives = [
        ("refuses to start", Life { refuses: true, ..Life::good() }),
        ("exits at once", Life { exits: Some(60), ..Life::good() }),
        ("is never ready", Life { ready: None, ..Life::good() }),
        ("is ready too late", Life { ready: Some(9000), ..Life::good() }),
        ("fails its smoke command", Life { smells: true, ..Life::good() }),
        ("crashes in the watch", Life { exits: Some(1500), ..Life::good() }),
        ("fails probes in the watch", Life { unready: Some((900, 60_000)), ..Life::good() }),
        (
            "ignores its stop signal and crashes",
            Life { exits: Some(60_000), leaves: None, smells: true, ..Life::good() },
        ),
    ];
    let build = |life: &Life| Build { smoke: life.smells, ..Build::of(life.clone()).times(2) };
    let second = lives.iter().map(|(name, life)| {
        scenario(&format!("a release that {name}"), Ends::RolledBack, vec![deploy(good())], vec![deploy(build(life))])
    });
    let strategies = [
        ("rolling", fixture::rolling(1, 1, 0)),
        ("rolling in place", fixture::rolling(1, 0, 1)),
        ("canary", fixture::canary()),
        ("recreate", fixture::recreate()),
    ];
    let late = [&lives[1], &lives[2], &lives[5], &lives[6]];
    let others_fail = strategies.iter().flat_map(|(by, strategy)| {
        late.map(|(name, life)| {
            let orders = vec![deploy(build(life).by(strategy.clone()))];
            scenario(&format!("{by}: a release that {name}"), Ends::RolledBack, vec![deploy(good())], orders)
        })
    });
    let crashes = build(&lives[5].1);
    let stopped = vec![deploy(good()), Order::at_rest(Act::Stop)];
    let others = [
        scenario(
            "a release of which nobody can say anything",
            Ends::RolledBack,
            vec![deploy(good())],
            vec![deploy(good().judged(silent(Undecided::RollBack)))],
        ),
        scenario("a first release that crashes", Ends::RolledBack, vec![], vec![deploy(crashes.clone())]),
        scenario("a release after a stop that crashes", Ends::RolledBack, stopped, vec![deploy(crashes)]),
    ];
    second.chain(others_fail).chain(others).chain(failing_hooks()).collect()
}

/// All of them, aborted at a few moments.
pub fn all() -> Vec<Scenario> {
    let aborts = [5, 150, 340, 1500].into_iter().flat_map(aborted);
    succeeding().into_iter().chain(failing()).chain(aborts).collect()
}

/// An abort so many milliseconds after each of several commands was given.
pub fn aborted(after: u64) -> Vec<Scenario> {
    let live = || vec![deploy(good())];
    let two = || vec![deploy(good()), deploy(good())];
    let three = || vec![deploy(good().times(3))];
    let order = Order::at_rest;
    let abort = |name: &str, setup: Vec<Order>, first: Order| {
        let orders = vec![first, Order::after(after, Act::Abort)];
        scenario(&format!("{name}, aborted after {after} ms"), Ends::Aborted, setup, orders)
    };
    vec![
        abort("first release", vec![], deploy(good())),
        abort("adoption", vec![], order(Act::Adopt(good()))),
        abort("second release", live(), deploy(good())),
        abort("rolling", live(), deploy(good().by(fixture::rolling(1, 1, 0)))),
        abort("rolling in place", live(), deploy(good().by(fixture::rolling(1, 0, 1)))),
        abort("canary", live(), deploy(good().by(fixture::canary()))),
        abort("recreate", live(), deploy(good().by(fixture::recreate()))),
        abort("with all hooks", live(), deploy(good().with(&all_hooks()))),
        abort("a hook that hangs", live(), deploy(good().with(&hooks_but(Hook::AfterSwitch, HookLife::Hangs)))),
        abort("rollback", two(), order(Act::Rollback(None))),
        abort("more instances", live(), order(Act::Scale(3))),
        abort("fewer instances", three(), order(Act::Scale(1))),
        abort("stop", live(), order(Act::Stop)),
    ]
}
