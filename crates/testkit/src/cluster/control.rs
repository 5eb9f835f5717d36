//! Orders to the processes of a cluster: one JSON line there, one back, over a socket in the cluster's folder. So
//! whoever may read the folder, which is root, can break a cluster, from whichever namespace.

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// What can be asked. Who does not know an order says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Supervisor: how the registries answer from now on, the nodes and this machine alike.
    Registry(Flow),
    /// Cluster: power for a node. A node that is new gets a disk and joins.
    Node {
        /// From 1.
        number: u8,
        /// Off ends everything in it, at once; its disk stays.
        on: bool,
    },
    /// Cluster, node: ends a program, or has it running again with its configuration as it is then.
    Program {
        /// `kubelet`, `kube-apiserver`…
        name: String,
        /// Whether it shall run.
        run: bool,
    },
    /// Cluster, node: runs a command there.
    Run {
        /// Program and arguments.
        words: Vec<String>,
    },
}

/// How bytes pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Connections are refused, and those that there are end.
    pub closed: bool,
    /// At most so many bytes a second for each connection.
    pub bytes_per_second: Option<u64>,
}

/// What a command said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Said {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

type Answer = Result<Said, String>;

/// Gives an order and waits until it is carried out.
pub fn order(socket: &Path, order: &Order) -> Answer {
    let at = |e: std::io::Error| format!("{}: {e}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(300))).map_err(at)?;
    let mut line = serde_json::to_vec(order).map_err(|e| e.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(at)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(at)?;
    serde_json::from_str(&answer).map_err(|e| format!("{}: {e}: {answer:?}", socket.display()))?
}

/// Takes orders until the process ends.
pub fn listen<F>(socket: &Path, obey: impl Fn(Order) -> F + Send + Sync + 'static) -> std::io::Result<()>
where
    F: Future<Output = Answer> + Send,
{
    // What a node that was switched off has left.
    let _ = std::fs::remove_file(socket);
    let listener = tokio::net::UnixListener::bind(socket)?;
    let obey = Arc::new(obey);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let obey = obey.clone();
            tokio::spawn(async move {
                let mut stream = tokio::io::BufReader::new(stream);
                let mut line = String::new();
                if stream.read_line(&mut line).await.is_err() || line.is_empty() {
                    return;
                }
                let answer = match serde_json::from_str(&line) {
                    Ok(order) => obey(order).await,
                    Err(e) => Err(format!("no order: {e}")),
                };
                let mut answer = serde_json::to_vec(&answer).unwrap_or_default();
                answer.push(b'\n');
                // Whoever asked may be gone.
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    Ok(())
}

/// Standard input, which is a pipe: its end says that whoever started this process is gone.
pub fn input() -> std::io::Result<tokio::net::unix::pipe::Receiver> {
    tokio::net::unix::pipe::Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)
}

/// Runs a command to its end.
pub async fn run(words: &[String]) -> Answer {
    let Some((program, arguments)) = words.split_first() else { return Err("no command".to_owned()) };
    let mut command = tokio::process::Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// Runs a command that must work; `input` is its standard input.
pub async fn must(words: &[&str], input: &str) -> std::io::Result<()> {
    let mut command = tokio::process::Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let at = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", words[0]));
    let mut child = command.spawn().map_err(at)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(at)?;
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).await.map_err(at)?;
    }
    if child.wait().await.map_err(at)?.success() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{}: {}", words.join(" "), said.trim())))
}

/// Programs that are started again whenever they end.
#[derive(Clone, Default)]
pub struct Kept(HashMap<String, mpsc::Sender<(bool, oneshot::Sender<()>)>>);

impl Kept {
    /// Starts one; what it says goes to the end of `log`.
    pub fn add(&mut self, name: &str, words: Vec<String>, environment: Vec<(String, String)>, log: PathBuf) {
        let (orders, asked) = mpsc::channel(1);
        tokio::spawn(keep(words, environment, log, asked));
        self.0.insert(name.to_owned(), orders);
    }

    /// Ends one, or has it running again.
    pub async fn program(&self, name: &str, run: bool) -> Answer {
        let gone = |_| format!("{name} is not kept any more");
        let orders = self.0.get(name).ok_or_else(|| format!("no program {name} here"))?;
        let (done, wait) = oneshot::channel();
        orders.send((run, done)).await.map_err(|_| gone(()))?;
        wait.await.map_err(|_| gone(()))?;
        Ok(Said::default())
    }
}

/// A program that ends by itself is started again so much later.
const AGAIN: Duration = Duration::from_millis(300);

async fn keep(
    words: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    mut asked: mpsc::Receiver<(bool, oneshot::Sender<()>)>,
) {
    let mut wanted = true;
    loop {
        let mut child = wanted.then(|| spawn(&words, &environment, &log)).and_then(Result::ok);
        let order = match &mut child {
            Some(running) => tokio::select! {
                _ = running.wait() => None,
                order = asked.recv() => Some(order),
            },
            None if wanted => None,
            None => Some(asked.recv().await),
        };
        match order {
            None => tokio::time::sleep(AGAIN).await,
            Some(None) => return,
            Some(Some((run, done))) => {
                if let Some(mut running) = child {
                    // At once, and waited for: whoever asked for its end shall not meet it any more.
                    let _ = running.kill().await;
                }
                wanted = run;
                let _ = done.send(());
            }
        }
    }
}

fn spawn(
    words: &[String],
    environment: &[(String, String)],
    log: &Path,
) -> std::io::Result<tokio::process::Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = tokio::process::Command::new(&words[0]);
    command.args(&words[1..]).envs(environment.iter().cloned()).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()
}
