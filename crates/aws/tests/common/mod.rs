//! ministack (<https://pypi.org/project/ministack/>), an emulator of SQS and DynamoDB, in an environment of its own under `target/`.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const VERSION: &str = "ministack==1.5.33";

/// Ends with the value.
pub(crate) struct Emulator {
    process: Child,
    url: String,
}

impl Emulator {
    pub(crate) fn start() -> Self {
        let folder = folder();
        let program = installed(&folder);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let url = format!("http://127.0.0.1:{port}");
        let log = File::create(folder.join(format!("aws-{port}.log"))).expect("a log file");
        let process = Command::new(program)
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("AWS_ENDPOINT_URL", &url)
            .env("STATE_DIR", folder.join(format!("state-{port}")))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the emulator starts");
        let emulator = Self { process, url };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "the emulator does not answer; its log is in {}", folder.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        emulator
    }

    /// Runs an ignored test of this binary in a process that has the emulator in its environment.
    pub(crate) fn run_test(&self, name: &str) {
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("the child runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{name} failed:\n{out}\n{err}");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> PathBuf {
    let mut folder = std::env::current_exe().expect("this test");
    while folder.file_name().is_some_and(|name| name != "target") {
        folder.pop();
    }
    let folder = folder.join("emulator");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Installs it once; other tests that want it wait.
fn installed(folder: &Path) -> PathBuf {
    let lock = File::create(folder.join("ministack.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let environment = folder.join("ministack");
    let program = environment.join("bin/ministack");
    if !program.exists() {
        let run = |command: &mut Command| {
            let output = command.output().expect("python3 is there");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", VERSION]));
    }
    program
}
