//! The pool against small shell scripts that behave as children can.

use std::time::Instant;

use super::*;

const TASK: TaskId = TaskId([1; 32]);
const OTHER: TaskId = TaskId([2; 32]);

fn order() -> Order {
    Order { kind: Kind::Vm, payee: Address([7; 20]), work: vec![1, 2, 3], revision: 2 }
}

fn config(command: Vec<OsString>, wall_max: Duration) -> Config {
    let cache = "/cache".into();
    Config { command, cache, chain_id: 31337, threads: 3, proofs_at_once: 1, wall_max }
}

/// A pool whose children are this script.
fn pool(script: &str, wall_max: Duration) -> (Pool, mpsc::Receiver<Event>) {
    let command = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
    Pool::new(config(command, wall_max)).unwrap()
}

async fn next(news: &mut mpsc::Receiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap()
}

/// The last event of a child that runs `script`.
async fn end_of(script: &str) -> Event {
    let (pool, mut news) = pool(script, WALL_MAX);
    pool.start(TASK, order());
    loop {
        let event = next(&mut news).await;
        if !matches!(event, Event::Step { .. }) {
            return event;
        }
    }
}

async fn check(script: &str, code: &str, text: &str) {
    let Event::Failed { task, why } = end_of(script).await else {
        panic!("{script} was no failure")
    };
    assert_eq!((task, why.code()), (TASK, code), "{script}: {why}");
    assert!(why.to_string().contains(text), "{script}: {why}");
}

#[tokio::test]
async fn steps_and_the_proof_are_passed_on_in_order() {
    let script = r#"cat > /dev/null
        echo '{"step":"waiting_machine"}'; echo '{"step":"loading_key"}'; echo '{"step":"proving"}'
        echo '{"made":{"output":"00ff","cpu_ms":5,"peak_mb":6}}'"#;
    let (pool, mut news) = pool(script, WALL_MAX);
    pool.start(TASK, order());
    for expected in [Step::WaitingMachine, Step::LoadingKey, Step::Proving] {
        let Event::Step { task, step, since } = next(&mut news).await else { panic!("no step") };
        assert_eq!((task, step), (TASK, expected));
        assert!(since.0 > 1_600_000_000_000);
    }
    let made = Event::Made { task: TASK, output: vec![0, 255], cpu_ms: 5, peak_mb: 6 };
    assert_eq!(next(&mut news).await, made);
}

#[tokio::test]
async fn the_child_gets_the_whole_request_and_only_our_setting_of_threads() {
    let Event::Made { output, .. } = end_of(
        r#"printf '{"made":{"output":"%s","cpu_ms":0,"peak_mb":0}}\n' \
            "$(od -An -v -tx1 | tr -d ' \n')$(env | grep -c HOME)$RAYON_NUM_THREADS""#,
    )
    .await
    else {
        panic!("not made")
    };
    let (bytes, environment) = output.split_at(output.len() - 1);
    assert_eq!(environment, [0x03], "no HOME, three threads");
    let request = Request::read(&mut &bytes[..]).unwrap();
    assert_eq!((request.kind(), request.payee()), (Some(Kind::Vm), Address([7; 20])));
    assert_eq!((request.work, request.cache), (vec![1, 2, 3], PathBuf::from("/cache")));
    assert_eq!((request.parent, request.chain_id), (std::process::id(), 31337));
    assert_eq!(request.memory_bytes, limits::memory_bytes(Kind::Vm));
}

