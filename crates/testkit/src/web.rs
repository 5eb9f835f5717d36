//! A small HTTP/1.1 server on loopback whose answers a test writes as a function.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// With the leading `/`.
    pub path: String,
    /// The first byte of a `Range: bytes=N-`.
    pub from: Option<usize>,
    /// `Authorization`, as it came.
    pub authorization: Option<String>,
    /// `Accept`, or nothing.
    pub accept: String,
}

/// What is answered.
#[derive(Clone)]
pub struct Answer {
    /// 200.
    pub status: u16,
    /// Besides `Content-Length` and `Connection`.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close.
    pub cut: Option<usize>,
    /// Say nothing more instead of closing, until the client has.
    pub stall: bool,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Answer {
            status: 200,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
            cut: None,
            stall: false,
        }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new(), cut: None, stall: false }
    }

    /// 206 with the rest from `from`.
    pub fn rest(self, from: usize) -> Self {
        let range = format!("bytes {from}-{}/{}", self.body.len() - 1, self.body.len());
        let mut headers = self.headers.clone();
        headers.push(("Content-Range", range));
        Answer { status: 206, headers, body: self.body[from..].to_vec(), ..self }
    }
}

/// Serves until the process ends.
pub struct Server {
    /// `127.0.0.1:PORT`.
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// On a free port of loopback; a connection a request, a thread a connection, so `answer` may wait.
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

    /// The requests since the last call, `GET /path`, in the order they came.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// The paths asked for since the last call, sorted.
    pub fn paths(&self) -> Vec<String> {
        let requests = self.requests();
        let path = |line: &String| line.split_once(' ').map(|(_, path)| path.to_owned());
        let mut paths: Vec<String> = requests.iter().filter_map(path).collect();
        paths.sort();
        paths
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&Asked) -> Answer + ?Sized),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { method, path, from: None, authorization: None, accept: String::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                asked.from = value.strip_prefix("bytes=").and_then(|v| v.trim_end_matches('-').parse().ok());
            }
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
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if asked.method != "HEAD" {
        stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())]).ok()?;
    }
    stream.flush().ok()?;
    if answer.stall {
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    }
    Some(())
}
