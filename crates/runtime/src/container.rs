//! A running container: its output, its end, signals to it, and requests inside its network. All runtimes
//! are driven in the same way, through a supervisor process (see [`crate::init`]) over a socket.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perijove_oci::{Event, Reporter};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, oneshot, watch};
use tokio::task::JoinHandle;

use crate::choice::Settings;
use crate::error::Error;
use crate::init::SUPERVISOR;
use crate::lines;
use crate::protocol::{Failure, Get, Job, Order, Report};
use crate::spec::{ExitStatus, LineSink, Stream};

const KILL: i32 = 9;
const TERMINATE: i32 = 15;

/// What is known of the container; the last state stays.
#[derive(Clone, Debug)]
enum State {
    Starting,
    Running,
    Failed(Failure),
    Ended(ExitStatus),
    Lost,
}

/// The containers of an engine: each holds it for reading until nothing of it is left.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<RwLock<()>>);

impl Alive {
    pub(crate) async fn one_more(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.0).read_owned().await
    }

    /// Waits until there is none.
    pub(crate) async fn none(&self) {
        drop(self.0.write().await);
    }
}

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<u16, String>>>>>;

/// A container. Dropping it kills all its processes; [`Container::stop`] also waits until they are gone, and
/// [`Engine::idle`](crate::Engine::idle) waits for those that were dropped.
pub struct Container {
    runtime: &'static str,
    supervisor: Option<u32>,
    /// How the supervisor ended, when it has.
    gone: watch::Receiver<Option<String>>,
    orders: tokio::sync::Mutex<OwnedWriteHalf>,
    state: watch::Receiver<State>,
    answers: Answers,
    next_get: AtomicU64,
    output: Vec<JoinHandle<()>>,
    stop_signal: i32,
    /// Prints the address of the port that is asked, where it is not asked inside.
    port: Option<Vec<String>>,
}

impl Container {
    /// Starts a supervisor with `job`, and waits until the command runs. `held` is dropped when nothing of the
    /// container is left.
    pub(crate) async fn launch(
        runtime: &'static str,
        job: &Job,
        stop_signal: Option<i32>,
        on_line: Option<LineSink>,
        settings: &Settings,
        held: impl Send + 'static,
    ) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::Start { runtime, reason: e.to_string(), hint: None };
        let (here, there) = StdStream::pair().map_err(failed)?;
        here.set_nonblocking(true).map_err(failed)?;
        let mut supervisor = Command::new(&settings.program)
            .arg(SUPERVISOR)
            .stdin(Stdio::from(OwnedFd::from(there)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the caller, who then stops the container in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (reports, orders) = UnixStream::from_std(here).map_err(failed)?.into_split();
        let mut output = Vec::new();
        let sink = on_line.unwrap_or_else(|| Arc::new(|_, _| {}));
        if let Some(stdout) = supervisor.stdout.take() {
            output.push(tokio::spawn(lines::follow(stdout, Stream::Stdout, Arc::clone(&sink))));
        }
        if let Some(stderr) = supervisor.stderr.take() {
            output.push(tokio::spawn(lines::follow(stderr, Stream::Stderr, sink)));
        }
        let id = supervisor.id();
        let (ended, gone) = watch::channel(None);
        tokio::spawn(async move {
            let how = supervisor.wait().await;
            let _ = ended
                .send(Some(how.map_or_else(|e| e.to_string(), |s| format!("its supervisor ended with {s}"))));
            drop(held);
        });
        let (sender, state) = watch::channel(State::Starting);
        let answers = Answers::default();
        tokio::spawn(follow(reports, sender, Arc::clone(&answers), Arc::clone(&settings.reporter)));
        let mut container = Container {
            runtime,
            supervisor: id,
            gone,
            orders: tokio::sync::Mutex::new(orders),
            state,
            answers,
            next_get: AtomicU64::new(0),
            output,
            stop_signal: stop_signal.unwrap_or(TERMINATE),
            port: None,
        };
        container.write(job).await.map_err(failed)?;
        match container.state(|s| !matches!(s, State::Starting)).await {
            State::Failed(failure) => Err(start_error(runtime, failure)),
            State::Lost => Err(container.lost().await),
            _ => Ok(container),
        }
    }

    /// Waits until the command has ended and all its output was handed on.
    ///
    /// # Errors
    /// [`Error::Start`] when the command could not be run after all, [`Error::Lost`] when the supervisor
    /// was killed.
    pub async fn wait(&mut self) -> Result<ExitStatus, Error> {
        let state = self.state(|s| matches!(s, State::Failed(_) | State::Ended(_) | State::Lost)).await;
        let status = match state {
            State::Failed(failure) => return Err(start_error(self.runtime, failure)),
            State::Ended(status) => status,
            _ => return Err(self.lost().await),
        };
        // The supervisor ends last: then no process of the container is left, nor its mounts.
        let _ = self.gone.wait_for(Option::is_some).await;
        for task in self.output.drain(..) {
            let _ = task.await;
        }
        Ok(status)
    }

    /// Asks the command to end (the image's stop signal, else SIGTERM), kills it after `grace`, and waits until all is gone.
    ///
    /// # Errors
    /// As [`Container::wait`].
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.signal(self.stop_signal).await;
        if let Ok(ended) = tokio::time::timeout(grace, self.wait()).await {
            return ended;
        }
        self.kill().await
    }

