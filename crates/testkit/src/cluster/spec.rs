//! What a cluster is: names, addresses and files, decided once, before anything starts. Pure.
//!
//! The addresses are in network namespaces of the cluster's own, so two clusters, or a cluster and this machine, may
//! have the same.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::programs::Version;

/// The bridge: the API server, and every node's way to it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 93, 0, 1);

/// The address of the service `kubernetes`. It is an address of the bridge as well, so pods reach the API server
/// without kube-proxy.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Services' addresses.
pub const SERVICES: &str = "10.96.0.0/16";

/// Most nodes; routes to all of them are there from the start, for those that come late.
pub const MOST_NODES: u8 = 9;

/// What the supervisor tells the processes that it starts, as `spec.json` in the cluster's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Like `perijove-4f0c2a`: the name of its cgroups.
    pub id: String,
    /// Everything of it is below, but for what is recorded (`state.rs`).
    pub folder: PathBuf,
    /// The program that this process is.
    pub program: PathBuf,
    /// Which Kubernetes.
    pub version: Version,
    /// How many nodes there are from the start: n1, n2…
    pub nodes: u8,
    /// Made-up nodes of kwok; then there are no real ones.
    pub fake_nodes: u32,
    /// The API server's port on 127.0.0.1.
    pub api_port: u16,
    /// The ports on 127.0.0.1, of this machine and of every node alike, of the open registry and of the one that
    /// wants a login.
    pub registry_ports: [u16; 2],
}

impl Spec {
    /// Read from the cluster's folder.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(folder.join("spec.json"))?)?)
    }

    /// Certificates, keys and kubeconfigs.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.folder.join("pki").join(file)
    }

    /// Where a program's output goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("log").join(format!("{name}.log"))
    }

    /// A socket in the cluster's folder.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sock"))
    }
}

/// A node by its number: 1 is `n1`.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// From 1.
    pub number: u8,
    /// `n1`.
    pub name: String,
    /// On the bridge.
    pub address: Ipv4Addr,
    /// Its pods' addresses.
    pub pods: String,
    /// Its configuration and its disk's image.
    pub folder: PathBuf,
}

impl NodeSpec {
    /// What follows from the number.
    pub fn new(spec: &Spec, number: u8) -> Self {
        let name = format!("n{number}");
        NodeSpec {
            number,
            address: Ipv4Addr::new(10, 93, 0, 10 + number),
            pods: format!("10.244.{number}.0/24"),
            folder: spec.folder.join("nodes").join(&name),
            name,
        }
    }

    /// Where its disk is mounted, in its own mount namespace only.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The file that is its disk.
    pub fn image(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    /// The interface on the bridge's side.
    pub fn cable(&self) -> String {
        format!("cable{}", self.number)
    }

    /// Where it takes orders.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("node.sock")
    }
}
