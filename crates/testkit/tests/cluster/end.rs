//! Nothing is left of a cluster: after its end, after the end of the process that started it, and, with the next
//! cluster's start, after the end of its supervisor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use perijove_testkit::cluster::{self, Cluster, Options, state};
use rustix::process::{Pid, Signal, kill_process};

/// The kernel's settings that kubelets like to change.
const KERNEL: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// What a cluster is, as the machine sees it.
struct Seen {
    id: String,
    folder: PathBuf,
    /// With the time of their start: a number may be given again.
    processes: BTreeSet<(i32, String)>,
    networks: BTreeSet<PathBuf>,
    kernel: Vec<String>,
}

fn kernel() -> Vec<String> {
    KERNEL.iter().map(|name| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap()).collect()
}

/// Every process by its number, parent and time of start.
fn processes() -> Vec<(i32, i32, String)> {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = folders.filter_map(|f| f.file_name().to_str()?.parse().ok());
    let stat = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        (fields[0] != "Z").then(|| Some((pid, fields[1].parse().ok()?, fields[19].to_owned())))?
    };
    numbers.filter_map(stat).collect()
}

fn network(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

impl Seen {
    /// Looks at a cluster of one node while it is up.
    fn of(id: &str, folder: &Path, supervisor: i32, kernel: Vec<String>) -> Self {
        let all = processes();
        let mut own: BTreeSet<i32> = [supervisor].into();
        loop {
            let more: Vec<i32> = all.iter().filter(|p| own.contains(&p.1)).map(|p| p.0).collect();
            let before = own.len();
            own.extend(more);
            if own.len() == before {
                break;
            }
        }
        let here = std::fs::read_link("/proc/self/ns/net").unwrap();
        let networks: BTreeSet<PathBuf> =
            own.iter().filter_map(|p| network(*p)).filter(|n| *n != here).collect();
        let processes = all.into_iter().filter(|p| own.contains(&p.0)).map(|p| (p.0, p.2)).collect();
        let seen = Seen { id: id.to_owned(), folder: folder.to_owned(), processes, networks, kernel };
        // What is asked for its end below is there now.
        assert!(seen.processes.len() >= 8, "{:?}", seen.processes);
        assert_eq!(seen.networks.len(), 2);
        assert!(seen.folder.is_dir() && seen.record().is_file() && seen.cgroups() > 0 && seen.disks() == 1);
        seen
    }

    fn record(&self) -> PathBuf {
        Path::new("/run/perijove-clusters").join(format!("{}.json", self.id))
    }

    fn cgroups(&self) -> usize {
        state::hierarchies().iter().filter(|h| h.join(&self.id).exists()).count()
    }

    fn disks(&self) -> usize {
        let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
        let files = devices.filter_map(|d| std::fs::read_to_string(d.path().join("loop/backing_file")).ok());
        files.filter(|file| Path::new(file.trim_end()).starts_with(&self.folder)).count()
    }

    /// Waits until what lives in namespaces is gone: the kernel takes a moment for it.
    fn assert_ended(&self) {
        let mut left = Vec::new();
        let ended = || {
            left = processes().into_iter().filter_map(|p| self.holds(p.0, p.2)).collect();
            (left.is_empty() && self.disks() == 0).then_some(())
        };
        cluster::wait("the end of all processes", PATIENCE, ended);
        assert_eq!(kernel(), self.kernel);
    }

    /// What a process has of the cluster.
    fn holds(&self, pid: i32, start: String) -> Option<String> {
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let network = network(pid).filter(|n| self.networks.contains(n));
        let is_one = self.processes.contains(&(pid, start));
        (is_one || network.is_some() || mounts.contains(&self.id)).then(|| format!("{pid} {network:?}"))
    }

    fn assert_nothing_left(&self) {
        self.assert_ended();
        self.assert_forgotten();
    }

    /// What outlives all processes. (Processes are not looked for here: the kernel gives a namespace's number again, to
    /// that of the next cluster.)
    fn assert_forgotten(&self) {
        let gone = || (!self.folder.exists() && !self.record().exists() && self.cgroups() == 0).then_some(());
        cluster::wait("folder, record and cgroups to go", PATIENCE, gone);
    }
}

/// On a busy machine the kernel takes its time for the end of namespaces.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn nothing_is_left_however_it_ends() {
    let test = "nothing_is_left_however_it_ends";
    let options = Options { nodes: 1, ..Options::default() };
    if let Some(why) = cluster::lacking(&options) {
        return perijove_testkit::skip(test, &why);
    }
    let before = kernel();
    let start = || {
        let cluster = Cluster::start(&options);
        let supervisor = i32::try_from(cluster.supervisor()).unwrap();
        let spec = &cluster.facts().spec;
        let seen = Seen::of(&spec.id, &spec.folder, supervisor, before.clone());
        (cluster, supervisor, seen)
    };

    // Its supervisor is killed: what lives ends, what does not is the next start's.
    let (killed, supervisor, left) = start();
    kill(supervisor);
    std::mem::forget(killed);
    left.assert_ended();

    // Its end, as every test has it.
    let (cluster, _, seen) = start();
    left.assert_forgotten();
    drop(cluster);
    seen.assert_nothing_left();

    // The process that started it is killed.
    let mut up = Command::new(env!("CARGO_BIN_EXE_cluster"));
    up.args(["up", "--nodes", "1"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut up = up.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(up.stdout.take().unwrap()), &mut line).unwrap();
    let kubeconfig = PathBuf::from(line.trim().strip_prefix("export KUBECONFIG=").unwrap());
    let folder = kubeconfig.ancestors().nth(2).unwrap();
    let id = folder.file_name().unwrap().to_str().unwrap();
    let own = i32::try_from(up.id()).unwrap();
    let seen = Seen::of(id, folder, own, before.clone());
    up.kill().unwrap();
    up.wait().unwrap();
    seen.assert_nothing_left();
}
