//! A small HTTP server on loopback whose answers a test writes as a function, and the words of a skipped test.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub accept: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Answer { status: 200, headers: vec![("Content-Type", kind.to_owned())], body: body.into(), cut: None }
    }

    pub fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }
}

/// Serves until the process ends.
pub struct Server {
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (answer, lines) = (Arc::new(answer), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, lines) = (Arc::clone(&answer), Arc::clone(&lines));
                std::thread::spawn(move || serve(stream, answer.as_ref(), &lines));
            }
        });
        Server { address, log }
    }

    /// The requests since the last call: `GET /path`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn serve(
    stream: TcpStream,
    answer: &(impl Fn(&Asked) -> Answer + ?Sized),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { method, path, authorization: None, accept: String::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => asked.authorization = Some(value.to_owned()),
            "accept" => asked.accept = value.to_owned(),
            _ => {}
        }
    }
    log.lock().unwrap().push(format!("{} {}", asked.method, asked.path));
    let answer = answer(&asked);
    let mut head = format!(
        "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if asked.method != "HEAD" {
        stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())]).ok()?;
    }
    stream.flush().ok()
}

/// Whether `program --version` works; if not, the test is skipped by name, or fails where `CI` is `true`.
pub fn has(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        skip(test, &format!("{program} is not installed"));
    }
    there
}

pub fn skip(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped in CI: {why}");
    eprintln!("skipped: {test}: {why}");
}
