//! The process that holds a cluster, in its namespaces: the bridge, the control plane's programs, and the nodes. It
//! ends when its standard input does, which the supervisor holds open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::process::{Child, ChildStdin};
use tokio::sync::Mutex;

use super::api::Api;
use super::bridge::{self, To};
use super::control::{self, Kept, Order, Said, must};
use super::spec::{GATEWAY, MOST_NODES, NodeSpec, SERVICE, SERVICES, Spec};
use super::{init, programs, state, words};

/// How long a disk may stay in use after its node was switched off.
const UNMOUNTED: Duration = Duration::from_secs(20);

struct Plane {
    spec: Spec,
    programs: Kept,
    nodes: Mutex<HashMap<u8, Node>>,
}

/// A node that is on. Ends with the value.
struct Node {
    process: Child,
    orders: ChildStdin,
}

/// Holds the cluster of this folder until standard input ends.
///
/// # Errors
/// What could not be started.
pub async fn run(folder: &Path) -> std::io::Result<()> {
    let spec = Spec::read(folder)?;
    must(&["mount", "--make-rprivate", "/"], "").await?;
    must(&["ip", "-batch", "-"], &network()).await?;
    let api = UnixListener::bind(spec.socket("api"))?;
    bridge::from_socket(api, To::Address((GATEWAY, 443).into()), bridge::open());
    let mut nodes = HashMap::new();
    for number in 1..=spec.nodes {
        nodes.insert(number, switch_on(&spec, number).await?);
    }
    let mut kept = Kept::default();
    let kubernetes = programs::kubernetes(spec.version);
    let mut keep = |name: &str, program: PathBuf, arguments: Vec<String>| {
        let words = std::iter::once(program.display().to_string()).chain(arguments).collect();
        kept.add(name, words, Vec::new(), spec.log(name));
    };
    keep("etcd", programs::folder("etcd").join("etcd"), words::etcd(&spec));
    keep("kube-apiserver", kubernetes.join("kube-apiserver"), words::apiserver(&spec));
    let api = Api::new(&spec, format!("https://{GATEWAY}:443"))?;
    while !api.is_ready().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keep("controller-manager", kubernetes.join("kube-controller-manager"), words::controller_manager(&spec));
    keep("scheduler", kubernetes.join("kube-scheduler"), words::scheduler(&spec));
    if spec.fake_nodes > 0 {
        let folder = programs::folder("kwok");
        let stages =
            std::fs::read_dir(folder.join("stages"))?.flatten().map(|e| e.path().display().to_string());
        keep("kwok", folder.join("kwok"), words::kwok(&spec, &stages.collect::<Vec<_>>()));
    }
    for node in nodes.values_mut() {
        node.join().await?;
    }
    let socket = spec.socket("plane");
    let plane = Arc::new(Plane { spec, programs: kept, nodes: Mutex::new(nodes) });
    control::listen(&socket, move |order| {
        let plane = plane.clone();
        async move { plane.obey(order).await }
    })?;
    // The supervisor says nothing; it only goes.
    let mut nothing = Vec::new();
    control::input()?.read_to_end(&mut nothing).await?;
    Ok(())
}

impl Plane {
    async fn obey(&self, order: Order) -> Result<Said, String> {
        match order {
            Order::Run { words } => control::run(&words).await,
            Order::Program { name, run } => self.programs.program(&name, run).await,
            Order::Node { number, .. } if !(1..=MOST_NODES).contains(&number) => {
                Err(format!("no node {number}"))
            }
            Order::Node { number, on } => {
                let mut nodes = self.nodes.lock().await;
                let done = if on {
                    self.power_on(&mut nodes, number).await
                } else {
                    self.power_off(&mut nodes, number).await
                };
                done.map(|()| Said::default()).map_err(|e| e.to_string())
            }
            Order::Registry(_) => Err("that is the supervisor's".to_owned()),
        }
    }

    async fn power_on(&self, nodes: &mut HashMap<u8, Node>, number: u8) -> std::io::Result<()> {
        if let Entry::Vacant(place) = nodes.entry(number) {
            let mut node = switch_on(&self.spec, number).await?;
            node.join().await?;
            place.insert(node);
        }
        Ok(())
    }

