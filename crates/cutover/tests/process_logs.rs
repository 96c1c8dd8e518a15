//! Logs are bounded, survive being turned over, and can be followed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may panic, its fixtures too")]

mod process_support;

use cutover::engine::port::LogStream;
use cutover::engine::port::{Exit, Runtime};
use cutover_core::ByteSize;
use cutover_core::spec::{LogSpec, ProcessSpec};
use futures_util::StreamExt;
use process_support::*;

/// Broken on purpose: a log that is renamed instead of copied (the program then writes on into the old one); one that is
/// opened without `O_APPEND` (it grows back to its length at once, with a hole); a follower that does not read copies.
#[tokio::test]
async fn a_log_is_turned_over_under_a_program_that_writes() {
    let world = World::new();
    let logs = LogSpec { max_size: ByteSize(64 << 10), keep: 3 };
    let script = "i=0; while :; do i=$((i+1)); echo line $i of many, padded to be of some length; done";
    let slow = "import itertools, time\nfor i in itertools.count():\n  print('line', i, '-' * 100, flush=True); time.sleep(0.0004)";
    for (number, program) in [(1, shell(script)), (2, spec(&["python3", "-c", slow]))] {
        let order = order(&format!("web.r1.i{number}"), ProcessSpec { logs: logs.clone(), ..program });
        let dir = world.layout().instance(&order.instance);
        dir.create().unwrap();
        let mut follower = world.runtime.follow(&order.instance, 0);
        world.start(&order).await;
        let mut followed = Vec::new();
        let begun = std::time::Instant::now();
        while !old(&dir.stdout(), 2).exists() || followed.len() < 1000 {
            assert!(begun.elapsed() < LIMIT, "it was not turned over twice");
            let line = within("a line", follower.next()).await.expect("it runs");
            followed.push(line.text.split(' ').nth(1).unwrap().parse::<u64>().unwrap());
        }
        assert!(world.record(&order.instance).main_lives());
        let span = followed.last().unwrap() - followed[0] + 1;
        assert!(followed.is_sorted_by(|a, b| a < b), "a line was told twice or out of order");
        assert!(followed.len() as u64 * 100 >= span * 95, "{} of {span} lines were followed", followed.len());
        assert!(!old(&dir.stdout(), 3).exists(), "three are kept, the current one included");
        let stopped = world.runtime.stop(&order.instance, &grace(LIMIT)).await.unwrap();
        assert_eq!(stopped.exit, Exit::Signal(15));
        let last = world.runtime.logs(&order.instance, 3).await;
        assert_eq!(last.len(), 3);
        assert!(last.iter().all(|line| line.stream == LogStream::Stdout && line.text.starts_with("line ")), "{last:?}");
    }
}

fn old(log: &std::path::Path, age: u32) -> std::path::PathBuf {
    format!("{}.{age}", log.display()).into()
}

/// Broken on purpose: what was written before not copied; the copies neither removed nor replaced (`.2` is there then).
#[tokio::test]
async fn what_is_set_aside_is_bounded() {
    let world = World::new();
    let logs = LogSpec { max_size: ByteSize(10_000), keep: 2 };
    let go = world.path("go");
    let script = format!(
        "for round in 1 2 3; do head -c 20000 /dev/zero | tr '\\0' $round; echo; \
         while ! test -e {}$round; do sleep 0.01; done; done; exec sleep 1000",
        go.display()
    );
    let order = order("web.r1.i1", ProcessSpec { logs, ..shell(&script) });
    let log = world.layout().instance(&order.instance).stdout();
    world.start(&order).await;
    for round in 1..=3 {
        let expected = round.to_string().repeat(20_000) + "\n";
        until("it is copied", || std::fs::read_to_string(old(&log, 1)).ok().filter(|copy| *copy == expected)).await;
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        assert!(!old(&log, 2).exists());
        std::fs::write(format!("{}{round}", go.display()), "").unwrap();
    }
    assert!(world.record(&order.instance).main_lives());
}

#[tokio::test]
async fn a_follower_tells_both_streams_to_the_end() {
    let world = World::new();
    let go = world.path("go");
    let script = format!(
        "echo before; while ! test -e {}; do sleep 0.01; done; echo out; echo err >&2; printf rest",
        go.display()
    );
    let order = order("job.r1.i1", shell(&script));
    world.start(&order).await;
    text_of(&world.layout().instance(&order.instance).stdout()).await;
    let mut follower = world.runtime.follow(&order.instance, 9);
    std::fs::write(go, "").unwrap();
    let mut lines = Vec::new();
    while let Some(line) = within("the end", follower.next()).await {
        lines.push((line.stream, line.text));
    }
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = [
        (LogStream::Stdout, "before"),
        (LogStream::Stderr, "err"),
        (LogStream::Stdout, "out"),
        (LogStream::Stdout, "rest"),
    ];
    assert_eq!(lines, expected.map(|(stream, text)| (stream, text.to_owned())));
}
