//! A hook of either kind, from its accounts to what is left of it: the awaiter is a process with the rights and the
//! token of its service account, and the benchmark does what the Job's controller and Helm would do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use perijove_prepull::manifests::{Group, Mode, Pulled, Puller};
use perijove_testkit::cluster::{Cluster, Namespace, TestImage};
use serde_json::{Value, json};

use super::truth::{self, Answer, Images, Outcome};
use super::watch::Watch;
use super::{rights, today};

/// A node is held to have its images only when it could have a pod for so long.
const NOTICE: Duration = Duration::from_secs(1);
/// A Job's pod is scheduled and started: so much later than its DaemonSets, its awaiter begins.
pub const POD: Duration = Duration::from_secs(1);
/// How long what is deleted may take to go.
const GONE: Duration = Duration::from_secs(8);
/// Our own Job as the chart has it.
const CHART_JOB: &str = include_str!("../../charts/perijove/templates/hook/job.yaml");

/// Whose hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Zero to JupyterHub's.
    Today,
    /// This project's.
    Ours,
}

impl Kind {
    /// In names and labels.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Today => "today",
            Kind::Ours => "ours",
        }
    }

    /// How often the Job starts another pod for an awaiter that was killed (`backoffLimit`).
    fn restarts(self) -> u32 {
        let of_chart = || CHART_JOB.split("backoffLimit: ").nth(1)?.split_whitespace().next()?.parse().ok();
        match self {
            // The Job says nothing of it, and Kubernetes' own number is 6.
            Kind::Today => 6,
            Kind::Ours => of_chart().expect("the chart's Job says its backoffLimit"),
        }
    }
}

/// Where hooks run, and how.
pub struct Site<'c> {
    /// The cluster.
    pub cluster: &'c Cluster,
    /// The benchmark's eyes.
    pub watch: &'c Watch,
    /// Ours: `perijove`, or the small program of the image.
    pub awaiter: &'c Path,
    /// Helm's time-out for today's, our own deadline for ours.
    pub deadline: Duration,
    /// Whether ours may read nodes (`hook.countNodes`).
    pub nodes: bool,
    /// Of the benchmark.
    pub folder: &'c Path,
}

/// What a fault does to a run.
#[derive(Default)]
pub struct Struck {
    /// Nodes of which nothing can be expected.
    pub dark: Mutex<BTreeSet<String>>,
    /// The awaiters' processes.
    pids: Mutex<BTreeMap<Kind, u32>>,
}

impl Struck {
    /// Kills the awaiters, as the kernel does.
    pub fn kill(&self) {
        for pid in self.pids.lock().unwrap().values() {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw).unwrap();
            // One that has ended by itself is no failure.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A hook that is about to begin.
pub struct Hook<'s> {
    site: &'s Site<'s>,
    namespace: &'s Namespace<'s>,
    /// Whose.
    pub kind: Kind,
    images: Vec<String>,
    secret: Option<&'s str>,
    kubeconfig: PathBuf,
    job: String,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// From the DaemonSet's creation.
    pub took: Duration,
    /// The moment.
    pub at: Instant,
    /// All that the awaiter printed.
    pub said: String,
    /// Nodes that could take pods and lacked an image at that moment, with how many.
    pub lacking: Vec<String>,
    /// The most memory that the awaiter had, in bytes.
    pub peak: u64,
}

impl Ended {
    /// Whether that was right.
    pub fn answer(&self, images: Images) -> Answer {
        truth::judge(self.outcome, images, self.lacking.len())
    }
}

/// Makes accounts, rights and the Job for hooks in a namespace.
pub fn prepare<'s>(
    site: &'s Site<'s>,
    namespace: &'s Namespace<'s>,
    hooks: Vec<(Kind, Vec<String>)>,
    secret: Option<&'s str>,
) -> Vec<Hook<'s>> {
    let objects: Vec<Value> = hooks.iter().flat_map(|(kind, _)| rights::objects(*kind, site.nodes)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let made =
        site.cluster.kubectl_with(&["apply", "-n", namespace.name(), "-o", "json", "-f", "-"], &list).json();
    let uid = |kind: Kind| {
        let mut items = made["items"].as_array().unwrap().iter();
        let job = items.find(|one| one["kind"] == "Job" && one["metadata"]["name"] == kind.word());
        job.unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let mut all = Vec::new();
    for (kind, images) in hooks {
        let token = namespace.kubectl(&["create", "token", kind.word(), "--duration", "2h"]).text();
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(site.cluster.kubeconfig()).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let kubeconfig = site.folder.join(format!("{}-{}.json", namespace.name(), kind.word()));
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        all.push(Hook { site, namespace, kind, images, secret, kubeconfig, job: uid(kind) });
    }
    all
}

/// The DaemonSets of all hooks, made at once.
pub fn create(hooks: &[Hook<'_>]) {
    let Some(first) = hooks.first() else { return };
    let items: Vec<Value> = hooks.iter().map(Hook::daemon_set).collect();
    first.namespace.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}));
}

