//! A node as a test handles it: its power, its cable, its programs, and what Kubernetes says of it.

use std::path::PathBuf;

use serde_json::Value;

use super::control::{self, Order};
use super::spec::NodeSpec;
use super::{Cluster, Ran, order, programs};

/// A node of a cluster.
pub struct Node<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) spec: NodeSpec,
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

    /// Bytes that are free on its disk.
    pub fn free_bytes(&self) -> u64 {
        let said = self.run(&["df", "--output=avail", "-B1", &self.disk().display().to_string()]).text();
        said.lines().last().unwrap().trim().parse().unwrap()
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

    /// The same of a node that may be off: nothing where nobody answers.
    pub fn try_images(&self) -> Option<Vec<String>> {
        let ctr = programs::folder("containerd").join("ctr").display().to_string();
        let words = [&ctr, "--namespace", "k8s.io", "images", "list", "--quiet"].map(str::to_owned).into();
        let said = control::order(&self.spec.socket(), &Order::Run { words }).ok()?;
        (said.code == Some(0)).then(|| said.stdout.lines().map(str::to_owned).collect())
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

    /// Removes the disk of a node that is off: the next one of its number is new.
    pub fn forget(&self) {
        std::fs::remove_dir_all(&self.spec.folder).unwrap();
    }
}
