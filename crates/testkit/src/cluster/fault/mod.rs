//! What can go wrong in a cluster, each thing with its name: [`Fault::apply`] makes it so, and what it gives heals it.
//!
//! A test that goes through [`Fault::ALL`] has met all of them. Those that hurt more than one namespace (all but the
//! images') want the cluster for themselves: [`super::alone`].

mod pods;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::control::Flow;
use super::node::MOST_PODS;
use super::{Cluster, Node, TestImage};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The node's power is cut.
    NodeOff,
    /// The node's network cable is out: it runs on, and nobody hears of it. (It still reaches the registries, which are
    /// on its loopback.)
    NodeSilent,
    /// The node takes no new pods, by `kubectl cordon`.
    Cordoned,
    /// The node says that its disk is too full, by its kubelet's threshold.
    DiskPressure,
    /// The node's disk is full.
    DiskFull,
    /// The node has as many pods as it may.
    PodsFull,
    /// The node has a taint that nobody tolerates.
    Tainted,
    /// A node joins: number [`LATE_NODE`].
    LateNode,
    /// The registries refuse connections.
    RegistryDown,
    /// The registries send [`SLOW_BYTES_PER_SECOND`].
    SlowRegistry,
    /// An image whose tag the registry does not have.
    MissingTag,
    /// An image that wants a login, and a pull secret with another password.
    WrongSecret,
    /// An image in which there is one program, and no shell.
    NoShell,
    /// An image for another architecture only.
    OtherArchitecture,
    /// An image whose layer is no archive.
    UnreadableLayer,
    /// The API server is away until healed.
    ApiServerRestarted,
    /// The awaiter's process is killed, as the kernel does when memory is short.
    AwaiterKilled,
    /// The node's kubelet removes images that no container uses.
    ImageCollected,
}

/// The number of the node that comes late.
pub const LATE_NODE: u8 = 4;

/// How fast a slow registry sends, for each connection.
pub const SLOW_BYTES_PER_SECOND: u64 = 400_000;

/// The bytes, at least, of the image to pull from a slow registry.
const SLOW_BYTES: usize = 3 << 20;

/// The taint of [`Fault::Tainted`].
pub const TAINT: &str = "perijove.test/taken";

/// Where a fault strikes.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The node, from 1.
    pub node: u8,
    /// The test's namespace.
    pub namespace: &'a str,
    /// The labels of the awaiter's pods there.
    pub awaiter: &'a str,
}

/// Something that is broken until the value goes.
pub struct Broken<'c> {
    /// The image that the fault is about, where it is about one.
    pub image: Option<String>,
    /// The pull secret in the namespace that goes with it.
    pub pull_secret: Option<&'static str>,
    cluster: &'c Cluster,
    node: u8,
    fault: Fault,
    heal: Option<Box<dyn FnOnce(&'c Cluster) + 'c>>,
}

impl Fault {
    /// All of them, by name.
    pub const ALL: [(&str, Fault); 18] = [
        ("node off", Fault::NodeOff),
        ("node silent", Fault::NodeSilent),
        ("cordoned", Fault::Cordoned),
        ("disk pressure", Fault::DiskPressure),
        ("disk full", Fault::DiskFull),
        ("pods full", Fault::PodsFull),
        ("tainted", Fault::Tainted),
        ("late node", Fault::LateNode),
        ("registry down", Fault::RegistryDown),
        ("slow registry", Fault::SlowRegistry),
        ("missing tag", Fault::MissingTag),
        ("wrong secret", Fault::WrongSecret),
        ("image without a shell", Fault::NoShell),
        ("image of another architecture", Fault::OtherArchitecture),
        ("unreadable layer", Fault::UnreadableLayer),
        ("API server restarted", Fault::ApiServerRestarted),
        ("awaiter killed", Fault::AwaiterKilled),
        ("image collected", Fault::ImageCollected),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Fault::ALL.iter().find(|(_, fault)| *fault == self).unwrap().0
    }

