//! The process that holds a node, in its namespaces: disk, network, containerd and kubelet. It ends when its standard
//! input does.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

use super::bridge::{self, To};
use super::control::{self, Flow, Kept, Order, Said, must};
use super::spec::{NodeSpec, Spec};
use super::{plane, programs};

/// Big enough for a few images of 100 MB, small enough to be filled quickly. It is a sparse file.
const DISK_BYTES: u64 = 3 << 30;

/// How many pods a node may have.
pub const MOST_PODS: u32 = 50;

/// The kernel's settings that a kubelet wants, and would change for the whole machine. It finds them as it likes
/// them: files lie over them, for this node only.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Holds a node until standard input ends.
///
/// # Errors
/// What could not be done.
pub async fn run(number: u8, folder: &Path) -> std::io::Result<()> {
    let spec = Spec::read(folder)?;
    let node = NodeSpec::new(&spec, number);
    let mut orders = BufReader::new(control::input()?).lines();
    must(&["mount", "--make-rprivate", "/"], "").await?;
    say_here()?;
    disk(&node).await?;
    own_folders(&node).await?;
    configure(&spec, &node)?;
    // The other end of the cable is there.
    orders.next_line().await?;
    must(&["ip", "-batch", "-"], &plane::node_network(&spec, &node)).await?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let (flow, flowing) = watch::channel(Flow::default());
    for (index, port) in spec.registry_ports.into_iter().enumerate() {
        let to = To::Socket(spec.socket(&format!("registry-{index}")));
        bridge::from_address(([127, 0, 0, 1], port).into(), to, flowing.clone());
    }
    let mut kept = Kept::default();
    let containerd = programs::folder("containerd");
    let path = format!("{}:{}", containerd.display(), std::env::var("PATH").unwrap_or_default());
    let config = node.folder.join("containerd.toml").display().to_string();
    let words = vec![containerd.join("containerd").display().to_string(), "--config".to_owned(), config];
    let log = |name: &str| spec.log(&format!("{}-{name}", node.name));
    kept.add("containerd", words, vec![("PATH".to_owned(), path)], log("containerd"));
    while !Path::new("/run/containerd/containerd.sock").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The API server is there.
    orders.next_line().await?;
    kept.add("kubelet", kubelet(&spec, &node), Vec::new(), log("kubelet"));
    control::listen(&node.socket(), move |order| {
        let (kept, flow) = (kept.clone(), flow.clone());
        async move {
            match order {
                Order::Run { words } => control::run(&words).await,
                Order::Program { name, run } => kept.program(&name, run).await,
                Order::Registry(wanted) => {
                    flow.send_replace(wanted);
                    Ok(Said::default())
                }
                Order::Node { .. } => Err("that is the cluster's".to_owned()),
            }
        }
    })?;
    while orders.next_line().await?.is_some() {}
    Ok(())
}

/// Tells the cluster that the namespaces are there.
fn say_here() -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout();
    stdout.write_all(b"here\n")?;
    stdout.flush()
}

/// Mounts the disk, and makes it if the node is new. The loop device goes with the mount.
async fn disk(node: &NodeSpec) -> std::io::Result<()> {
    let image = node.image().display().to_string();
    if !node.image().exists() {
        let new = node.folder.join("disk.new");
        std::fs::File::create(&new)?.set_len(DISK_BYTES)?;
        // Nothing is written beforehand, nothing kept for root.
        must(
            &["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", &new.display().to_string()],
            "",
        )
        .await?;
        std::fs::rename(new, &image)?;
    }
    std::fs::create_dir_all(node.disk())?;
    must(&["mount", "-o", "loop", &image, &node.disk().display().to_string()], "").await
}

