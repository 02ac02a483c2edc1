//! A child process: its output is collected, and it never outlives the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::wait;

/// What a stream has said so far.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let sink = output.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                sink.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        output
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// How a child ended and what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Process {
    /// Starts a command.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = Output::collect(child.stdout.take().expect("is piped"));
        let stderr = Output::collect(child.stderr.take().expect("is piped"));
        Self { child, stdout, stderr }
    }

    /// The rest of the first line on stdout that begins with `prefix`.
    ///
    /// # Panics
    /// When the process ends, or half a minute goes by, without it.
    pub fn line(&mut self, prefix: &str) -> String {
        wait::until(&format!("a line that begins with {prefix:?}"), Duration::from_secs(30), || {
            let text = self.stdout();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let found = whole.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
            let ended = found.is_none() && self.exited().is_some();
            assert!(!ended, "it ended early:\n{}{}", self.stdout(), self.stderr());
            found
        })
    }

    /// All of stdout until now.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// All of stderr until now.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether and how it ended.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// The most memory that it ever had, in KiB.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says");
        peak.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().expect("kill is there");
        assert!(sent.success(), "SIGTERM could not be sent");
    }

    /// SIGKILL, and what it had said.
    pub fn kill(mut self) -> Ended {
        // Fails when it has ended already.
        let _ = self.child.kill();
        self.end(Duration::from_secs(5))
    }

    /// Waits for its own end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn end(mut self, limit: Duration) -> Ended {
        let status = wait::until("the end of the process", limit, || self.exited());
        // Both readers end with the pipes.
        wait::until("the end of its output", Duration::from_secs(5), || {
            (Arc::strong_count(&self.stdout.0) + Arc::strong_count(&self.stderr.0) == 2).then_some(())
        });
        Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
