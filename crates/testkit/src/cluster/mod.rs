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
mod machine;
mod namespace;
pub mod node;
mod pki;
pub mod plane;
pub mod programs;
mod shared;
pub mod spec;
pub mod state;
pub mod supervisor;
mod words;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use control::{Flow, Order, Said};
pub use fault::Fault;
pub use image::TestImage;
pub use machine::Node;
pub use namespace::{Namespace, PodSecurity};
pub use programs::Version;
pub use shared::{alone, shared};
use spec::{MOST_NODES, NodeSpec};
pub use supervisor::{Facts, Options};

/// A cluster that runs until the value goes, or the process.
pub struct Cluster {
    facts: Facts,
    supervisor: Child,
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
        let mut command = Command::new(shared::supervisor_program());
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