#[tokio::test]
async fn every_end_without_a_proof_has_its_code() {
    let refused = |code| format!("echo '{{\"refused\":{{\"text\":\"why\"}}}}'; exit {code}");
    check(&refused(65), "PRV-065", "why").await;
    check(&refused(66), "PRV-066", "why").await;
    check(&refused(70), "PRV-070", "why").await;
    check("echo last words >&2; exit 66", "PRV-066", "last words").await;
    check("kill -ABRT $$", "PRV-137", "signal: 6").await;
    check("kill -KILL $$", "PRV-137", "signal: 9").await;
    check("exit 137", "PRV-137", "137").await;
    check("kill -SEGV $$", "PRV-071", "signal: 11").await;
    check("echo panicked >&2; exit 101", "PRV-071", "panicked").await;
    check("exit 0", "PRV-071", "without a proof").await;
    check("echo rubbish", "PRV-071", "no answer").await;
    check(r#"echo '{"made":{"output":"0","cpu_ms":0,"peak_mb":0}}'"#, "PRV-071", "no hex").await;
}

#[tokio::test]
async fn a_made_proof_does_not_count_when_the_child_then_fails() {
    let script = r#"echo '{"made":{"output":"00","cpu_ms":5,"peak_mb":6}}'; exit 70"#;
    check(script, "PRV-070", "refused").await;
}

#[tokio::test]
async fn endless_output_is_stopped() {
    check("yes '{\"step\":\"proving\"}'", "PRV-071", "more than 64 lines").await;
    check("yes | tr -d '\\n'", "PRV-071", "a line of more than").await;
    check("head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 9", "PRV-071", "end")
        .await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_started() {
    let config = config(vec!["/no/such/program".into()], WALL_MAX);
    let (pool, mut news) = Pool::new(config).unwrap();
    pool.start(TASK, order());
    let Event::Failed { why, .. } = next(&mut news).await else { panic!("no failure") };
    assert_eq!(why.code(), "PRV-072");
}

#[tokio::test]
async fn a_child_that_hangs_is_stopped_but_not_while_it_waits_for_the_machine() {
    let (hanging, mut news) = pool("sleep 1000", Duration::from_millis(200));
    hanging.start(TASK, order());
    let Event::Failed { why, .. } = next(&mut news).await else { panic!("no failure") };
    assert_eq!(why.code(), "PRV-073");

    let waits = r#"echo '{"step":"waiting_machine"}'; sleep 0.5; echo '{"step":"proving"}'
        echo '{"made":{"output":"00","cpu_ms":5,"peak_mb":6}}'"#;
    let (waiting, mut news) = pool(waits, Duration::from_millis(300));
    waiting.start(TASK, order());
    let mut last = next(&mut news).await;
    while matches!(last, Event::Step { .. }) {
        last = next(&mut news).await;
    }
    assert!(matches!(last, Event::Made { .. }), "{last:?}");
}

/// Processes whose command line holds `mark`.
fn alive(mark: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let id: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let line = std::fs::read(path.join("cmdline")).ok()?;
        (id != std::process::id()).then(|| String::from_utf8_lossy(&line).into_owned())
    });
    lines.filter(|line| line.contains(mark)).count()
}

/// Whether they end: the system may take a moment to clear a killed process.
fn all_gone(mark: &str) -> bool {
    let since = Instant::now();
    while alive(mark) > 0 {
        if since.elapsed() > Duration::from_secs(5) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[tokio::test]
async fn cancelling_ends_the_child_and_its_children_within_a_second() {
    let mark = "987654.125";
    let script = format!("sleep {mark} & echo '{{\"step\":\"proving\"}}'; sleep {mark}");
    let (pool, mut news) = pool(&script, WALL_MAX);
    pool.start(TASK, order());
    pool.start(TASK, order());
    assert!(matches!(next(&mut news).await, Event::Step { .. }));
    assert!(alive(mark) >= 2);
    let asked = Instant::now();
    pool.cancel(OTHER);
    pool.cancel(TASK);
    assert_eq!(next(&mut news).await, Event::Cancelled { task: TASK });
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(all_gone(mark));
    // The task can be started again, and a second start of a running task was none.
    pool.start(TASK, order());
    assert!(matches!(next(&mut news).await, Event::Step { .. }));
}

#[tokio::test]
async fn a_task_that_is_started_again_while_it_is_stopped_runs_again() {
    let mark = "987654.625";
    let script = format!("echo '{{\"step\":\"proving\"}}'; sleep {mark}; true");
    let (pool, mut news) = pool(&script, WALL_MAX);
    pool.start(TASK, order());
    for _ in 0..5 {
        // On a busy machine the child may be gone, and reported, before it is started again.
        while !matches!(next(&mut news).await, Event::Step { .. }) {}
        pool.cancel(TASK);
        pool.start(TASK, order());
    }
    while !matches!(next(&mut news).await, Event::Step { .. }) {}
    pool.cancel(TASK);
    while next(&mut news).await != (Event::Cancelled { task: TASK }) {}
    assert!(all_gone(mark));
}

#[tokio::test]
async fn dropping_the_pool_ends_every_child() {
    let mark = "987654.375";
    let (pool, mut news) =
        pool(&format!("echo '{{\"step\":\"proving\"}}'; sleep {mark}; true"), WALL_MAX);
    pool.start(TASK, order());
    pool.start(OTHER, order());
    next(&mut news).await;
    next(&mut news).await;
    drop(pool);
    assert!(all_gone(mark));
}
