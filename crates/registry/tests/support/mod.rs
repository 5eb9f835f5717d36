//! A real registry on a loopback port, and an HTTP client that says exactly what the test says.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use perijove_oci::{Algorithm, Digest};
use perijove_registry::store::Store;
use perijove_registry::{Server, Settings};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Longer than anything takes that is not broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A registry in this process.
pub struct Registry {
    pub address: SocketAddr,
    pub store: Arc<Store>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    root: Arc<tempfile::TempDir>,
}

impl Registry {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts with settings changed.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    fn on(root: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(root.path().join("store"));
        settings.listen.set_port(0);
        settings.collect = None;
        change(&mut settings);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(settings).await.unwrap();
                ready.send((server.local_addr(), server.store())).unwrap();
                server
                    .run(async {
                        let _ = stopped.await;
                    })
                    .await;
            });
        });
        let (address, store) = started.recv().expect("the registry starts");
        Registry { address, store, stop: Some(stop), thread: Some(thread), root }
    }

    /// Stops the registry and starts another one on the same store.
    pub fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    /// The same with settings changed.
    pub fn restart_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let root = self.root.clone();
        drop(self);
        Self::on(root, change)
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.root.path().join("store")
    }

    pub fn client(&self) -> Client {
        Client { address: self.address, login: None }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // A test that failed must not wait for its own connections.
        if !std::thread::panicking()
            && let Some(thread) = self.thread.take()
        {
            // The store is free for the next one when this is gone.
            let store = std::mem::replace(&mut self.store, empty_store(self.root.path()));
            drop(store);
            thread.join().unwrap();
        }
    }
}

/// Something to put in the place of a store that is given back.
fn empty_store(root: &Path) -> Arc<Store> {
    let root = root.join(format!("unused-{}", rand::random::<u64>()));
    let options = perijove_registry::store::StoreOptions {
        create_only: perijove_registry::create_only::CreateOnly::none(),
        upload_sessions: 1,
        cache_bytes: 0,
    };
    Arc::new(Store::open(&root, options).unwrap())
}

/// A registry as a process of its own, killed when dropped.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// The registry itself, where the child is what it runs under.
    under: Option<Pid>,
}

impl Process {
    pub fn start(root: &Path, options: &[&str]) -> Self {
        Self::start_under(&[], root, options)
    }

    /// Run by another program, as strace.
    pub fn start_under(words: &[String], root: &Path, options: &[&str]) -> Self {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = [&words, &[env!("CARGO_BIN_EXE_perijove-registry")][..]].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap_or_else(|_| panic!("no address but `{line}`"));
        let under = (words.len() > 1).then(|| only_child(child.id()));
        Process { address, child, under }
    }

    /// SIGKILL: nothing is tidied up.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        match self.under.take() {
            // What it runs under ends with it, by itself.
            Some(registry) => drop(rustix::process::kill_process(registry, Signal::KILL)),
            None => drop(self.child.kill()),
        }
        let _ = self.child.wait();
    }

    pub fn client(&self) -> Client {
        Client { address: self.address, login: None }
    }
}

/// The one process that `parent` has started.
fn only_child(parent: u32) -> Pid {
    let all = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let [child] = all.split_whitespace().collect::<Vec<_>>()[..] else { panic!("not one child: {all}") };
    Pid::from_raw(child.parse().unwrap()).unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of an error, whose body has the specification's form.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let error = &self.json()["errors"][0];
        assert!(!error["message"].as_str().unwrap().is_empty());
        error["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) {
        let reply = self.expect(status);
        assert_eq!(reply.code(), code);
    }
}

/// Sends requests, each over a connection of its own.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub login: Option<(String, String)>,
}

impl Client {
    pub fn login(&self, user: &str, password: &str) -> Self {
        Client { address: self.address, login: Some((user.to_owned(), password.to_owned())) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn head(&self, path: &str) -> Reply {
        self.send("HEAD", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.send("POST", path, &[], body)
    }

    pub fn put(&self, path: &str, media_type: &str, body: &[u8]) -> Reply {
        self.send("PUT", path, &[("Content-Type", media_type)], body)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_send(method, path, headers, body).unwrap()
    }

    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = self.head_of(method, path, headers);
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        read_reply(&mut stream, method == "HEAD")
    }

    /// The start of a request, without the empty line.
    pub fn head_of(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some((user, password)) = &self.login {
            use base64::Engine as _;
            let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            head.push_str(&format!("Authorization: Basic {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// Begins an upload and gives its place.
    pub fn begin(&self, repository: &str) -> String {
        let reply = self.post(&format!("/v2/{repository}/blobs/uploads/"), b"").expect(202);
        reply.header("location").unwrap().to_owned()
    }

    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let place = self.begin(repository);
        self.put(&format!("{place}?digest={digest}"), "application/octet-stream", bytes).expect(201);
        digest
    }

    /// Pushes an image with one layer; gives the manifest and its digest.
    pub fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> (Vec<u8>, Digest) {
        let config = self.push_blob(repository, b"{}");
        self.push_blob(repository, layer);
        let manifest = image(b"{}", &[layer]);
        assert!(String::from_utf8_lossy(&manifest).contains(config.hex()));
        self.put(&format!("/v2/{repository}/manifests/{tag}"), MANIFEST, &manifest).expect(201);
        let digest = Digest::sha256(&manifest);
        (manifest, digest)
    }
}

/// Reads an answer; its body ends with the connection, or where its length says.
pub fn read_reply(stream: &mut impl Read, head_only: bool) -> std::io::Result<Reply> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("not an answer: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    if !head_only {
        match reply.header("content-length").map(|text| text.parse::<u64>().unwrap()) {
            Some(length) => {
                reader.take(length).read_to_end(&mut reply.body)?;
                if reply.body.len() as u64 != length {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            None => drop(reader.read_to_end(&mut reply.body)?),
        }
    }
    Ok(reply)
}

pub fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// An image manifest of a configuration and layers.
pub fn image(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    image_by(Algorithm::Sha256, config, layers)
}

pub fn image_by(algorithm: Algorithm, config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let of =
        |media_type: &str, bytes: &[u8]| descriptor(media_type, &Digest::of(algorithm, bytes), bytes.len());
    let layers: Vec<Value> =
        layers.iter().map(|bytes| of("application/vnd.oci.image.layer.v1.tar", bytes)).collect();
    let config = of("application/vnd.oci.image.config.v1+json", config);
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
        .to_string()
        .into_bytes()
}
