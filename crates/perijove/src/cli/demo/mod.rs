//! `perijove demo`: lock check → build → push by digest → pull → test → tag → run, all on this machine.

mod release;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use perijove_awaiter::ended_by_signal;
use perijove_build::lock::image;
use perijove_build::{Builder, Built, Config};
use perijove_oci::{Platform, Reference};
use perijove_registry::create_only::CreateOnly;
use perijove_registry::{Server, Settings};
use perijove_runtime::check::Verdict;
use perijove_runtime::{Container, Engine, ImageSource, Network, Spec, Stream, Wanted};
use serde_json::json;
use tokio::sync::Notify;

use release::{Candidate, release};

use super::error::CliError;
use super::test;
use super::{Global, Outcome, repository};
use crate::settings;
use crate::ui::{Ui, seconds};
use crate::{compiled, embedded};

/// Flags of `demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Port of 127.0.0.1 on which JupyterHub answers
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// What runs the container: auto, docker, podman, runc or builtin
    #[arg(long, default_value = "auto", env = "PERIJOVE_RUNTIME")]
    runtime: Wanted,
}

const IMAGE: &str = "demo";
/// What JupyterHub says when it answers. Asked before, its proxy logs an error page that it cannot get.
const UP: &str = "JupyterHub is now running";
/// After this time without that line it is asked all the same: a version may say it otherwise.
const ASK_ANYHOW: Duration = Duration::from_secs(10);
/// What JupyterHub gets to answer.
const DEADLINE: Duration = Duration::from_secs(120);
/// Release tags are created once: RULE "Claim".
const RELEASES: &str = r"[0-9]+\.[0-9]+\.[0-9].*-[0-9]+";

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let start = Instant::now();
    let config = images(global, ui)?;
    free(arguments.port)?;
    let behind = image::check(&config, &config.select(&[])?)?;
    if let Some(first) = behind.first() {
        return Err(CliError::failed(format!("{}: {}", first.lock, first.reason), "run `perijove lock`"));
    }
    let engine = test::engine(arguments.runtime, ui).await?;
    let state = config.root.join(".perijove");
    let registry = Registry::start(&state.join("registry"), ui).await?;
    let result = async {
        let mut builder = settings::builder(config, None, None, &ui.reporter())?;
        // A commit or an edit elsewhere in the repository makes no new demo image.
        builder.revision = None;
        let repo = registry.repository(IMAGE)?;
        // One listener from here on: a Ctrl-C between two steps is kept for the next.
        let mut ended = pin!(ended_by_signal());
        let folder = state.join("demo");
        let ready = tokio::select! {
            ready = released(&builder, &engine, &repo, &folder, ui) => ready?,
            () = ended.as_mut() => {
                ui.status("stopping");
                return Ok(());
            }
        };
        serve(&engine, ready, &state, arguments.port, start, ended, ui).await
    }
    .await;
    // A check's container ends with the check, but is gone a little later. Whoever presses Ctrl-C again waits no more.
    tokio::select! {
        () = engine.idle() => {}
        () = ended_by_signal() => {}
    }
    registry.stop().await;
    result.map(|()| Outcome::Done)
}

/// The image repository around this folder when it has a demo image; elsewhere the one that comes with the program.
fn images(global: &Global, ui: &Ui) -> Result<Config, CliError> {
    let root = Config::root(&global.directory)?;
    if root.is_some() || global.directory != Path::new(".") {
        let config = repository(global, ui)?;
        config.image(IMAGE)?;
        return Ok(config);
    }
    let folder = embedded::folder().ok_or_else(|| {
        CliError::failed(
            "no image repository here, and neither XDG_STATE_HOME nor HOME says where to put one",
            "set one of the two, or go to an image repository",
        )
    })?;
    let shown = folder.display();
    embedded::unpack(&folder).map_err(|error| {
        CliError::failed(
            format!("no image repository here, and none can be put into {shown}: {error}"),
            "go to an image repository with a demo image, or give its folder by -C",
        )
    })?;
    ui.status(&format!("no image repository here: this is perijove's own demo, kept in {shown}"));
    Ok(Config::find(&folder)?)
}

