//! A real Kubernetes on this machine, for tests: etcd, API server, controller manager, scheduler, and nodes with
//! containerd and kubelet, each with its own network, processes and disk. It needs root, and `make tools-kube`.
//!
//! [`Cluster::start`] starts the program `cluster` and holds a pipe to it. That supervisor ([`supervisor`]) has
//! registries and loopback ports, and a child in new namespaces ([`plane`]), which has the control plane and a child
//! in new namespaces for each node ([`node`]). Each ends when the pipe from the one above it does, and as it is pid 1's
//! work ([`init`]) the kernel then ends all that is below: processes, mounts, networks, loop devices. What is not in
//! a namespace is recorded ([`state`]).
//!
//! Pods' images come from `127.0.0.1:PORT`, for nodes and for this machine: one name for the same image everywhere.

mod api;
mod bridge;
pub mod control;
pub mod fault;
pub mod image;
pub mod init;
mod namespace;
pub mod node;
mod pki;
pub mod plane;
pub mod programs;
pub mod spec;
pub mod state;
pub mod supervisor;
mod words;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use control::{Flow, Order, Said};
pub use fault::Fault;
pub use image::TestImage;
pub use namespace::{Namespace, PodSecurity};
pub use programs::Version;
use spec::{MOST_NODES, NodeSpec};
pub use supervisor::{Facts, Options};

/// A cluster that runs until the value goes, or the process.
pub struct Cluster {
    facts: Facts,
    supervisor: Child,
}

/// A node of a cluster.
pub struct Node<'a> {
    cluster: &'a Cluster,
    spec: NodeSpec,
}

/// What kubectl, or a command on a node, said.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether it ended with 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output of what must have worked.
    pub fn text(&self) -> String {
        assert!(self.ok, "{}{}", self.stdout, self.stderr);
        self.stdout.clone()
    }

    /// The same, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

/// What keeps this machine from having a cluster, for a test to skip; nothing where all is there.
pub fn lacking(options: &Options) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("a cluster needs Linux".to_owned());
    }
    if !crate::is_root() {
        return Some("a cluster needs root".to_owned());
    }
    programs::missing(options.kubernetes, options.fake_nodes > 0)
}

impl Cluster {
    /// Starts one; ready nodes, or a panic with the end of its logs.
    pub fn start(options: &Options) -> Self {
        let options = serde_json::to_string(options).unwrap();
        let mut command = Command::new(supervisor_program());
        command
            .args(["supervise", &options])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Of a process group of its own: Ctrl-C ends the test, and then the supervisor takes the cluster down.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut supervisor = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Ok(facts) = serde_json::from_str(&line) else {
            let mut said = String::new();
            supervisor.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            supervisor.wait().unwrap();
            panic!("no cluster: {line}{said}");
        };
        Cluster { facts, supervisor }
    }

    /// Names, addresses and files.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The supervisor's process, for tests of its end.
    pub fn supervisor(&self) -> u32 {
        self.supervisor.id()
    }

    /// Which Kubernetes it is.
    pub fn version(&self) -> Version {
        self.facts.spec.version
    }

