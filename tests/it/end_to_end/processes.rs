//! Processes as the system shows them: who to kill, and who is left.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, getpgid, kill_process_group};

/// Every process that names `path`, or something below it, in its command line.
pub(super) fn naming(path: &Path) -> Vec<Pid> {
    let wanted = path.as_os_str().as_encoded_bytes();
    all().filter(|pid| contains(&read(*pid, "cmdline"), wanted)).collect()
}

/// The processes that `parent` started.
pub(super) fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.to_string();
    all().filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether a process still runs. One that ended and was not waited for does not.
pub(super) fn runs(pid: Pid) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Kills a process with its whole group, which must be its own.
pub(super) fn kill_group(leader: Pid) {
    assert_eq!(getpgid(Some(leader)), Ok(leader), "each role leads a group of its own");
    kill_process_group(leader, Signal::KILL).unwrap();
}

fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// State and parent: the first two fields after the name, which may hold anything.
fn stat(pid: Pid) -> Option<(char, String)> {
    let text = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.to_owned()))
}

/// Empty for a process that is gone.
fn read(pid: Pid, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default()
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}