/// Puts the node's own folders over those of this machine that kubelet and containerd write to. Where there is none on
/// this machine there is none to mount on: so a file system lies over /var/lib and /var/log that lets the old through.
async fn own_folders(node: &NodeSpec) -> std::io::Result<()> {
    must(&["mount", "-t", "tmpfs", "tmpfs", "/run"], "").await?;
    for lower in ["/var/lib", "/var/log"] {
        let own = Path::new("/run/over").join(&lower[5..]);
        let (upper, work) = (own.join("upper"), own.join("work"));
        std::fs::create_dir_all(&upper)?;
        std::fs::create_dir_all(&work)?;
        let options = format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
        must(&["mount", "-t", "overlay", "overlay", "-o", &options, lower], "").await?;
    }
    must(&["mount", "--make-rshared", "/"], "").await?;
    for folder in ["var/lib/kubelet", "var/lib/cni", "var/log/pods", "var/log/containers"] {
        let (own, place) = (node.disk().join(folder), Path::new("/").join(folder));
        std::fs::create_dir_all(&own)?;
        std::fs::create_dir_all(&place)?;
        must(&["mount", "--bind", &own.display().to_string(), &place.display().to_string()], "").await?;
    }
    for (name, value) in KERNEL {
        let own = Path::new("/run").join(name.replace('/', "."));
        std::fs::write(&own, format!("{value}\n"))?;
        must(&["mount", "--bind", &own.display().to_string(), &format!("/proc/sys/{name}")], "").await?;
    }
    for folder in ["/run/containerd", "/run/netns", "/run/lock"] {
        std::fs::create_dir_all(folder)?;
    }
    must(&["hostname", &node.name], "").await
}

/// Writes the configuration of containerd, its network and the kubelet.
fn configure(spec: &Spec, node: &NodeSpec) -> std::io::Result<()> {
    let folder = node.folder.display();
    let disk = node.disk();
    let disk = disk.display();
    for name in ["cni", "kubelet.d"] {
        std::fs::create_dir_all(node.folder.join(name))?;
    }
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let network = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{"type": "ptp", "ipMasq": false, "ipam": ipam}],
    });
    std::fs::write(node.folder.join("cni/10-pods.conflist"), network.to_string())?;
    for port in spec.registry_ports {
        let certs = node.folder.join("certs.d").join(format!("127.0.0.1:{port}"));
        std::fs::create_dir_all(&certs)?;
        let hosts = format!("[host.\"http://127.0.0.1:{port}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
        std::fs::write(certs.join("hosts.toml"), hosts)?;
    }
    let runc = programs::on_path("runc").unwrap_or_else(|| "runc".into());
    let runc = runc.display();
    let plugins = programs::CNI_PLUGINS;
    let pause = format!("127.0.0.1:{}/test/pause:1", spec.registry_ports[0]);
    let containerd = format!(
        r#"version = 3
root = "{disk}/containerd"
[plugins.'io.containerd.internal.v1.opt']
  path = "{disk}/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{folder}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  ignore_deprecation_warnings = ["io.containerd.deprecation/cgroup-v1"]
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runc}"
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{folder}/cni"
"#
    );
    std::fs::write(node.folder.join("containerd.toml"), containerd)?;
    // Cgroup v1 is refused since 1.35 unless one asks; a lower oomScoreAdj needs a capability that root may lack.
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}/{}", spec.id, node.name),
        "oomScoreAdj": 0,
        "failSwapOn": false,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": spec.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": spec.pki(&format!("{}.crt", node.name)),
        "tlsPrivateKeyFile": spec.pki(&format!("{}.key", node.name)),
        "volumePluginDir": format!("{disk}/volumeplugins"),
        "resolvConf": format!("{folder}/resolv.conf"),
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 10,
        "evictionPressureTransitionPeriod": "10s",
        "maxPods": MOST_PODS,
    });
    std::fs::write(node.folder.join("resolv.conf"), "nameserver 10.96.0.10\n")?;
    std::fs::write(node.folder.join("kubelet.json"), kubelet.to_string())
}

/// The kubelet's command line; tests put more configuration into `kubelet.d`.
fn kubelet(spec: &Spec, node: &NodeSpec) -> Vec<String> {
    let program = programs::kubernetes(spec.version).join("kubelet");
    let folder = node.folder.display();
    let flags = [
        format!("--config={folder}/kubelet.json"),
        format!("--config-dir={folder}/kubelet.d"),
        format!("--kubeconfig={}", spec.pki(&format!("{}.kubeconfig", node.name)).display()),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.address),
        format!("--cert-dir={}/kubelet-pki", node.disk().display()),
        "--v=2".to_owned(),
    ];
    std::iter::once(program.display().to_string()).chain(flags).collect()
}
