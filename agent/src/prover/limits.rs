//! What a prover process imposes on itself before it does anything else.
//!
//! A proof is polite (nice 19), has a memory limit so that a wrong size kills one child and not the
//! machine, leaves no core file with private witnesses behind, and dies with its agent.

use std::io;

use protocol::Kind;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, nice, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};

const MB: u64 = 1024 * 1024;
/// Places behind the agent in the scheduler's order: the last one, unless an operator prefers the
/// agent with all it starts.
const NICE: i32 = 19;
/// On top of that: stacks and arenas of the threads are address space that is never touched.
const UNTOUCHED_MB: u64 = 1024;

/// Peak memory of a proof in MB, by kind, as measured on 2 threads; the address space of a
/// `kernel` is 140 MB above it.
const PEAK_MB: [u64; 6] = [250, 350, 1000, 1000, 1000, 1500];

/// Memory in MB that a proof of this kind takes.
#[must_use]
pub(crate) const fn peak_mb(kind: Kind) -> u64 {
    PEAK_MB[kind as usize]
}

/// Address space of a proof of this kind: 1.5 times its measured peak, and what is never touched.
#[must_use]
pub(crate) const fn memory_bytes(kind: Kind) -> u64 {
    (PEAK_MB[kind as usize] * 3 / 2 + UNTOUCHED_MB) * MB
}

/// Limits this process for good. Must run before any thread is started: niceness belongs to
/// threads and is inherited.
///
/// # Errors
/// If the system refuses one of them, or `parent` is gone already.
pub(crate) fn apply(parent: u32, memory_bytes: u64) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    if now.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        return Err(io::Error::other("the agent that asked for this proof is gone"));
    }
    // Started by a name that says nothing; this one is what process lists show.
    rustix::thread::set_name(c"coppice-prove")?;
    setrlimit(Resource::Core, fixed(0))?;
    setrlimit(Resource::As, fixed(memory_bytes))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    nice(NICE)?;
    Ok(())
}

const fn fixed(value: u64) -> Rlimit {
    Rlimit { current: Some(value), maximum: Some(value) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const ROLE: &str = "COPPICE_LIMITS_TEST_ROLE";

    /// This test again in another process, which then does what `role` says.
    fn start(test: &str, role: &str, output: Stdio) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("prover::limits::tests::{test}")])
            .env(ROLE, role)
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn role() -> Option<String> {
        std::env::var(ROLE).ok()
    }

    fn parent() -> u32 {
        u32::try_from(getppid().unwrap().as_raw_nonzero().get()).unwrap()
    }

    #[test]
    fn every_kind_has_room_for_half_more_than_its_peak() {
        for kind in Kind::ALL {
            assert!(memory_bytes(kind) >= PEAK_MB[kind as usize] * MB * 3 / 2);
        }
        assert!(memory_bytes(Kind::Root) <= 8 * 1024 * MB, "one proof must leave room on 16 GB");
    }

    #[test]
    fn a_limited_process_is_polite_and_leaves_no_core() {
        if role().is_some() {
            apply(parent(), 2048 * MB).unwrap();
            // Read in a thread of its own, as a prover's are.
            let read = || {
                let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
                let nice = stat.rsplit(')').next().unwrap().split(' ').nth(17).unwrap().to_owned();
                let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
                println!("nice {nice}");
                limits.lines().for_each(|line| println!("{line}"));
            };
            return std::thread::spawn(read).join().unwrap();
        }
        let child = start("a_limited_process_is_polite_and_leaves_no_core", "show", Stdio::piped());
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let value = |name: &str| {
            let line = output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        let own: i32 = own.rsplit(')').next().unwrap().split(' ').nth(17).unwrap().parse().unwrap();
        assert_eq!(value("nice"), (own + NICE).min(19).to_string());
        assert_eq!(value("Max core file size"), "0");
        assert_eq!(value("Max address space"), (2048 * MB).to_string());
    }

    #[test]
    fn too_much_memory_ends_the_process_and_not_the_machine() {
        if role().is_some() {
            apply(parent(), 2048 * MB).unwrap();
            let bytes = std::hint::black_box(vec![1_u8; 4 << 30]);
            println!("allocated {}", bytes.len());
            return;
        }
        let mut child =
            start("too_much_memory_ends_the_process_and_not_the_machine", "eat", Stdio::piped());
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::ABORT.as_raw()));
    }

    #[test]
    fn a_prover_does_not_outlive_its_agent() {
        let name = "a_prover_does_not_outlive_its_agent";
        match role().as_deref() {
            Some("prover") => {
                apply(parent(), 2048 * MB).unwrap();
                println!("limited");
                loop {
                    std::thread::park();
                }
            }
            Some(_) => {
                // Both write into one pipe, which ends when the last of them does.
                start(name, "prover", Stdio::inherit()).wait().unwrap();
                return;
            }
            None => {}
        }
        let mut agent = start(name, "agent", Stdio::piped());
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("limited")));
        agent.kill().unwrap();
        agent.wait().unwrap();
        let (ended, wait) = mpsc::channel();
        std::thread::spawn(move || ended.send(lines.count()));
        assert!(wait.recv_timeout(Duration::from_secs(20)).is_ok(), "the prover lives on");
    }

    #[test]
    fn an_agent_that_is_gone_already_is_noticed() {
        if role().is_some() {
            let error = apply(1, 2048 * MB).unwrap_err();
            println!("refused: {error}");
            return;
        }
        let child = start("an_agent_that_is_gone_already_is_noticed", "orphan", Stdio::piped());
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(output.contains("refused: the agent that asked"), "{output}");
    }
}
