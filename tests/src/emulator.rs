//! AWS on this machine: an emulator process, its services over plain HTTP, and the stack of `template.yaml` in it.
//!
//! What it does not show: it gathers no batch window, hands over at most ten messages at a time, and lets bodies of more than
//! 6 MB through. It enforces no policy either; [`Witness`] does, for what the functions call.

mod build;
mod caller;
mod roles;
mod stack;
mod tools;
mod witness;

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Answer, Connection, Header};
use crate::{binary, wait};

pub use caller::Caller;
pub use stack::{Deploy, Request, Stack};
pub use tools::{Sam, ministack, sam};
pub use witness::{Permission, Witness};

/// The only region.
pub const REGION: &str = "us-east-1";

/// A running emulator, empty at first; it ends with this value or with the test's process.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
    log: PathBuf,
    witness: Witness,
}

impl Emulator {
    /// Installs the emulator if need be, starts it on a free loopback port, and waits until it answers.
    ///
    /// # Panics
    /// When it cannot be installed or does not answer within half a minute; its log's path is named.
    pub fn start() -> Self {
        let python = ministack();
        let dir = tempfile::tempdir_in(tools::home()).expect("a directory below target/");
        let port = free_port();
        let log = tools::home().join(format!("emulator-{}-{port}.log", std::process::id()));
        let witness = Witness::start(&format!("127.0.0.1:{port}"));
        let mut command = command(&python, port, dir.path(), &log);
        command.env("FUNCTIONS_CALL", format!("http://{}", witness.address()));
        let process = command.spawn().expect("python starts");
        let mut emulator = Self { process, port, dir, log, witness };
        wait::until("the emulator's first answer", Duration::from_secs(30), || {
            let ended = emulator.process.try_wait().expect("the emulator can be asked");
            assert!(ended.is_none(), "the emulator ended, see {}", emulator.log.display());
            let answer =
                Connection::open(&emulator.address()).ok()?.send("GET", "/_ministack/health", &[], b"").ok()?;
            (answer.status == 200).then_some(())
        });
        emulator
    }

    /// `host:port` of every service and function URL.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What `AWS_ENDPOINT_URL` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What the emulator wrote, the functions' output included.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// A place for files that go when the emulator goes.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Between the functions and this emulator.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Ends every function that runs, as a crash would. Their next calls start them again.
    ///
    /// # Panics
    /// When `pkill` is missing.
    pub fn kill_functions(&self) {
        let group = self.process.id().to_string();
        // Fails when none runs.
        Command::new("pkill").args(["-KILL", "-g", &group, "-f", "bootstrap"]).status().expect("pkill is there");
    }

    /// The variables that point an AWS client at this emulator.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Calls an operation of a service that speaks JSON (SQS, DynamoDB, Logs, Secrets Manager), such as
    /// `AmazonSQS.SendMessage`.
    ///
    /// # Errors
    /// What the service answered, when that is not 200.
    ///
    /// # Panics
    /// When the emulator is gone.
    pub fn try_call(&self, operation: &str, input: &Value) -> Result<Value, Answer> {
        let answer = self.request("POST", "/", &json_headers(operation), input.to_string().as_bytes());
        if answer.status != 200 {
            return Err(answer);
        }
        Ok(if answer.body.is_empty() { Value::Null } else { answer.json() })
    }

    /// [`Emulator::try_call`] of something that has to work.
    ///
    /// # Panics
    /// When it does not.
    pub fn call(&self, operation: &str, input: &Value) -> Value {
        self.try_call(operation, input)
            .unwrap_or_else(|answer| panic!("{operation}: {} {}", answer.status, answer.text()))
    }

    /// Calls an operation of a service that speaks XML (CloudFormation, IAM), such as `Action=DescribeStacks&…`.
    ///
    /// # Panics
    /// When it fails.
    pub fn query(&self, service: &str, query: &str) -> String {
        let credentials = CREDENTIALS.replace("/any/", &format!("/{service}/"));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", credentials.as_str())];
        let answer = self.request("POST", "/", &headers, query.as_bytes());
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text()
    }

    /// Calls Lambda, which speaks in paths. `body` may be absent.
    ///
    /// # Panics
    /// When it fails.
    pub fn lambda(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.request(method, path, &[("content-type", "application/json")], body.as_bytes());
        assert!(matches!(answer.status, 200 | 202), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Stores a JSON secret and gives its ARN.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn create_secret(&self, name: &str, values: &Value) -> String {
        let input = json!({"Name": name, "SecretString": values.to_string()});
        let made = self.call("secretsmanager.CreateSecret", &input);
        made["ARN"].as_str().expect("an ARN").to_owned()
    }

    /// One request to the emulator's own port.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn request(&self, method: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> Answer {
        self.request_to(&self.address(), method, path, headers, body).expect("the emulator answers")
    }

    /// One request to a function URL, which the emulator knows by the host's name.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) fn request_to(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[Header<'_>],
        body: &[u8],
    ) -> io::Result<Answer> {
        Connection::open_as(&self.address(), host)?.send(method, path, headers, body)
    }
}

impl Drop for Emulator {
    /// Ends the emulator's whole process group, the functions included; see `infra/emulator/serve.py`.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        // Kept where someone will want to read it.
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// Nothing checks the signature; the emulator reads account, region and service from here.
const CREDENTIALS: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0";

fn json_headers(operation: &str) -> [Header<'_>; 3] {
    let content_type = if operation.starts_with("Dynamo") || operation.starts_with("AmazonSQS") {
        "application/x-amz-json-1.0"
    } else {
        "application/x-amz-json-1.1"
    };
    [("x-amz-target", operation), ("content-type", content_type), ("authorization", CREDENTIALS)]
}

/// The functions inherit this environment, so it holds nothing of the test's own, and what Lambda would set for the
/// template's log settings.
fn command(python: &Path, port: u16, dir: &Path, log: &Path) -> Command {
    let sink = File::create(log).expect("the log can be written");
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(python);
    command
        .arg(binary::workspace().join("infra/emulator/serve.py"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("GATEWAY_PORT", port.to_string()), ("AWS_ENDPOINT_URL", endpoint)])
        .envs([("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1"), ("MINISTACK_REGION", REGION)])
        .envs([("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "INFO")])
        .envs([("TMPDIR", dir.join("tmp")), ("STATE_DIR", dir.join("state")), ("S3_DATA_DIR", dir.join("s3"))])
        .stdin(Stdio::piped())
        .stdout(sink.try_clone().expect("the log's handle"))
        .stderr(sink)
        .process_group(0);
    std::fs::create_dir(dir.join("tmp")).expect("a directory");
    command
}

/// Free when asked; the emulator says so and ends if someone else was faster.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}
