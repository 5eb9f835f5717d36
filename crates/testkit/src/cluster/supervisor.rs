//! The process that owns a cluster, on this machine's side: it records what is global, serves the registries, leads
//! loopback's ports into the cluster, and takes everything down when whoever started it is gone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perijove_registry::auth::Access;
use perijove_registry::{Server, Settings};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;

use super::api::Api;
use super::bridge::{self, To};
use super::control::{self, Flow, Order, Said};
use super::image::TestImage;
use super::programs::Version;
use super::spec::Spec;
use super::state::{Recorded, make_cgroups};
use super::{init, pki, words};

/// How long everything may take to be there, on a machine that is busy with other tests.
const UP: Duration = Duration::from_secs(180);

/// The same for each thousand of fake nodes.
const UP_FAKE: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Which Kubernetes.
    pub kubernetes: Version,
    /// How many real nodes.
    pub nodes: u8,
    /// How many nodes of kwok instead.
    pub fake_nodes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { kubernetes: Version::Newest, nodes: 3, fake_nodes: 0 }
    }
}

/// What whoever started it must know, as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Of the cluster and its folder.
    pub spec: Spec,
    /// A user and password of the registry that wants a login.
    pub login: (String, String),
    /// From the call to ready nodes.
    pub seconds: f64,
}

/// Has a cluster from `options` until standard input ends or Ctrl-C comes.
///
/// # Errors
/// Why it did not come up, with the last lines of its logs; or what is left of it.
pub async fn run(options: Options) -> Result<(), String> {
    let recorded =
        Recorded::new().map_err(|e| format!("what is left of an earlier cluster does not go: {e}"))?;
    let mut plane = None;
    let done = tokio::select! {
        up = bring_up(&recorded, &options, &mut plane) => match (up, &mut plane) {
            (Ok(()), Some(plane)) => tokio::select! {
                () = owner_gone() => Ok(()),
                _ = plane.process.wait() => Err("the cluster ended by itself".to_owned()),
            },
            (up, _) => up,
        },
        () = owner_gone() => Ok(()),
    };
    let done = done.map_err(|e| format!("{e}\n{}", last_words(recorded.folder())));
    if let Some(Plane { mut process, input }) = plane {
        // Its standard input ends: so does pid 1, and the kernel kills the rest.
        drop(input);
        if tokio::time::timeout(Duration::from_secs(5), process.wait()).await.is_err() {
            let _ = process.kill().await;
        }
    }
    recorded.remove().map_err(|e| format!("something of the cluster does not go: {e}"))?;
    done
}