    /// Kills the node's pid 1 and waits until nothing of the node is left, its mounted disk included: mounted twice, it
    /// would be damaged.
    async fn power_off(&self, nodes: &mut HashMap<u8, Node>, number: u8) -> std::io::Result<()> {
        let Some(mut node) = nodes.remove(&number) else { return Ok(()) };
        if let Some(first) = node.process.id().and_then(first_child) {
            // `unshare` ends after its child, which ends after all that is in its namespace.
            let _ = rustix::process::kill_process(first, rustix::process::Signal::KILL);
        }
        node.process.wait().await?;
        let spec = NodeSpec::new(&self.spec, number);
        let start = Instant::now();
        while is_loop_device(&spec.image()) {
            if start.elapsed() > UNMOUNTED {
                return Err(std::io::Error::other(format!("the disk of {} is still in use", spec.name)));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        state::remove_cgroups(&format!("{}/{}", self.spec.id, spec.name))
    }
}

impl Node {
    /// Lets it become part of the cluster: the API server is there.
    async fn join(&mut self) -> std::io::Result<()> {
        self.orders.write_all(b"join\n").await
    }
}

/// Starts a node up to where it has a disk, a network and containerd.
async fn switch_on(spec: &Spec, number: u8) -> std::io::Result<Node> {
    let node = NodeSpec::new(spec, number);
    state::make_cgroups(&Path::new(&spec.id).join(&node.name))?;
    std::fs::create_dir_all(&node.folder)?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(spec.log(&node.name))?;
    let mut command = init::in_namespaces(&spec.program, &["node", &number.to_string()], &spec.folder);
    let mut process = command.stdout(std::process::Stdio::piped()).stderr(log).spawn()?;
    let (Some(mut orders), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(std::io::Error::other("a process without its pipes"));
    };
    // It speaks when it is in its namespaces: `unshare` is in them as well, but for the new processes'.
    let mut said = String::new();
    BufReader::new(stdout).read_line(&mut said).await?;
    let Some(pid) = process.id().filter(|_| said.trim() == "here") else {
        let log = std::fs::read_to_string(spec.log(&node.name)).unwrap_or_default();
        return Err(std::io::Error::other(format!("{} did not start: {log}", node.name)));
    };
    let cable = node.cable();
    let batch = format!(
        "link add {cable} type veth peer name eth0 netns {pid}\nlink set {cable} master bridge0 up\n\
         route replace {} via {} dev bridge0\n",
        node.pods, node.address
    );
    must(&["ip", "-batch", "-"], &batch).await?;
    orders.write_all(b"network\n").await?;
    Ok(Node { process, orders })
}

/// The bridge, with the gateway's and the service's address. Nothing is forwarded and nothing leads out.
fn network() -> String {
    let mut batch = "link set lo up\nlink add bridge0 type bridge\n".to_owned();
    let _ = write!(
        batch,
        "addr add {GATEWAY}/24 dev bridge0\naddr add {SERVICE}/32 dev bridge0\nlink set bridge0 up\n"
    );
    batch
}

/// What a node does about its end of the cable. Pods' default route ends here; services other than the API server's
/// have no address that answers.
pub fn node_network(spec: &Spec, node: &NodeSpec) -> String {
    let mut batch = format!(
        "link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\nroute add {SERVICES} via {GATEWAY}\n\
         route add unreachable default\n",
        node.address
    );
    for other in (1..=MOST_NODES).filter(|n| *n != node.number).map(|n| NodeSpec::new(spec, n)) {
        let _ = writeln!(batch, "route add {} via {}", other.pods, other.address);
    }
    batch
}

fn first_child(parent: u32) -> Option<rustix::process::Pid> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    rustix::process::Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// Whether a file is a loop device now.
fn is_loop_device(image: &Path) -> bool {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut files = devices.filter_map(|d| std::fs::read_to_string(d.path().join("loop/backing_file")).ok());
    files.any(|file| Path::new(file.trim_end()) == image)
}
