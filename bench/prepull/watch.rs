//! What the API server says of nodes and pods, with the moment at which it was said: the benchmark's own watch, as the
//! administrator, beside the hooks'.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use http::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{today, truth};

/// Before it asks again after a connection has ended.
const AGAIN: Duration = Duration::from_millis(100);

/// Watches until the value goes.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    _runtime: Runtime,
}

/// A node at a moment.
#[derive(Clone, Debug)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Why it cannot take a puller's pod, if so.
    pub out: Option<String>,
    /// Since when its own object says so; full nodes aside.
    pub since: Instant,
}

#[derive(Default)]
struct Seen {
    nodes: BTreeMap<String, (Value, Option<String>, Instant)>,
    pods: BTreeMap<String, PodSeen>,
    ready: BTreeMap<Set, Instant>,
    words: BTreeMap<Set, Instant>,
}

/// Namespace and name of a DaemonSet.
type Set = (String, String);

struct PodSeen {
    set: Set,
    node: Option<String>,
    ended: bool,
    ready: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Nodes,
    Pods,
    Events,
}

impl Watch {
    /// Begins. With thousands of nodes, `nodes` are better left alone.
    pub fn new(kubeconfig: &Path, nodes: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let client = runtime.block_on(today::client(kubeconfig));
        let kinds = [Kind::Pods, Kind::Events].into_iter().chain(nodes.then_some(Kind::Nodes));
        for kind in kinds {
            runtime.spawn(follow(client.clone(), kind, Arc::clone(&seen)));
        }
        Watch { seen, _runtime: runtime }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the last pod of a DaemonSet became ready.
    pub fn last_ready(&self, namespace: &str, name: &str) -> Option<Instant> {
        self.seen().ready.get(&(namespace.to_owned(), name.to_owned())).copied()
    }

    /// When the first word came that an image of a DaemonSet's pod cannot be pulled.
    pub fn first_word(&self, namespace: &str, name: &str) -> Option<Instant> {
        self.seen().words.get(&(namespace.to_owned(), name.to_owned())).copied()
    }

    /// The nodes, as they are for the pods of a DaemonSet.
    pub fn nodes(&self, namespace: &str, name: &str) -> Vec<NodeSeen> {
        let seen = self.seen();
        let set = (namespace.to_owned(), name.to_owned());
        let one = |(name, (object, _, since)): (&String, &(Value, Option<String>, Instant))| {
            let here = || seen.pods.values().filter(|pod| pod.node.as_ref() == Some(name) && !pod.ended);
            let own = here().any(|pod| pod.set == set);
            NodeSeen { name: name.clone(), out: truth::out(object, here().count(), own), since: *since }
        };
        seen.nodes.iter().map(one).collect()
    }
}

async fn follow(client: Client, kind: Kind, seen: Arc<Mutex<Seen>>) {
    let path = match kind {
        Kind::Nodes => "/api/v1/nodes?watch=true&timeoutSeconds=36000",
        Kind::Pods => "/api/v1/pods?watch=true&timeoutSeconds=36000",
        Kind::Events => "/api/v1/events?watch=true&timeoutSeconds=36000&fieldSelector=reason%3DFailed",
    };
    loop {
        let request = Request::get(path).body(Vec::new()).unwrap();
        if let Ok(events) = client.request_events::<Value>(request).await {
            let mut events = Box::pin(events);
            while let Ok(Some(event)) = events.try_next().await {
                let at = Instant::now();
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                match (kind, event) {
                    (Kind::Nodes, WatchEvent::Added(node) | WatchEvent::Modified(node)) => {
                        seen.node(node, at);
                    }
                    (Kind::Nodes, WatchEvent::Deleted(node)) => {
                        seen.nodes.remove(text(&node["metadata"]["name"]));
                    }
                    (Kind::Pods, WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => seen.pod(&pod, at),
                    (Kind::Pods, WatchEvent::Deleted(pod)) => {
                        seen.pods.remove(text(&pod["metadata"]["uid"]));
                    }
                    (Kind::Events, WatchEvent::Added(event)) => seen.event(&event, at),
                    _ => {}
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Seen {
    fn node(&mut self, node: Value, at: Instant) {
        let name = text(&node["metadata"]["name"]).to_owned();
        let out = truth::out(&node, 0, false);
        let since = self.nodes.get(&name).filter(|old| old.1 == out).map_or(at, |old| old.2);
        self.nodes.insert(name, (node, out, since));
    }

    fn pod(&mut self, pod: &Value, at: Instant) {
        let metadata = &pod["metadata"];
        let set = (
            text(&metadata["namespace"]).to_owned(),
            text(&metadata["ownerReferences"][0]["name"]).to_owned(),
        );
        let status = &pod["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let uid = text(&metadata["uid"]).to_owned();
        if ready && self.pods.get(&uid).is_none_or(|old| !old.ready) {
            self.ready.insert(set.clone(), at);
        }
        let mut all = ["initContainerStatuses", "containerStatuses"]
            .into_iter()
            .flat_map(|list| status[list].as_array().into_iter().flatten());
        if all.any(|one| {
            matches!(text(&one["state"]["waiting"]["reason"]), "ErrImagePull" | "ImagePullBackOff")
        }) {
            self.words.entry(set.clone()).or_insert(at);
        }
        let node = pod["spec"]["nodeName"].as_str().map(str::to_owned);
        let ended = matches!(text(&status["phase"]), "Succeeded" | "Failed");
        self.pods.insert(uid, PodSeen { set, node, ended, ready });
    }

    fn event(&mut self, event: &Value, at: Instant) {
        let about = &event["involvedObject"];
        // A DaemonSet's pod has its name and a word more.
        let Some((name, _)) = text(&about["name"]).rsplit_once('-') else { return };
        if text(&event["message"]).starts_with("Failed to pull image") {
            let set = (text(&about["namespace"]).to_owned(), name.to_owned());
            self.words.entry(set).or_insert(at);
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