/// Standard input has ended, or somebody pressed Ctrl-C.
async fn owner_gone() {
    let mut nothing = Vec::new();
    let input = async {
        if let Ok(mut input) = control::input() {
            let _ = input.read_to_end(&mut nothing).await;
        }
    };
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let term = async {
        match &mut term {
            Some(term) => term.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = input => {}
        _ = term => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The cluster's own process, and what it lives by.
struct Plane {
    process: Child,
    input: Option<ChildStdin>,
}

async fn bring_up(recorded: &Recorded, options: &Options, plane: &mut Option<Plane>) -> Result<(), String> {
    let start = Instant::now();
    let io = |e: std::io::Error| e.to_string();
    let folder = recorded.folder();
    std::fs::create_dir(folder.join("log")).map_err(io)?;
    let login = ("puller".to_owned(), "right-password".to_owned());
    let open = registry(folder.join("registry"), None).await?;
    let private = registry(folder.join("private"), Some(&login)).await?;
    let (flow, flowing) = watch::channel(Flow::default());
    let mut registry_ports = [0; 2];
    for (index, server) in [open, private].into_iter().enumerate() {
        // In front of the server, so that what is slow or shut is so for nodes and this machine alike.
        let server_address = server.local_addr();
        tokio::spawn(server.run(std::future::pending()));
        let front = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        registry_ports[index] = front.local_addr().map_err(io)?.port();
        bridge::from_port(front, To::Address(server_address), flowing.clone());
        let socket = UnixListener::bind(folder.join(format!("registry-{index}.sock"))).map_err(io)?;
        bridge::from_socket(socket, To::Address(server_address), flowing.clone());
    }
    let front = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
    let spec = Spec {
        id: recorded.id().to_owned(),
        folder: folder.to_owned(),
        program: std::env::current_exe().map_err(io)?,
        version: options.kubernetes,
        nodes: if options.fake_nodes > 0 { 0 } else { options.nodes },
        fake_nodes: options.fake_nodes,
        api_port: front.local_addr().map_err(io)?.port(),
        registry_ports,
    };
    bridge::from_port(front, To::Socket(spec.socket("api")), bridge::open());
    let text = serde_json::to_vec(&spec).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("spec.json"), text).map_err(io)?;
    pki::write(&spec).map_err(io)?;
    std::fs::write(spec.folder.join("audit.json"), words::audit_policy().to_string()).map_err(io)?;
    make_cgroups(Path::new(&spec.id)).map_err(io)?;
    let log = std::fs::File::create(spec.log("plane")).map_err(io)?;
    let mut command = init::in_namespaces(&spec.program, &["plane"], folder);
    let stdout = log.try_clone().map_err(io)?;
    let mut process = command.stdout(stdout).stderr(log).spawn().map_err(|e| format!("unshare: {e}"))?;
    // Apart from the process, for waiting for that would close it.
    let input = process.stdin.take();
    let plane = plane.insert(Plane { process, input });
    let address = format!("127.0.0.1:{}", spec.registry_ports[0]);
    if spec.nodes > 0 {
        // Every pod's sandbox is of this image.
        let push =
            tokio::task::spawn_blocking(move || TestImage::pause().push(&address, None, "test/pause", "1"));
        push.await.map_err(|e| format!("test/pause was not pushed: {e}"))?;
    }
    let limit = UP + UP_FAKE * (spec.fake_nodes / 1000);
    tokio::select! {
        _ = plane.process.wait() => return Err("the cluster ended before it was up".to_owned()),
        ready = tokio::time::timeout(limit, ready(&spec)) => {
            ready.map_err(|_| format!("not ready after {} s", limit.as_secs()))??;
        }
    }
    control::listen(&spec.socket("supervisor"), move |order| {
        let flow = flow.clone();
        async move {
            match order {
                Order::Registry(wanted) => {
                    flow.send_replace(wanted);
                    Ok(Said::default())
                }
                _ => Err("that is the cluster's, or a node's".to_owned()),
            }
        }
    })
    .map_err(io)?;
    say(&Facts { spec, login, seconds: start.elapsed().as_secs_f64() })
}

#[allow(clippy::print_stdout, reason = "it is this process's result")]
fn say(facts: &Facts) -> Result<(), String> {
    println!("{}", serde_json::to_string(facts).map_err(|e| e.to_string())?);
    Ok(())
}

/// Waits until all nodes take pods, and the namespace `default` its first.
async fn ready(spec: &Spec) -> Result<(), String> {
    let api = Api::new(spec, format!("https://127.0.0.1:{}", spec.api_port)).map_err(|e| e.to_string())?;
    while !api.is_ready().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if spec.fake_nodes > 0 {
        api.create_fake_nodes(spec.fake_nodes).await?;
    }
    let (wanted, pause) = match spec.fake_nodes {
        0 => (usize::from(spec.nodes), Duration::from_millis(50)),
        // Listing thousands again and again would cost the server more than the nodes do.
        many => (many as usize, Duration::from_secs(2)),
    };
    while api.ready_nodes().await? < wanted {
        tokio::time::sleep(pause).await;
    }
    while api.get("/api/v1/namespaces/default/serviceaccounts/default").await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A registry on a port of loopback that only the bridge knows.
async fn registry(root: PathBuf, login: Option<&(String, String)>) -> Result<Server, String> {
    let mut settings = Settings::new(root);
    settings.listen = ([127, 0, 0, 1], 0).into();
    if let Some((user, password)) = login {
        let hash = bcrypt::hash(password, 4).map_err(|e| e.to_string())?;
        let access =
            Access::parse(&format!("{user}:{hash}\n"), None).map_err(|(line, e)| format!("{line}: {e}"))?;
        settings.access = Some(access);
    }
    Server::bind(settings).await.map_err(|e| e.to_string())
}

/// The ends of all logs: what a cluster that does not come up leaves of itself. Short enough for a pipe that nobody
/// reads.
fn last_words(folder: &Path) -> String {
    let logs = std::fs::read_dir(folder.join("log")).into_iter().flatten().flatten();
    let mut all: Vec<String> = logs
        .filter_map(|log| {
            let text = std::fs::read_to_string(log.path()).ok().filter(|t| !t.is_empty())?;
            let lines: Vec<String> =
                text.lines().rev().take(10).map(|l| l.chars().take(300).collect()).collect();
            let end = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            Some(format!("--- {}\n{end}", log.file_name().display()))
        })
        .collect();
    all.sort();
    all.join("\n")
}
