//! A loopback server that answers as a test tells it to, cut connections and endless bodies included.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came; the body as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// `GET /v2/…`, for matching.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What to do with a request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Announce so many bytes, send `body`, and cut.
    announced: Option<usize>,
    endless: bool,
    /// Read so many bytes of the request's body and cut without an answer.
    cut_request_after: Option<usize>,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Answer { status, ..Answer::default() }
    }
    #[allow(clippy::needless_pass_by_value)] // Reads better where it is called.
    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
    /// The connection is cut after `sent` bytes of the body.
    pub fn cut_after(mut self, sent: usize) -> Self {
        self.announced = Some(self.body.len());
        self.body.truncate(sent);
        self
    }
    /// The body never ends.
    pub fn endless() -> Self {
        Answer { status: 200, endless: true, ..Answer::default() }
    }
    /// The connection is cut after `read` bytes of the request's body.
    pub fn cut_request_after(read: usize) -> Self {
        Answer { cut_request_after: Some(read), ..Answer::default() }
    }
}

type Handler = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// The server. It ends with the process; its threads wait on sockets only.
pub struct Fake {
    pub address: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// `handler` sees a request's head, and how many came before it with the same method and target.
    pub fn start(handler: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let fake = Fake { address, log: Arc::clone(&log) };
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                std::thread::spawn(move || serve(&stream, &log, &*handler));
            }
        });
        fake
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Their methods and targets.
    pub fn lines(&self) -> Vec<String> {
        self.log().iter().map(Request::line).collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Request>>, handler: &Handler) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = head(&mut reader)?;
        let (at, before) = {
            let mut log = log.lock().unwrap();
            let before = log.iter().filter(|r| r.line() == request.line()).count();
            log.push(request.clone());
            (log.len() - 1, before)
        };
        let answer = handler(&request, before);
        let length: usize = request.header("content-length").map_or(0, |v| v.parse().unwrap());
        request.body.resize(answer.cut_request_after.unwrap_or(length).min(length), 0);
        reader.read_exact(&mut request.body).ok()?;
        let is_head = request.method == "HEAD";
        log.lock().unwrap()[at] = request;
        if answer.cut_request_after.is_some() {
            return None;
        }
        write(stream, &answer, is_head)?;
        if answer.announced.is_some() {
            return None;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    let mut next = |line: &mut String| {
        line.clear();
        (reader.read_line(line).ok()? > 0).then(|| line.truncate(line.trim_end().len()))
    };
    next(&mut line)?;
    let mut words = line.split(' ');
    let mut request =
        Request { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Request::default() };
    loop {
        next(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Some(request) };
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn write(mut stream: &TcpStream, answer: &Answer, is_head: bool) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.endless {
        head += "transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let chunk = format!("{:x}\r\n{}\r\n", 65536, "{".repeat(65536));
        loop {
            stream.write_all(chunk.as_bytes()).ok()?;
        }
    }
    if answer.status != 204 {
        head += &format!("content-length: {}\r\n", answer.announced.unwrap_or(answer.body.len()));
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    if !is_head {
        stream.write_all(&answer.body).ok()?;
    }
    stream.flush().ok()
}
