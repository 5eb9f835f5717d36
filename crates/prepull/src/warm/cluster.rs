//! What is asked of the cluster, one request each: its version, its nodes, their disks, and the pullers to make and
//! to delete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::disk::Disk;
use crate::awaiter::Error;
use crate::awaiter::api::{Api, Asked, Trouble};
use crate::awaiter::items::Items;
use crate::awaiter::model::{Condition, Event, Node, NodeMeta, NodeSpec, NodeStatus};
use crate::awaiter::pulled::pulled;
use crate::awaiter::watch::encoded;

/// Bytes of an answer that is read whole.
const ANSWER: usize = 8 << 20;
/// An answer that stops for longer has ended.
const SILENCE: Duration = Duration::from_secs(20);
/// Attempts at a request that may go through later.
const ATTEMPTS: u32 = 5;

/// A cluster, and a namespace of it.
#[derive(Clone)]
pub struct Cluster {
    api: Arc<Api>,
    namespace: String,
}

/// A node, with more than the awaiter reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeObject {
    /// Its metadata.
    pub metadata: NodeMeta,
    /// What was said of it.
    pub spec: NodeSpec,
    /// How it is and what it has.
    pub status: Status,
}

/// Of a node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// `Ready`, `DiskPressure`, …
    pub conditions: Vec<Condition>,
    /// Images on the node: the largest 50, unless its kubelet is told otherwise.
    pub images: Option<Vec<Named>>,
    /// What it is.
    pub node_info: NodeInfo,
}

/// An image on a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// `repository:tag`, `repository@digest`.
    pub names: Option<Vec<String>>,
}

/// What a node is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// `linux`.
    pub operating_system: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl NodeObject {
    /// As the awaiter knows it.
    pub fn node(&self) -> Node {
        let status = NodeStatus { conditions: self.status.conditions.clone() };
        Node { metadata: self.metadata.clone(), spec: self.spec.clone(), status }
    }

    /// Whether its kubelet says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| &*c.kind == "Ready" && &*c.status == "True")
    }
}

/// A puller that is there already.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its metadata.
    pub metadata: FoundMeta,
}

