//! The simulated ports keep the contracts that the real ones must keep; else the simulation would prove nothing about them.

use std::sync::Arc;

use cutover::engine::port::{Journal, Runtime};
use cutover_core::spec::RunSpec;
use cutover_testkit::contract::{self, Programs};
use cutover_testkit::fixture;
use cutover_testkit::seed::Seed;
use cutover_testkit::world::{Life, World};

#[tokio::test(start_paused = true)]
async fn the_simulated_journal_keeps_the_contract() {
    let world = World::unchecked(Seed::new(1));
    contract::journal(|| -> Arc<dyn Journal> { world.ports().journal }).await;
}

#[tokio::test(start_paused = true)]
async fn the_simulated_runtime_keeps_the_contract() {
    let world = World::unchecked(Seed::new(1));
    let program = |life: Life| -> RunSpec { fixture::run(life.command(1)) };
    let programs = Programs {
        good: program(Life::good()),
        exits: program(Life { exits: Some(50), code: 3, ..Life::good() }),
        stubborn: program(Life { leaves: None, ..Life::good() }),
        broken: program(Life { refuses: true, ..Life::good() }),
    };
    contract::runtime(|| -> Arc<dyn Runtime> { world.ports().runtime }, &programs).await;
}