impl Hook<'_> {
    /// The DaemonSet's name.
    pub fn name(&self) -> String {
        format!("{}-hook-image-puller", self.kind.word())
    }

    fn daemon_set(&self) -> Value {
        let own = format!("{}/bench/own:1", self.site.cluster.registry());
        let labels = rights::labels(self.kind);
        if self.kind == Kind::Today {
            return today::daemon_set(&self.name(), &json!(labels), &self.images, self.secret, &own);
        }
        let images = self.images.iter().map(|image| Pulled { image: image.clone(), pull_policy: None });
        let group = Group {
            images: images.collect(),
            pull_secrets: self.secret.map(str::to_owned).into_iter().collect(),
            ..Group::default()
        };
        let puller = Puller {
            name: &self.name(),
            labels: &labels,
            annotations: &BTreeMap::new(),
            group: &group,
            only: &[],
            mode: Mode::ImageVolumes,
            own_image: &own,
        };
        puller.daemon_set()
    }

    fn command(&self) -> Command {
        let namespace = self.namespace.name();
        if self.kind == Kind::Today {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg(today::WORD).arg(&self.kubeconfig).args([namespace, &self.name()]);
            return command;
        }
        let mut command = Command::new(self.site.awaiter);
        command.args(["await", "--format", "json", "--namespace", namespace, "--clean-up"]);
        command.args(["--selector", "bench=ours", "--deadline", &self.site.deadline.as_secs().to_string()]);
        command.args(["--event-on", &format!("job/ours/{}", self.job)]);
        for kind in ["rolebinding", "role", "serviceaccount"] {
            command.args(["--adopt", &format!("{kind}/ours")]);
        }
        if self.site.nodes {
            command.arg("--nodes");
        }
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs the awaiter to its end, as the Job would, and looks what is on the nodes at that moment. `begun`: when the
    /// pullers were made; `starts`: how long after that ours does. Today's has the time of a pod to begin with.
    pub fn run(&self, begun: Instant, starts: Duration, struck: &Struck) -> Ended {
        let starts = if self.kind == Kind::Today { POD } else { starts };
        std::thread::sleep(starts.saturating_sub(begun.elapsed()));
        // Ours ends by itself, and Helm's time-out is above that.
        let more = if self.kind == Kind::Ours { Duration::from_secs(15) } else { Duration::ZERO };
        let limit = begun + self.site.deadline + more;
        let (mut tries, mut said, mut peak) = (0, String::new(), 0);
        let (outcome, at) = loop {
            let mut one = Process::start(self.command());
            struck.pids.lock().unwrap().insert(self.kind, one.child.id());
            let end = one.wait(limit, &mut peak);
            struck.pids.lock().unwrap().remove(&self.kind);
            said.push_str(&one.said());
            let Some((code, at)) = end else { break (Outcome::TimeOver, Instant::now()) };
            let outcome = match (code, self.kind) {
                (Some(0), _) => Some(Outcome::Success),
                (Some(3), Kind::Ours) => Some(Outcome::TimeOver),
                // Whether it was killed or gave up, the Job tries again; ours tells why it will not work, and is
                // not asked twice.
                (Some(_), Kind::Ours) => Some(Outcome::Failed),
                _ => (tries >= self.kind.restarts()).then_some(Outcome::Failed),
            };
            if let Some(outcome) = outcome {
                break (outcome, at);
            }
            // The Job's controller waits 10 s, then twice as long each time.
            let pause = Duration::from_secs(10) * 2u32.pow(tries);
            std::thread::sleep(pause.min(limit.saturating_duration_since(Instant::now())));
            tries += 1;
            if Instant::now() >= limit {
                break (Outcome::TimeOver, Instant::now());
            }
        };
        let lacking = self.lacking(at, struck);
        Ended { outcome, took: at - begun, at, said, lacking, peak }
    }

    /// Nodes that could take the pods for a while and lack an image.
    fn lacking(&self, at: Instant, struck: &Struck) -> Vec<String> {
        let dark = struck.dark.lock().unwrap().clone();
        let seen = self.site.watch.nodes(self.namespace.name(), &self.name());
        let eligible = seen.into_iter().filter(|node| {
            let long = at.saturating_duration_since(node.since) >= NOTICE;
            node.out.is_none() && long && !dark.contains(&node.name)
        });
        let eligible: Vec<String> = eligible.map(|node| node.name).collect();
        let lacks = |name: &String| {
            let number = name.strip_prefix('n').and_then(|n| n.parse().ok())?;
            let node = self.site.cluster.node(number);
            // What does not say what it has counts as if it had nothing: a benchmark must not miss a false success.
            let Some(has) = (0..5).find_map(|_| node.try_images()) else {
                return Some(format!("{name} does not say"));
            };
            let lacks = self.images.iter().filter(|image| !has.contains(*image)).count();
            (lacks > 0).then(|| format!("{name} lacks {lacks}"))
        };
        std::thread::scope(|scope| {
            let asked: Vec<_> = eligible.iter().map(|name| scope.spawn(move || lacks(name))).collect();
            asked.into_iter().filter_map(|one| one.join().unwrap()).collect()
        })
    }

    /// Requests of its awaiter, by the API server's own record: verb, path, and the answer's code.
    pub fn requests(&self) -> Vec<String> {
        let user = format!("system:serviceaccount:{}:{}", self.namespace.name(), self.kind.word());
        let asked = self.site.cluster.requests(|event| event["user"]["username"] == user.as_str());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |event: &Value| {
            let (verb, address) = (text(&event["verb"]), text(&event["requestURI"]));
            format!("{verb} {address} {}", event["responseStatus"]["code"])
        };
        asked.iter().map(one).collect()
    }

    /// What is left when Helm has deleted what the delete policies tell it to: on failure all hooks before the one that
    /// failed, and that one only if it says so (ours does; today's Job does not).
    pub fn left(&self, outcome: Outcome) -> Vec<String> {
        let label = format!("bench={}", self.kind.word());
        let kinds = "daemonsets,serviceaccounts,roles,rolebindings";
        let job = self.kind == Kind::Ours || outcome == Outcome::Success;
        let kinds = if job { format!("jobs,{kinds}") } else { kinds.to_owned() };
        self.namespace.kubectl(&["delete", &kinds, "-l", &label, "--wait=false"]).text();
        let begun = Instant::now();
        loop {
            let found = self.namespace.get(&[
                "daemonsets,pods,jobs,serviceaccounts,roles,rolebindings",
                "-l",
                &label,
            ]);
            let items = found["items"].as_array().unwrap().iter();
            // Of a node that is away, a pod cannot be more than told to go.
            let stays = items.filter(|one| one["metadata"]["deletionTimestamp"].is_null());
            let left: Vec<String> =
                stays.map(|one| one["kind"].as_str().unwrap_or_default().to_owned()).collect();
            if left.is_empty() || begun.elapsed() > GONE || !job && left == ["Job"] {
                return left;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// An awaiter's process, and all that it prints.
struct Process {
    child: Child,
    readers: Vec<std::thread::JoinHandle<String>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                // It ends with the process.
                let _ = from.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        }
        let readers = vec![reader(child.stderr.take().unwrap()), reader(child.stdout.take().unwrap())];
        Process { child, readers }
    }

    /// Exit code and moment of its end; nothing when it had to be killed at the limit.
    fn wait(&mut self, limit: Instant, peak: &mut u64) -> Option<(Option<i32>, Instant)> {
        loop {
            *peak = (*peak).max(peak_bytes(self.child.id()).unwrap_or_default());
            if let Some(status) = self.child.try_wait().unwrap() {
                let at = Instant::now();
                return Some((status.code().filter(|_| status.signal().is_none()), at));
            }
            if Instant::now() >= limit {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn said(&mut self) -> String {
        self.readers.drain(..).map(|reader| reader.join().unwrap()).collect()
    }
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Two images for a hook that no node has; each with a shell, which today's needs.
pub fn images(cluster: &Cluster, kind: Kind, run: &str, count: u32) -> Vec<String> {
    let one = |number: u32| {
        let image = TestImage::shell().with_ballast(200_000, format_args!("{run}-{}-{number}", kind.word()));
        cluster.push(&image, &format!("bench/{}-{run}-{number}", kind.word()), "1")
    };
    (0..count).map(one).collect()
}