/// Of its metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FoundMeta {
    /// Its name.
    pub name: String,
    /// Its annotations.
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Cluster {
    /// Of `client`, in `namespace`, else the one that its configuration names.
    pub fn new(client: &Client, namespace: Option<&str>) -> Self {
        let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
        Cluster { api: Arc::new(Api::new(client.clone())), namespace }
    }

    /// The namespace in which pullers are made.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `1.36` as (1, 36).
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn version(&self) -> Result<(u32, u32), Error> {
        #[derive(Deserialize)]
        struct Version {
            major: String,
            minor: String,
        }
        let asked = Asked { verb: "get", resource: "version" };
        let version: Version = self.get("/version", asked).await?;
        // Some clouds write `29+`.
        let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
        Ok((number(&version.major), number(&version.minor)))
    }

    /// All nodes, or those that a label selector matches.
    ///
    /// # Errors
    /// Where the account may not list nodes, the selector is none, or the cluster does not answer.
    pub async fn nodes(&self, selector: Option<&str>) -> Result<Vec<NodeObject>, Error> {
        let asked = Asked { verb: "list", resource: "nodes" };
        let path = match selector {
            Some(selector) => format!("/api/v1/nodes?labelSelector={}", encoded(selector)),
            None => "/api/v1/nodes".to_owned(),
        };
        self.list(&path, asked).await.map_err(|error| match error {
            Error::NoAnswer { reason, code: Some(400), .. } => Error::Usage {
                text: format!("--nodes: {reason}"),
                hint: "write it as kubectl's -l: key=value,other in (a,b),!third",
            },
            error => error,
        })
    }

    /// Bytes a second of the pulls that kubelets have told of in the namespace within the last hour; nothing where
    /// there are none, or the account may not read events.
    pub async fn rate(&self) -> Option<f64> {
        let asked = Asked { verb: "list", resource: "events" };
        let path = format!("/api/v1/namespaces/{}/events?fieldSelector=reason%3DPulled", self.namespace);
        let events: Vec<Event> = self.list(&path, asked).await.ok()?;
        let pulls = events.iter().filter_map(|event| pulled(&event.message)).filter_map(|(_, pull)| {
            // Small images take as long as the requests for them.
            Some((
                pull.size_bytes.filter(|bytes| *bytes > 10_000_000)?,
                pull.seconds.filter(|time| *time > 0.0)?,
            ))
        });
        let (bytes, seconds) = pulls.fold((0, 0.0), |all, pull| (all.0 + pull.0, all.1 + pull.1));
        (bytes > 0).then(|| bytes as f64 / seconds)
    }

    /// The file system for images of a node, from its kubelet by way of the API server; nothing where the account
    /// may not read that, or the kubelet does not know yet.
    pub async fn disk(&self, node: &str) -> Option<Disk> {
        let asked = Asked { verb: "get", resource: "nodes/proxy" };
        let path = |what: &str| format!("/api/v1/nodes/{node}/proxy/{what}");
        let summary: Value = self.try_get(&path("stats/summary"), asked).await.ok()?;
        let images = summary.pointer("/node/runtime/imageFs")?;
        let bytes = |field: &str| images.get(field).and_then(Value::as_u64);
        let (available, capacity) = (bytes("availableBytes")?, bytes("capacityBytes")?);
        let config = self.try_get::<Value>(&path("configz"), asked).await.ok();
        Some(match config.as_ref().and_then(|config| config.get("kubeletconfig")) {
            Some(config) => Disk::with_config(available, capacity, config),
            None => Disk::with_defaults(available, capacity),
        })
    }

    /// Pullers of earlier or other runs, by their labels.
    ///
    /// # Errors
    /// Where the account may not list DaemonSets, or the cluster does not answer.
    pub async fn pullers(&self, component: &str) -> Result<Vec<Found>, Error> {
        let asked = Asked { verb: "list", resource: "daemonsets.apps" };
        let selector = format!("app.kubernetes.io/name=perijove,app.kubernetes.io/component={component}");
        self.list(&format!("{}?labelSelector={}", self.daemonsets(), encoded(&selector)), asked).await
    }

    /// Makes a DaemonSet.
    ///
    /// # Errors
    /// Where the account may not, or the cluster refuses it.
    pub async fn create(&self, set: &Value) -> Result<(), Error> {
        let asked = Asked { verb: "create", resource: "daemonsets.apps" };
        let body = set.to_string().into_bytes();
        for attempt in 1.. {
            match self.api.send(Method::POST, &self.daemonsets(), body.clone(), asked).await {
                Ok(_) => break,
                // The name is this run's own: an attempt whose answer was lost has made it.
                Err(Trouble::Passing { text, .. }) if attempt > 1 && text.starts_with("409") => break,
                Err(Trouble::Passing { .. }) if attempt < ATTEMPTS => pause(attempt).await,
                Err(trouble) => return Err(self.error(trouble, asked)),
            }
        }
        Ok(())
    }

    /// Deletes a DaemonSet and its pods; one that is not there is no error.
    ///
    /// # Errors
    /// Where the account may not, or the cluster does not answer.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let asked = Asked { verb: "delete", resource: "daemonsets.apps" };
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        let path = format!("{}/{name}", self.daemonsets());
        for attempt in 1.. {
            match self.api.send(Method::DELETE, &path, options.to_string().into_bytes(), asked).await {
                Ok(_) | Err(Trouble::Missing(_)) => break,
                Err(Trouble::Passing { .. }) if attempt < ATTEMPTS => pause(attempt).await,
                Err(trouble) => return Err(self.error(trouble, asked)),
            }
        }
        Ok(())
    }

    fn daemonsets(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/daemonsets", self.namespace)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, asked: Asked) -> Result<T, Error> {
        self.try_get(path, asked).await.map_err(|trouble| self.error(trouble, asked))
    }

    async fn try_get<T: DeserializeOwned>(&self, path: &str, asked: Asked) -> Result<T, Trouble> {
        let mut body = Vec::new();
        self.read(path, asked, |bytes| {
            body.extend_from_slice(bytes);
            if body.len() > ANSWER {
                Err(format!("an answer of more than {} MB", ANSWER >> 20))
            } else {
                Ok(())
            }
        })
        .await?;
        serde_json::from_slice(&body)
            .map_err(|error| Trouble::passing(format!("an answer that is no JSON: {error}")))
    }

    async fn list<T: DeserializeOwned>(&self, path: &str, asked: Asked) -> Result<Vec<T>, Error> {
        for attempt in 1.. {
            let (mut items, mut found) = (Items::default(), Vec::new());
            let read = self.read(path, asked, |bytes| {
                items.feed(bytes, |item| {
                    found.push(serde_json::from_slice(item).map_err(|error| error.to_string())?);
                    Ok(())
                })
            });
            let read = read.await.and_then(|()| {
                let whole: Result<Value, _> = serde_json::from_slice(items.around());
                whole.map(drop).map_err(|error| Trouble::passing(format!("a list that is no JSON: {error}")))
            });
            match read {
                Ok(()) => return Ok(found),
                Err(Trouble::Passing { .. }) if attempt < ATTEMPTS => pause(attempt).await,
                Err(trouble) => return Err(self.error(trouble, asked)),
            }
        }
        Ok(Vec::new())
    }

    async fn read(
        &self,
        path: &str,
        asked: Asked,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let response = self.api.send(Method::GET, path, Vec::new(), asked).await?;
        let mut body = response.into_body();
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await;
            let frame =
                frame.map_err(|_| Trouble::passing(format!("silence for {} s", SILENCE.as_secs())))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Trouble::passing(error.to_string()))?;
            if let Some(data) = frame.data_ref() {
                take(data).map_err(Trouble::passing)?;
            }
        }
        Ok(())
    }

    fn error(&self, trouble: Trouble, asked: Asked) -> Error {
        let (reason, code) = match trouble {
            Trouble::Denied { asked, message, code } => {
                return Trouble::denied(asked, message, code, &self.namespace);
            }
            Trouble::Gone => ("gone".to_owned(), Some(410)),
            Trouble::Unknown(text) => (text, Some(400)),
            Trouble::Missing(text) => (text, Some(404)),
            Trouble::Passing { text, .. } => (text, None),
        };
        Error::NoAnswer { verb: asked.verb, resource: asked.resource, reason, code }
    }
}

async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
}