    /// Kills the command and waits until all is gone.
    ///
    /// # Errors
    /// As [`Container::wait`].
    pub async fn kill(&mut self) -> Result<ExitStatus, Error> {
        self.signal(KILL).await;
        self.wait().await
    }

    /// Sends the command a signal, by number. One that has ended takes none.
    pub async fn signal(&self, number: i32) {
        // A supervisor that is gone has ended the container.
        let _ = self.write(&Order::Signal(number)).await;
    }

    /// GETs `http://<authority><target>` inside the container's network, and gives the answer's status.
    ///
    /// # Errors
    /// A text: why there was no answer, as `127.0.0.1:8000: Connection refused`.
    pub async fn get(&self, authority: &str, target: &str, within: Duration) -> Result<u16, String> {
        let address = match &self.port {
            Some(command) => published(command).await?,
            None => authority.to_owned(),
        };
        let id = self.next_get.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let get = Order::Get(Get {
            id,
            address,
            authority: authority.to_owned(),
            target: target.to_owned(),
            within_milliseconds: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        });
        let gone = || "the container has ended".to_owned();
        self.write(&get).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Has [`Container::get`] ask where `command` says.
    pub(crate) fn asked_at(mut self, command: Option<Vec<String>>) -> Self {
        self.port = command;
        self
    }

    /// Whether the command has ended.
    pub fn has_ended(&self) -> bool {
        !matches!(*self.state.borrow(), State::Starting | State::Running)
    }

    /// The supervisor's process number; none when it has ended.
    pub fn supervisor_id(&self) -> Option<u32> {
        self.supervisor.filter(|_| self.gone.borrow().is_none())
    }

    async fn write(&self, what: &impl serde::Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.orders.lock().await.write_all(&line).await
    }

    async fn state(&mut self, wanted: impl FnMut(&State) -> bool) -> State {
        match self.state.wait_for(wanted).await {
            Ok(state) => state.clone(),
            // Its sender is gone: the last word was spoken.
            Err(_) => State::Lost,
        }
    }

    async fn lost(&mut self) -> Error {
        let how = self.gone.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
        let reason = how.unwrap_or_else(|| "its supervisor is gone".to_owned());
        Error::Lost { runtime: self.runtime, reason }
    }
}

/// The address that `docker port` or `podman port` prints.
async fn published(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .next()
        .map(|line| line.trim().to_owned())
        .ok_or_else(|| "the port is not published yet".to_owned())
}

async fn follow(
    reports: OwnedReadHalf,
    state: watch::Sender<State>,
    answers: Answers,
    reporter: Arc<dyn Reporter>,
) {
    let mut reports = BufReader::new(reports);
    let mut line = Vec::new();
    while reports.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        match serde_json::from_slice(&line) {
            Ok(Report::Note(text)) => reporter.report(Event::Note(text)),
            Ok(Report::Started) => drop(state.send(State::Running)),
            Ok(Report::Failed(failure)) => drop(state.send(State::Failed(failure))),
            // What failed to start has an end, too; the reason says more.
            Ok(Report::Ended(status)) => {
                state.send_if_modified(|s| {
                    let open = !matches!(s, State::Failed(_));
                    if open {
                        *s = State::Ended(status);
                    }
                    open
                });
            }
            Ok(Report::Answer { id, answer }) => {
                let waiting = answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(waiting) = waiting {
                    // Whoever asked may have stopped waiting.
                    let _ = waiting.send(answer);
                }
            }
            Err(_) => break,
        }
        line.clear();
    }
    state.send_if_modified(|s| {
        let open = matches!(s, State::Starting | State::Running);
        if open {
            *s = State::Lost;
        }
        open
    });
    answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

fn start_error(runtime: &'static str, failure: Failure) -> Error {
    let hint = failure.namespaces.then(|| crate::choice::namespaces_hint(&failure.reason));
    Error::Start { runtime, reason: failure.reason, hint }
}