/// Whether the port can be listened on; said before minutes are spent.
fn free(port: u16) -> Result<(), CliError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::failed(
            format!("port {port} of 127.0.0.1 cannot be used: {error}"),
            "end what listens there, or choose another port with --port",
        )),
    }
}

/// The embedded registry, serving on a free port while the demo runs.
struct Registry {
    address: SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

impl Registry {
    async fn start(root: &Path, ui: &Ui) -> Result<Self, CliError> {
        let mut settings = Settings::new(root);
        settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.create_only =
            CreateOnly::matching(RELEASES).map_err(|e| CliError::failed(format!("{RELEASES}: {e}"), ""))?;
        settings.report = Some(ui.warnings());
        let server = Server::bind(settings).await?;
        let address = server.local_addr();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Ok(Registry { address, stop, running })
    }

    fn repository(&self, image: &str) -> Result<Reference, CliError> {
        format!("{}/perijove/{image}", self.address)
            .parse()
            .map_err(|e: perijove_oci::reference::ReferenceError| CliError::failed(e.to_string(), ""))
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.running.await;
    }
}

/// A released image, and what all its containers get.
struct Ready {
    source: ImageSource,
    spec: Spec,
}

/// Releases the image into the registry, tested, and lays it ready to run.
async fn released(
    builder: &Builder,
    engine: &Engine,
    repo: &Reference,
    folder: &Path,
    ui: &Ui,
) -> Result<Ready, CliError> {
    let platform = Platform::host();
    let prove = async |candidate: Candidate<'_>| {
        let layout = folder.join("layout");
        let pulled = repo.with_digest(&candidate.digest);
        let source = ImageSource {
            layout: layout.clone(),
            manifest: candidate.digest.clone(),
            registry_reference: Some(pulled.to_string()),
        };
        if !layout.join("blobs/sha256").join(candidate.digest.hex()).exists() {
            // Layouts of earlier images are not needed any more.
            let _ = std::fs::remove_dir_all(&layout);
            std::fs::create_dir_all(&layout).map_err(CliError::io(layout.display()))?;
            builder.client.pull(&pulled, None, &layout, None, perijove_oci::push::PARALLEL).await?;
        }
        let spec = match compiled::keep(&settings::cache_folder()?, engine, &source).await {
            Ok(spec) => spec,
            Err(reason) => {
                ui.status(&format!("what Python compiles is not kept for the next start: {reason}"));
                Spec::default()
            }
        };
        if candidate.is_new {
            // These are starts, too: what they compile is there for the first one of the user's.
            check(builder, engine, candidate.built, &source, &platform, &spec, ui).await?;
        }
        Ok(Ready { source, spec })
    };
    release(builder, &platform, repo, prove, ui).await
}

/// Runs the image's own checks: all must pass.
async fn check(
    builder: &Builder,
    engine: &Engine,
    built: &Built,
    source: &ImageSource,
    platform: &Platform,
    spec: &Spec,
    ui: &Ui,
) -> Result<(), CliError> {
    for result in test::checks(builder, engine, built, source, platform, spec).await? {
        ui.status(&test::line(IMAGE, platform, &result));
        if matches!(result.verdict, Verdict::Failed(_)) {
            return Err(CliError::failed(
                format!("the demo image does not pass `{}`, so it is not released", result.name),
                "its last output is above",
            ));
        }
    }
    Ok(())
}

