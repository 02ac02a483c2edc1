//! A plain address in front of a function URL: the emulator tells functions apart by the host's name, which resolves nowhere.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tests::http::{Answer, Connection};

/// Longest body that is read; more than the webhook takes.
const MOST: usize = 16 * 1024 * 1024;

/// Listens until the test's process ends.
pub(crate) struct Gateway {
    address: String,
    accepted: Arc<AtomicU64>,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Gateway {
    /// In front of `url`, which the emulator at `emulator` serves.
    pub(crate) fn start(emulator: &str, url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its number").to_string();
        let accepted = Arc::new(AtomicU64::new(0));
        let host = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let (emulator, counter) = (emulator.to_owned(), Arc::clone(&accepted));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (emulator, host, counter) = (emulator.clone(), host.clone(), Arc::clone(&counter));
                // Clients hang up when they like.
                std::thread::spawn(move || drop(serve(stream, &emulator, &host, &counter)));
            }
        });
        Self { address, accepted }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How many POSTs were answered 200.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, emulator: &str, host: &str, accepted: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sent = Connection::open_as(emulator, host)?.send(&request.method, &request.path, &headers, &request.body);
        let answer = sent?;
        if request.method == "POST" && answer.status == 200 {
            accepted.fetch_add(1, Ordering::SeqCst);
        }
        write(&mut writer, &answer, request.method == "HEAD")?;
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
    writer.write_all(head.as_bytes())?;
    writer.write_all(if without_body { b"" } else { &answer.body })
}
