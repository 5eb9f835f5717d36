//! What is said between a caller and its init process: JSON, a line each, over a socket that is also the
//! lifeline. When one end is gone, the other one ends too. The settings hold the container's environment;
//! they never stand on a command line or in a file.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::spec::{ExitStatus, Mount, Network, Process};

/// The longest line taken.
const LINE_LIMIT: u64 = 16 << 20;

/// The first line: what to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Make a container here (the built-in runtime).
    Container(Box<Container>),
    /// Watch over another runtime.
    Supervise(Box<Supervise>),
}

/// A container of the built-in runtime, or of runc.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Container {
    /// The folder that holds `tree`, the read-only root, and `mount`, an empty folder.
    pub kept: PathBuf,
    /// A name that no other container has: letters, digits, dashes.
    pub name: String,
    pub hostname: String,
    /// Whether to try an overlay before a copy.
    pub overlay: bool,
    pub network: Network,
    pub mounts: Vec<Mount>,
    pub writable: Vec<String>,
    /// Files to write below the root: absolute path, content.
    pub files: Vec<(String, String)>,
    pub process: Process,
    /// Whether the command is pid 1 itself, as an init is; else a small reaper is.
    pub command_is_init: bool,
    /// runc's path, where it is to make the container.
    pub runc: Option<PathBuf>,
}

/// Another runtime's client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Supervise {
    /// Program and arguments that run the container and end with it.
    pub run: Vec<String>,
    /// Added to that program's environment.
    pub env: Vec<(String, String)>,
    /// Programs that remove the container, whatever has become of it: each is run, none may fail it all.
    pub remove: Vec<Vec<String>>,
    /// Program that sends a signal to the container, the signal's number appended.
    pub kill: Vec<String>,
}

/// Later lines, downwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Send the command this signal.
    Signal(i32),
    /// GET from inside the container's network.
    Get(Get),
}

/// One plain HTTP/1.1 request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Get {
    pub id: u64,
    /// Where to connect: `127.0.0.1:8000`.
    pub address: String,
    /// The Host header.
    pub authority: String,
    /// Path and query.
    pub target: String,
    pub within_milliseconds: u64,
}

/// Lines upwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A line for people.
    Note(String),
    /// The command runs.
    Started,
    /// The command does not run, and why.
    Failed(Failure),
    /// The command ended.
    Ended(ExitStatus),
    /// What a GET gave: a status, or why none came.
    Answer { id: u64, answer: Result<u16, String> },
}

/// Why a container did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub reason: String,
    /// The kernel refused a namespace: another runtime may do.
    pub namespaces: bool,
}

/// Writes one line.
pub(crate) fn send(mut to: impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Reads one line; none at the end of the stream.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    io::Read::take(&mut *from, LINE_LIMIT).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