/// Runs the image until the user ends it, which it waits for: nothing of the container is left then.
async fn serve(
    engine: &Engine,
    ready: Ready,
    state: &Path,
    port: u16,
    start: Instant,
    mut ended: Pin<&mut impl Future<Output = ()>>,
    ui: &Ui,
) -> Result<(), CliError> {
    let path = state.join("demo").join("log");
    let log = std::fs::File::create(&path).map_err(CliError::io(path.display()))?;
    let log = std::sync::Mutex::new(log);
    let up = Arc::new(Notify::new());
    // A published port leads to the container's own network, where it has to listen on all addresses.
    let host = if engine.runtime.publishes() { "" } else { "127.0.0.1" };
    let spec = Spec {
        command: Some(vec!["jupyterhub".to_owned(), format!("--JupyterHub.bind_url=http://{host}:{port}")]),
        network: Network::Host,
        publish: vec![port],
        on_line: Some(Arc::new({
            let up = Arc::clone(&up);
            move |_: Stream, line: &str| {
                use std::io::Write;
                if let Ok(mut log) = log.lock() {
                    let _ = writeln!(log, "{line}");
                }
                if line.contains(UP) {
                    up.notify_one();
                }
            }
        })),
        ..ready.spec
    };
    let began = Instant::now();
    let mut container = engine.start(&ready.source, spec).await?;
    let address = format!("http://127.0.0.1:{port}");
    let authority = format!("127.0.0.1:{port}");
    loop {
        tokio::select! {
            said = tokio::time::timeout(ASK_ANYHOW, up.notified()) => drop(said),
            _ = container.wait() => {}
            () = ended.as_mut() => return stop(&mut container, ui).await,
        }
        tokio::select! {
            answer = container.get(&authority, "/hub/login", Duration::from_secs(5)) => {
                if answer == Ok(200) {
                    break;
                }
            }
            () = ended.as_mut() => return stop(&mut container, ui).await,
        }
        if let Some(end) = End::of(container.has_ended(), began.elapsed()) {
            container.stop(Duration::from_secs(3)).await?;
            return Err(end.error(&state.join("demo/log")));
        }
    }
    let (took, total) = (began.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
    ui.status(&format!(
        "login page after {}, {} in all ({})",
        seconds(took),
        seconds(total),
        engine.runtime.name()
    ));
    ui.result(
        &format!("JupyterHub is ready at {address}"),
        &json!({
            "address": address, "runtime": engine.runtime.name(), "digest": ready.source.manifest,
            "start_seconds": took, "seconds": total,
        }),
    )?;
    ui.status("Any user name and password log in. Ctrl-C ends it.");
    tokio::select! {
        status = container.wait() => {
            let status = status?;
            let log = state.join("demo/log");
            Err(CliError::failed(format!("JupyterHub ended with {status}"), &format!("what it said is in {}", log.display())))
        }
        () = ended => stop(&mut container, ui).await,
    }
}

async fn stop(container: &mut Container, ui: &Ui) -> Result<(), CliError> {
    ui.status("stopping");
    container.stop(Duration::from_secs(10)).await?;
    Ok(())
}

/// Why JupyterHub is waited for no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ended,
    Late,
}

impl End {
    fn of(has_ended: bool, waited: Duration) -> Option<Self> {
        match has_ended {
            true => Some(End::Ended),
            false => (waited > DEADLINE).then_some(End::Late),
        }
    }

    /// What is said then, with the last lines of its log.
    fn error(self, log: &Path) -> CliError {
        let (said, code) = match self {
            End::Ended => ("JupyterHub did not come up".to_owned(), 1),
            End::Late => (format!("JupyterHub did not answer within {} s", DEADLINE.as_secs()), 3),
        };
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        let hint = format!("all it said is in {}", log.display());
        CliError { message: format!("{said}:\n{tail}"), hint: Some(hint), code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_deadline_has_its_own_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, (0..40).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        let second = Duration::from_secs(1);
        for (has_ended, waited, wanted) in [
            (false, DEADLINE - second, None),
            (false, DEADLINE + second, Some((3, "JupyterHub did not answer within 120 s:\nline 25\n"))),
            (true, second, Some((1, "JupyterHub did not come up:\nline 25\n"))),
            (true, DEADLINE + second, Some((1, "JupyterHub did not come up:\nline 25\n"))),
        ] {
            let error = End::of(has_ended, waited).map(|end| end.error(&log));
            assert_eq!(error.as_ref().map(|e| e.code), wanted.map(|(code, _)| code));
            if let (Some(error), Some((_, start))) = (error, wanted) {
                assert!(
                    error.message.starts_with(start) && error.message.ends_with("line 39"),
                    "{}",
                    error.message
                );
                assert!(error.hint.is_some_and(|hint| hint.contains("log")));
            }
        }
    }
}