    /// The administrator's kubeconfig; it needs no other file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.facts.spec.pki("admin.kubeconfig")
    }

    /// `127.0.0.1:PORT` of the registry that lets everybody read and write; it is the same for nodes and for tests.
    pub fn registry(&self) -> String {
        format!("127.0.0.1:{}", self.facts.spec.registry_ports[0])
    }

    /// The same of the registry that wants a login.
    pub fn private_registry(&self) -> String {
        format!("127.0.0.1:{}", self.facts.spec.registry_ports[1])
    }

    /// User and password of the registry that wants a login.
    pub fn login(&self) -> (&str, &str) {
        (&self.facts.login.0, &self.facts.login.1)
    }

    /// Pushes an image to the open registry; gives its reference by tag.
    pub fn push(&self, image: &TestImage, name: &str, tag: &str) -> String {
        image.push(&self.registry(), None, name, tag);
        format!("{}/{name}:{tag}", self.registry())
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Ran {
        self.kubectl_with(arguments, "")
    }

    /// The same with something on standard input, as for `apply -f -`.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Ran {
        use std::io::Write;
        let mut command = Command::new(programs::kubectl());
        // kubectl keeps what it discovers below HOME, for each server: a cluster's end is that cache's.
        command.args(arguments).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without having read all, and then says why.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Applies objects.
    pub fn apply(&self, objects: &Value) {
        self.kubectl_with(&["apply", "-f", "-"], &objects.to_string()).text();
    }

    /// What `kubectl get ARGUMENTS -o json` says.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["get"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
        self.kubectl(&all).json()
    }

    /// Waits until `there` gives something; panics with `what` when it does not in time.
    pub fn wait<T>(&self, what: &str, there: impl FnMut() -> Option<T>) -> T {
        wait(what, Duration::from_secs(120), there)
    }

    /// A namespace that is deleted with the value.
    pub fn namespace(&self, name: &str, security: PodSecurity) -> Namespace<'_> {
        Namespace::new(self, name, security)
    }

    /// A node by its number, from 1: it need not be there yet.
    pub fn node(&self, number: u8) -> Node<'_> {
        Node { cluster: self, spec: NodeSpec::new(&self.facts.spec, number) }
    }

    /// The nodes that are there from the start.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (1..=self.facts.spec.nodes).map(|number| self.node(number))
    }

    /// Ends a program of the control plane (`etcd`, `kube-apiserver`, `controller-manager`, `scheduler`, `kwok`), or
    /// has it running again.
    pub fn program(&self, name: &str, run: bool) {
        order(&self.facts.spec.socket("plane"), &Order::Program { name: name.to_owned(), run });
    }

    /// What was asked of the API server so far that `wanted` says yes to, as audit events (audit.k8s.io/v1: `verb`,
    /// `requestURI`, `user.username`, `userAgent`, `objectRef`, `responseStatus.code`), each request once. Kubernetes' own
    /// parts are left out.
    pub fn requests(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let log = std::fs::read_to_string(self.facts.spec.log("audit")).unwrap();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(wanted);
        // A watch has a line when it begins, and another when it ends.
        let mut seen = std::collections::BTreeSet::new();
        events.filter(|event| seen.insert(event["auditID"].to_string())).collect()
    }

    /// Waits until the API server answers that it is ready.
    pub fn wait_for_api(&self) {
        self.wait("the API server", || self.kubectl(&["get", "--raw", "/readyz"]).ok.then_some(()));
    }

    /// How the registries answer from now on.
    pub fn registries(&self, flow: Flow) {
        let sockets = (1..=MOST_NODES).map(|n| self.node(n).spec.socket()).filter(|socket| socket.exists());
        for socket in sockets.chain([self.facts.spec.socket("supervisor")]) {
            // A node that is off has no port to shut.
            let _ = control::order(&socket, &Order::Registry(flow));
        }
    }

    /// The cluster's folder: logs are in `log/`.
    pub fn folder(&self) -> &Path {
        &self.facts.spec.folder
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let ended = self.supervisor.wait();
        if !std::thread::panicking() && !ended.is_ok_and(|s| s.success()) {
            let mut said = String::new();
            let stderr = self.supervisor.stderr.take().map(|mut s| s.read_to_string(&mut said));
            panic!("the cluster did not end as it should: {said}{stderr:?}");
        }
    }
}