    /// Makes it so. What Kubernetes thinks of it takes its time: [`Broken::wait_until_seen`].
    pub fn apply<'c>(self, cluster: &'c Cluster, place: &Place) -> Broken<'c> {
        let mut broken =
            Broken { image: None, pull_secret: None, cluster, node: place.node, fault: self, heal: None };
        let number = place.node;
        let node = cluster.node(number);
        match self {
            Fault::NodeOff => {
                node.power(false);
                broken.heals(move |c| {
                    c.node(number).power(true);
                    c.node(number).wait_until_ready();
                });
            }
            Fault::NodeSilent => {
                node.cable(false);
                broken.heals(move |c| {
                    c.node(number).cable(true);
                    c.node(number).wait_until_ready();
                });
            }
            Fault::Cordoned => {
                cluster.kubectl(&["cordon", node.name()]).text();
                broken.heals(move |c| {
                    c.kubectl(&["uncordon", c.node(number).name()]).text();
                    c.node(number).wait_until_ready();
                });
            }
            Fault::DiskPressure => {
                node.configure(Some(&json!({"evictionHard": {"nodefs.available": "99.9%"}})));
                broken.heals(move |c| unconfigured(&c.node(number)));
            }
            Fault::DiskFull => {
                fill(&node);
                broken.heals(move |c| {
                    let node = c.node(number);
                    node.run(&["rm", &filling(&node)]).text();
                    node.wait_for("DiskPressure", "False");
                    node.wait_until_ready();
                });
            }
            Fault::PodsFull => {
                let filler =
                    pods::start(cluster, place, "filler", &test_image(cluster, |_| TestImage::pause()));
                node.configure(Some(&json!({"maxPods": pods::on(cluster, node.name())})));
                broken.heals(move |c| {
                    drop(filler);
                    unconfigured(&c.node(number));
                });
            }
            Fault::Tainted => {
                cluster.kubectl(&["taint", "node", node.name(), &format!("{TAINT}=x:NoSchedule")]).text();
                broken.heals(move |c| {
                    c.kubectl(&["taint", "node", c.node(number).name(), &format!("{TAINT}-")]).text();
                });
            }
            Fault::LateNode => {
                broken.node = LATE_NODE;
                cluster.node(LATE_NODE).power(true);
                broken.heals(|c| {
                    let node = c.node(LATE_NODE);
                    node.power(false);
                    c.kubectl(&["delete", "node", node.name()]).text();
                    node.forget();
                });
            }
            Fault::RegistryDown | Fault::SlowRegistry => {
                let speed = (self == Fault::SlowRegistry).then_some(SLOW_BYTES_PER_SECOND);
                broken.image = Some(test_image(cluster, |n| TestImage::pause().with_ballast(SLOW_BYTES, n)));
                cluster.registries(Flow { closed: speed.is_none(), bytes_per_second: speed });
                broken.heals(|c| c.registries(Flow::default()));
            }
            Fault::MissingTag => {
                let there = test_image(cluster, |_| TestImage::data("there"));
                broken.image = Some(format!("{there}-not"));
            }
            Fault::WrongSecret => {
                let (user, _) = cluster.login();
                let (name, secret) = ("test/private", "wrong-secret");
                let image = TestImage::data("private");
                image.push(&cluster.private_registry(), Some(cluster.login()), name, "1");
                broken.image = Some(format!("{}/{name}:1", cluster.private_registry()));
                broken.pull_secret = Some(secret);
                let login = json!({"username": user, "password": "wrong-password"});
                cluster.apply(&json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": secret, "namespace": place.namespace},
                    "type": "kubernetes.io/dockerconfigjson",
                    "stringData": {
                        ".dockerconfigjson": json!({"auths": {cluster.private_registry(): login}}).to_string()
                    },
                }));
            }
            Fault::NoShell => broken.image = Some(test_image(cluster, |_| TestImage::pause())),
            Fault::OtherArchitecture => {
                broken.image = Some(test_image(cluster, |_| TestImage::of_another_architecture()));
            }
            Fault::UnreadableLayer => broken.image = Some(test_image(cluster, |_| TestImage::unreadable())),
            Fault::ApiServerRestarted => {
                cluster.program("kube-apiserver", false);
                broken.heals(|c| {
                    c.program("kube-apiserver", true);
                    c.wait_for_api();
                });
            }
            Fault::AwaiterKilled => pods::kill(cluster, place),
            Fault::ImageCollected => {
                let image = test_image(cluster, |n| TestImage::pause().with_ballast(60 << 20, n));
                // There, and not in use.
                drop(pods::start_for(cluster, place, "puller", &image));
                // Less room than the kubelet is told to keep: the unused image, of twice as much with what it was
                // unpacked from, is enough to make it.
                let wanted = node.free_bytes() + (60 << 20);
                // The usual age at which an image may go is two minutes.
                node.configure(Some(&json!({
                    "evictionHard": {"nodefs.available": wanted.to_string()},
                    "imageMinimumGCAge": "1s",
                })));
                broken.image = Some(image);
                broken.heals(move |c| unconfigured(&c.node(number)));
            }
        }
        broken
    }
}

