//! The terminal is given back in every way out, shown on a real one: `script` of the base system
//! makes it, the shell in it notes the settings before and after.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// What the console switches on, and what must stand after it.
const PAIRS: [(&str, &str); 4] = [
    ("\u{1b}[?1049h", "\u{1b}[?1049l"),
    ("\u{1b}[?1004h", "\u{1b}[?1004l"),
    ("\u{1b}[?2004h", "\u{1b}[?2004l"),
    ("\u{1b}[?25l", "\u{1b}[?25h"),
];

/// A shell in a terminal of its own that runs the console once.
struct Session {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Session {
    fn start() -> Self {
        let run = format!(
            "stty cols 80 rows 24; echo before $(stty -g); \
             sh -c 'echo pid $$; exec {} --socket /nonexistent/agent.sock'; \
             echo code $?; echo after $(stty -g); echo end of the session",
            env!("CARGO_BIN_EXE_coppice-console")
        );
        let mut child = Command::new("script")
            .args(["-q", "-f", "-c", &run, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) of the base system");
        let keys = child.stdin.take().expect("piped");
        let screen = child.stdout.take().expect("piped");
        let mut session = Self { child, keys, screen, seen: String::new() };
        // The first whole frame: the end of a synchronized update.
        session.read_until("\u{1b}[?2026l");
        session
    }

    fn read_until(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.seen.contains(text) {
            let count = self.screen.read(&mut bytes).expect("the terminal's output");
            assert!(count > 0, "ended before {text:?}: {:?}", self.seen);
            self.seen += &String::from_utf8_lossy(&bytes[..count]);
        }
    }

    /// The word after this one.
    fn word(&self, name: &str) -> &str {
        let rest = self.seen.split_once(name).map_or("", |(_, rest)| rest);
        rest.split_whitespace().next().unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        let number = self.word("pid ").parse().expect("the pid that the shell printed");
        Pid::from_raw(number).expect("a pid")
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Reads to the end and compares.
    fn check(mut self, code: &str) {
        self.read_until("end of the session");
        assert_eq!(self.word("code "), code, "{:?}", self.seen);
        assert_eq!(self.word("before "), self.word("after "), "settings of the terminal");
        for (on, off) in PAIRS {
            let (on, off) = (self.seen.rfind(on), self.seen.rfind(off));
            assert!(on.is_some() && on < off, "{:?}", self.seen);
        }
        drop(self.keys);
        assert!(self.child.wait().is_ok());
    }
}

#[test]
fn q_gives_the_terminal_back() {
    let mut session = Session::start();
    session.press("q");
    session.check("0");
}

#[test]
fn ctrl_c_twice_gives_the_terminal_back() {
    let mut session = Session::start();
    session.press("\u{3}\u{3}");
    session.check("0");
}

#[test]
fn signals_give_the_terminal_back() {
    let rows = [(Signal::TERM, "143"), (Signal::HUP, "129"), (Signal::INT, "130")];
    for (signal, code) in rows {
        let session = Session::start();
        kill_process(session.pid(), signal).expect("the console runs");
        session.check(code);
    }
}