impl Node<'_> {
    /// `n1`.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where its disk is, for commands that run on it.
    pub fn disk(&self) -> PathBuf {
        self.spec.disk()
    }

    /// Power on or off: off ends everything in it, at once; its disk stays.
    pub fn power(&self, on: bool) {
        order(&self.cluster.facts.spec.socket("plane"), &Order::Node { number: self.spec.number, on });
    }

    /// Plugs its network cable in, or out.
    pub fn cable(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        let words = ["ip", "link", "set", &self.spec.cable(), state].map(str::to_owned).into();
        let said = order(&self.cluster.facts.spec.socket("plane"), &Order::Run { words });
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }

    /// Runs a command in the node's namespaces.
    pub fn run(&self, words: &[&str]) -> Ran {
        let words = words.iter().map(|&w| w.to_owned()).collect();
        let said = order(&self.spec.socket(), &Order::Run { words });
        Ran { ok: said.code == Some(0), stdout: said.stdout, stderr: said.stderr }
    }

    /// Ends a program of the node (`kubelet`, `containerd`), or has it running again.
    pub fn program(&self, name: &str, run: bool) {
        order(&self.spec.socket(), &Order::Program { name: name.to_owned(), run });
    }

    /// Restarts the kubelet with more configuration (fields of `KubeletConfiguration`), or without.
    pub fn configure(&self, more: Option<&Value>) {
        let file = self.spec.folder.join("kubelet.d/50-test.conf");
        match more {
            Some(more) => {
                let mut all = more.clone();
                all["apiVersion"] = "kubelet.config.k8s.io/v1beta1".into();
                all["kind"] = "KubeletConfiguration".into();
                std::fs::write(file, all.to_string()).unwrap();
            }
            None => {
                let _ = std::fs::remove_file(file);
            }
        }
        self.program("kubelet", false);
        self.program("kubelet", true);
    }

    /// The names of the images that containerd has.
    pub fn images(&self) -> Vec<String> {
        let ctr = programs::folder("containerd").join("ctr").display().to_string();
        let listed = self.run(&[&ctr, "--namespace", "k8s.io", "images", "list", "--quiet"]);
        listed.text().lines().map(str::to_owned).collect()
    }

    /// The Node object.
    pub fn object(&self) -> Value {
        self.cluster.get(&["node", self.name()])
    }

    /// A condition's status (`True`, `False`, `Unknown`), as `Ready` or `DiskPressure`.
    pub fn condition(&self, name: &str) -> Option<String> {
        let ran = self.cluster.kubectl(&["get", "node", self.name(), "-o", "json"]);
        let node: Value = serde_json::from_str(&ran.stdout).ok()?;
        let all = node["status"]["conditions"].as_array()?;
        Some(all.iter().find(|c| c["type"] == name)?["status"].as_str()?.to_owned())
    }

    /// Waits until a condition has a status.
    pub fn wait_for(&self, condition: &str, status: &str) {
        let what = format!("{} {condition}={status}", self.name());
        self.cluster.wait(&what, || (self.condition(condition).as_deref() == Some(status)).then_some(()));
    }

    /// Waits until it is Ready and has none of the taints that Kubernetes sets.
    pub fn wait_until_ready(&self) {
        self.wait_for("Ready", "True");
        self.cluster.wait(&format!("{} without taints", self.name()), || {
            let taints = self.object()["spec"]["taints"].clone();
            let own = |t: &Value| t["key"].as_str().is_some_and(|k| k.starts_with("node.kubernetes.io/"));
            (!taints.as_array().is_some_and(|all| all.iter().any(own))).then_some(())
        });
    }
}

fn order(socket: &Path, wanted: &Order) -> Said {
    control::order(socket, wanted).unwrap_or_else(|e| panic!("{wanted:?}: {e}"))
}

/// Asks again and again until there is an answer.
pub fn wait<T>(what: &str, limit: Duration, mut there: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(start.elapsed() < limit, "{what}: not after {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The clusters that a whole test program shares: one for each version, up with the first test that asks.
static SHARED: [OnceLock<RwLock<Cluster>>; 2] = [OnceLock::new(), OnceLock::new()];

/// The test program's cluster of three nodes, together with other tests: each has a namespace of its own, and hurts
/// nothing that is not in it. `None` where `test` is skipped.
pub fn shared(test: &str, version: Version) -> Option<RwLockReadGuard<'static, Cluster>> {
    Some(lock(test, version)?.read().unwrap_or_else(PoisonError::into_inner))
}

/// The same cluster for a test that hurts it: no other test has it meanwhile.
pub fn alone(test: &str, version: Version) -> Option<RwLockWriteGuard<'static, Cluster>> {
    Some(lock(test, version)?.write().unwrap_or_else(PoisonError::into_inner))
}

fn lock(test: &str, version: Version) -> Option<&'static RwLock<Cluster>> {
    let options = Options { kubernetes: version, ..Options::default() };
    if let Some(why) = lacking(&options) {
        crate::skip(test, &why);
        return None;
    }
    let place = Version::ALL.iter().position(|v| *v == version).unwrap();
    Some(SHARED[place].get_or_init(|| RwLock::new(Cluster::start(&options))))
}

/// The program `cluster` of this crate, built if its sources are newer: a test of another crate does not have it.
fn supervisor_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    if own.file_name().is_some_and(|n| n == "cluster") {
        return own;
    }
    // Tests are in TARGET/PROFILE/deps.
    let profile = own.ancestors().find(|f| f.file_name().is_some_and(|n| n == "deps")).and_then(Path::parent);
    let profile = profile.unwrap_or(own.parent().unwrap());
    let program = profile.join("cluster");
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sources = ["testkit", "registry", "oci"].map(|name| crates.join(name).join("src"));
    let newest = sources.iter().flat_map(|s| crate::layout::files_below(s)).filter_map(|f| changed(&f)).max();
    if changed(&program) < newest {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--package", "perijove-testkit", "--bin", "cluster"]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(crates).status().unwrap().success(), "the program `cluster` is not built");
        // Cargo leaves a program alone that is as it was; the next look need not ask again.
        std::fs::File::open(&program).and_then(|f| f.set_modified(std::time::SystemTime::now())).unwrap();
    }
    program
}

fn changed(file: &Path) -> Option<std::time::SystemTime> {
    file.metadata().ok()?.modified().ok()
}
