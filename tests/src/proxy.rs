//! A plain HTTP/1.1 server on a loopback port, for those who stand between two others.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use crate::http::{Answer, Connection, Header};

/// Longest body that is read; more than the webhook takes.
const MOST: usize = 16 * 1024 * 1024;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case; without `host`, `connection` and `content-length`, which are each connection's own.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sends it on to `address`, called `host`, under `path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn pass_on(&self, address: &str, host: &str, path: &str) -> io::Result<Answer> {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Connection::open_as(address, host)?.send(&self.method, path, &headers, &self.body)
    }
}

/// Answers requests by `answer` until the test's process ends, and gives the address `host:port`. Where it fails, the connection is
/// cut.
///
/// # Panics
/// When no port is free.
pub fn serve(answer: impl Fn(Request) -> io::Result<Answer> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its number").to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // Clients hang up when they like.
            std::thread::spawn(move || drop(converse(stream, &*answer)));
        }
    });
    address
}

fn converse(stream: TcpStream, answer: &impl Fn(Request) -> io::Result<Answer>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let without_body = request.method == "HEAD";
        write(&mut writer, &answer(request)?, without_body)?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request");
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next().ok_or_else(broken)?.to_owned(), words.next().ok_or_else(broken)?.to_owned());
    let (mut headers, mut length) = (Vec::new(), 0_usize);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse().map_err(|_| broken())?,
            "host" | "connection" => {}
            _ => headers.push((name, value)),
        }
    }
    let mut body = vec![0; length.min(MOST)];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, headers, body }))
}

fn write(writer: &mut TcpStream, answer: &Answer, without_body: bool) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} \r\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| name != "content-length" && name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
    let body = if without_body { &[][..] } else { &answer.body };
    // One write: two would wait for each other's acknowledgement.
    writer.write_all(&[head.as_bytes(), body].concat())
}