impl<'c> Broken<'c> {
    fn heals(&mut self, how: impl FnOnce(&'c Cluster) + 'c) {
        self.heal = Some(Box::new(how));
    }

    /// Waits until Kubernetes knows of it: the node's condition, its taint, its number of pods. What only shows when an
    /// image is pulled shows in the caller's pods.
    pub fn wait_until_seen(&self) {
        let node = self.cluster.node(self.node);
        match self.fault {
            Fault::NodeOff | Fault::NodeSilent => node.wait_for("Ready", "Unknown"),
            Fault::DiskPressure | Fault::DiskFull => node.wait_for("DiskPressure", "True"),
            Fault::LateNode => {
                self.cluster.wait("the late node", || node.condition("Ready"));
                node.wait_until_ready();
            }
            Fault::Cordoned => self.seen(|| node.object()["spec"]["unschedulable"] == true),
            Fault::Tainted => self.seen(|| {
                let taints = node.object()["spec"]["taints"].clone();
                taints.as_array().is_some_and(|all| all.iter().any(|t| t["key"] == TAINT))
            }),
            Fault::PodsFull => self.seen(|| allowed_pods(&node) != Some(MOST_PODS)),
            Fault::ApiServerRestarted => {
                self.seen(|| !self.cluster.kubectl(&["get", "--raw", "/readyz", "--request-timeout=2s"]).ok);
            }
            Fault::ImageCollected => {
                let image = self.image.clone().unwrap_or_default();
                self.seen(|| !node.images().contains(&image));
            }
            Fault::RegistryDown
            | Fault::SlowRegistry
            | Fault::MissingTag
            | Fault::WrongSecret
            | Fault::NoShell
            | Fault::OtherArchitecture
            | Fault::UnreadableLayer
            | Fault::AwaiterKilled => {}
        }
    }

    fn seen(&self, mut there: impl FnMut() -> bool) {
        self.cluster.wait(self.fault.name(), || there().then_some(()));
    }
}

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        let Some(heal) = self.heal.take() else { return };
        if std::thread::panicking() {
            // The test has failed already; that it does not heal either must not hide why.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heal(self.cluster)));
        } else {
            heal(self.cluster);
        }
    }
}

/// Pushes an image that no node has, under a name that nobody has used.
fn test_image(cluster: &Cluster, image: impl Fn(u32) -> TestImage) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    cluster.push(&image(count), &format!("test/fault-{count}"), "1")
}

fn unconfigured(node: &Node) {
    node.configure(None);
    for condition in ["DiskPressure", "MemoryPressure"] {
        node.wait_for(condition, "False");
    }
    node.wait_until_ready();
    node.cluster.wait("room for pods", || (allowed_pods(node) == Some(MOST_PODS)).then_some(()));
}

fn allowed_pods(node: &Node) -> Option<u32> {
    node.object()["status"]["allocatable"]["pods"].as_str()?.parse().ok()
}

fn filling(node: &Node) -> String {
    node.disk().join("filling").display().to_string()
}

/// Leaves ten megabytes: a disk without a single byte stops containerd itself.
fn fill(node: &Node) {
    let bytes = node.free_bytes().saturating_sub(10 << 20);
    node.run(&["fallocate", "-l", &bytes.to_string(), &filling(node)]).text();
}

/// How long the image of [`Fault::SlowRegistry`] takes at least.
pub fn slow_pull() -> Duration {
    Duration::from_secs_f64(SLOW_BYTES as f64 / SLOW_BYTES_PER_SECOND as f64)
}
