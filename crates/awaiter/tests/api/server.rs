//! An API server that answers as a test says, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// `daemonsets`, `pods`, `events`, `nodes`, `roles`.
    pub resource: String,
    pub query: BTreeMap<String, String>,
    /// By which it says who it is.
    pub token: String,
    pub body: Vec<u8>,
    /// How often this resource was asked for before, in this way (list, watch).
    pub before: usize,
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }

    pub fn is_streamed_list(&self) -> bool {
        self.query.contains_key("sendInitialEvents")
    }

    /// Where a watch begins.
    pub fn from(&self) -> &str {
        self.query.get("resourceVersion").map_or("", String::as_str)
    }
}

/// The way back to the client.
pub struct Reply {
    stream: TcpStream,
    open: bool,
}

impl Reply {
    /// Answers at once.
    pub fn answer(&mut self, code: u16, body: &Value) {
        let body = body.to_string();
        let _ = write!(
            self.stream,
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }

    pub fn status(&mut self, code: u16, reason: &str, message: &str) {
        self.answer(code, &status(code, reason, message));
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// A piece of a longer answer; whether somebody takes it.
    pub fn piece(&mut self, bytes: &[u8]) -> bool {
        if !self.open {
            self.open = true;
            let head = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:10:00 GMT\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
            self.raw(head.as_bytes());
        }
        let head = format!("{:x}\r\n", bytes.len());
        [head.as_bytes(), bytes, b"\r\n"].iter().all(|part| self.stream.write_all(part).is_ok())
    }

    pub fn event(&mut self, kind: &str, object: &Value) -> bool {
        self.line(kind, &object.to_string())
    }

    pub fn line(&mut self, kind: &str, object: &str) -> bool {
        self.piece(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").as_bytes())
    }

    /// The end of a streamed list.
    pub fn end_of_list(&mut self, version: &str) -> bool {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        let metadata = json!({"resourceVersion": version, "annotations": annotations});
        self.event("BOOKMARK", &json!({"metadata": metadata}))
    }

    /// Ends a longer answer in order.
    pub fn end(&mut self) {
        self.raw(b"0\r\n\r\n");
    }

    /// Nothing more comes, and the connection stays.
    pub fn hang(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }
}

pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

/// Serves until the process ends.
pub struct Server {
    port: u16,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::<Mutex<Vec<Asked>>>::default();
        let (lines, answer) = (Arc::clone(&log), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lines, answer) = (Arc::clone(&lines), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let asked = read(&stream, &lines)?;
                    answer(&asked, &mut Reply { stream, open: false });
                    Some(())
                });
            }
        });
        Server { port, log }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// `METHOD resource`, `LIST`, `WATCH` and `STREAM` being ways of GET, sorted.
    pub fn counts(&self) -> Vec<String> {
        let way = |asked: &Asked| match asked.method.as_str() {
            "GET" if asked.is_streamed_list() => "STREAM".to_owned(),
            "GET" if asked.is_watch() => "WATCH".to_owned(),
            "GET" => "LIST".to_owned(),
            other => other.to_owned(),
        };
        let mut all: Vec<String> =
            self.asked().iter().map(|a| format!("{} {}", way(a), a.resource)).collect();
        all.sort();
        all
    }

    /// Starts `perijove-awaiter await` with these words more.
    pub fn start_awaiter(&self, words: &[&str]) -> Running {
        self.start_awaiter_as(&json!({"token": "secret"}), words)
    }

    /// The same as a user of a kubeconfig.
    pub fn start_awaiter_as(&self, user: &Value, words: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let log = folder.path().join("termination-log");
        let child = Command::new(env!("CARGO_BIN_EXE_perijove-awaiter"))
            .args(["await", "--namespace", "hub", "--selector", "app=puller", "--format", "json"])
            .arg("--termination-log")
            .arg(&log)
            .args(words)
            .env("KUBECONFIG", &kubeconfig)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { child, log, _folder: folder }
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> Ran {
        self.start_awaiter(words).end()
    }
}

/// A program that runs.
pub struct Running {
    pub child: std::process::Child,
    log: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// What it left for Kubernetes.
    pub left: String,
}

impl Running {
    pub fn end(self) -> Ran {
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            left: std::fs::read_to_string(self.log).unwrap_or_default(),
        }
    }

    /// Waits until `there` says so.
    pub fn wait(&self, what: &str, there: impl Fn() -> bool) {
        let start = Instant::now();
        while !there() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn read(stream: &TcpStream, log: &Mutex<Vec<Asked>>) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => token = value.trim_start_matches("Bearer ").to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let known = ["daemonsets", "pods", "events", "nodes", "roles"];
    let resource = known.iter().find(|name| path.split('/').any(|part| part == **name)).unwrap_or(&"");
    let mut log = log.lock().unwrap();
    let watches = query.contains_key("watch");
    let same = |a: &&Asked| a.resource == *resource && a.method == method && a.is_watch() == watches;
    let before = log.iter().filter(same).count();
    let asked = Asked { method, resource: (*resource).to_owned(), query, token, body, before };
    log.push(asked.clone());
    Some(asked)
}
