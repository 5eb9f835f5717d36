//! `perijove demo`: lock check → build → push by digest → pull → test → tag → run, all on this machine.

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

use super::error::CliError;
use super::test;
use super::{Global, Outcome, repository};
use crate::settings;
use crate::ui::{Ui, bytes, seconds};
use crate::{compiled, embedded};

/// Flags of `demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Port of 127.0.0.1 on which JupyterHub answers
    #[arg(long, default_value_t = 8000)]
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
            ready = release(&builder, &engine, &repo, &folder, ui) => ready?,
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

/// Builds, pushes by digest, pulls, tests exactly that digest, and only then makes it public under its tags.
async fn release(
    builder: &Builder,
    engine: &Engine,
    repo: &Reference,
    folder: &Path,
    ui: &Ui,
) -> Result<Ready, CliError> {
    let platform = Platform::host();
    let latest = repo.with_tag("latest");
    let built = builder.build(IMAGE, std::slice::from_ref(&platform), std::slice::from_ref(&latest)).await?;
    let layout = folder.join("layout");
    let source = ImageSource {
        layout: layout.clone(),
        manifest: built.digest.clone(),
        registry_reference: Some(repo.with_digest(&built.digest).to_string()),
    };
    let released = builder.client.head(&latest).await?.is_some_and(|d| d.digest == built.digest);
    if !released {
        let report =
            builder.client.push_image(repo, &built.content, &[], &[], perijove_oci::push::PARALLEL).await?;
        ui.status(&format!("built {} {}, pushed {}", built.name, built.version, bytes(report.pushed_bytes)));
    }
    let pulled = repo.with_digest(&built.digest);
    if !source.layout.join("blobs/sha256").join(built.digest.hex()).exists() {
        // Layouts of earlier images are not needed any more.
        let _ = std::fs::remove_dir_all(&layout);
        std::fs::create_dir_all(&layout)?;
        builder.client.pull(&pulled, None, &layout, None, perijove_oci::push::PARALLEL).await?;
    }
    let spec = match compiled::keep(&settings::cache_folder()?, engine, &source).await {
        Ok(spec) => spec,
        Err(reason) => {
            ui.status(&format!("what Python compiles is not kept for the next start: {reason}"));
            Spec::default()
        }
    };
    if released {
        ui.status("nothing changed since the last release");
        return Ok(Ready { source, spec });
    }
    // These are starts, too: what they compile is there for the first one of the user's.
    for result in test::checks(builder, engine, &built, &source, &platform, &spec).await? {
        ui.status(&test::line(IMAGE, &platform, &result));
        if matches!(result.verdict, Verdict::Failed(_)) {
            return Err(CliError::failed(
                format!("the demo image does not pass `{}`, so it is not released", result.name),
                "its last output is above",
            ));
        }
    }
    claim(builder, &built, repo, ui).await?;
    Ok(Ready { source, spec })
}

/// The first PUT of the release's own tag, then its aliases.
async fn claim(builder: &Builder, built: &Built, repo: &Reference, ui: &Ui) -> Result<(), CliError> {
    let existing = builder.client.tags(repo).await?;
    let existing = existing.iter().map(String::as_str);
    let tags = perijove_tags::release(&built.version, existing.collect::<Vec<_>>())
        .map_err(|refusal| CliError::failed(refusal.to_string(), ""))?;
    let root = &built.content.root;
    let (_, body) = built.content.manifest(&root.digest)?;
    for tag in &tags {
        builder.client.put_manifest(repo, root, body.clone(), std::slice::from_ref(tag)).await?;
    }
    ui.status(&format!("released {} as {}", repo.repository, tags.join(", ")));
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
    let log = std::sync::Mutex::new(std::fs::File::create(state.join("demo").join("log"))?);
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
    let deadline = began + Duration::from_secs(120);
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
        if container.has_ended() || Instant::now() > deadline {
            let log = std::fs::read_to_string(state.join("demo").join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            container.stop(Duration::from_secs(3)).await?;
            return Err(CliError::failed(
                format!("JupyterHub did not come up:\n{}", tail.join("\n")),
                &format!("all it said is in {}", state.join("demo/log").display()),
            ));
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
